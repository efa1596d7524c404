//! The process itself: health, readiness and metrics.

mod health;
mod readiness;

pub use health::Health;
