//! Webhooks: subscriptions, attempts to deliver, and the dead-letter queue.

mod deliveries;
mod dlq;
mod get;
mod list;
mod write;

pub use deliveries::{DeliveryList, ListDeliveries};
pub use dlq::{DlqList, ListDlq};
pub use get::{GetSubscription, OneSubscription};
pub use list::{ListSubscriptions, SubscriptionList};
pub use write::{ChangeSubscription, CreateSubscription, RemoveSubscription};
