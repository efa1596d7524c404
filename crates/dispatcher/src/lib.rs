//! What goes out, and what the café does by itself: the payment provider is asked for commands that need it, webhooks are
//! told of events, reactions answer them.

pub mod external_client;
pub mod payment;
pub mod reactions;
pub mod webhook;

pub use external_client::ExternalClient;
pub use webhook::sender::WebhookSender;
