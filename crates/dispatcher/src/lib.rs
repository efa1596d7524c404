//! What goes out, and what the café does by itself: the payment provider is asked, reactions answer events.

pub mod outside;
pub mod payment;
pub mod reactions;

pub use outside::Outside;
