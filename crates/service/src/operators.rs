//! Operators: what they impose on rooms and actors, and the audit trail of it.

mod access;
mod audit;
mod overrides;

pub use audit::{AuditPage, ListAudit};
pub use overrides::{ListOverrides, OverridesAnswer};
