//! What goes out, and what the café does by itself: the payment provider is asked for commands that need it, webhooks are
//! told of events, reactions answer them.

pub mod outside;
pub mod payment;
pub mod reactions;
pub mod webhook;

pub use outside::Outside;
pub use webhook::courier::Courier;
