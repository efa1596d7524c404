//! What the server does on its own: it delivers webhooks, runs reactions, and calls the payment provider for commands.

mod external_client;
mod payment;
pub mod reactions;
mod reconnecting_client;
mod signature;
pub mod webhook;

pub use external_client::ExternalClient;
pub use payment::PaymentProvider;
pub use webhook::sender::WebhookSender;
