//! What goes out: the payment provider is asked for commands that need it.

pub mod outside;
pub mod payment;

pub use outside::Outside;
