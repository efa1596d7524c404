//! Listens for the notifications of other nodes: each means that there is something new in the log.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, Error};

use super::catch_up::CatchUp;
use super::connect::{Address, Messages};
use crate::storage_error::StorageError;

/// The advisory lock that all servers of a database share, and that an import takes exclusively.
pub(super) const IN_USE: i64 = 942_516_432;
/// How long a notification may be missing before the node catches up all the same.
const CATCH_UP_INTERVAL: Duration = Duration::from_secs(1);
/// The pause before listening is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Keeps a node up to date with the others.
pub(super) struct Listener {
    pub(super) address: Address,
    pub(super) catch_up: CatchUp,
    /// The payload of this node's own notifications.
    pub(super) node: String,
    /// The connections that read, and how long an idle one is kept.
    pub(super) reading: Pool,
    pub(super) idle_timeout: Duration,
}

/// A connection that receives notifications.
struct Subscription {
    client: Client,
    messages: Messages,
}

impl Subscription {
    /// Subscribes: every notification from now on is received.
    async fn open(address: &Address) -> Result<Self, StorageError> {
        let (client, mut messages) = address.connect("listens").await?;
        let in_use = client.query("SELECT pg_advisory_lock_shared($1)", &[&IN_USE]);
        drive(&mut messages, in_use).await?;
        drive(&mut messages, client.batch_execute("LISTEN agentcafe_log")).await?;
        Ok(Self { client, messages })
    }
}

/// Waits for an answer, and drives the connection meanwhile.
async fn drive<T>(
    messages: &mut Messages,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::pin!(answer);
    loop {
        tokio::select! {
            answered = &mut answer => return answered,
            message = std::future::poll_fn(|context| messages.poll_message(context)) => {
                message.transpose()?;
            }
        }
    }
}

impl Listener {
    /// Listens until the store is closed, and catches up whenever there is something new, or may be.
    pub(super) async fn run(self, closed: Arc<Notify>) {
        let listening = async {
            loop {
                let listened = match Subscription::open(&self.address).await {
                    Ok(subscription) => self.listen(subscription).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = listened {
                    tracing::warn!(%error, "listening to PostgreSQL was interrupted; trying again");
                }
                sleep(RETRY_PAUSE).await;
            }
        };
        tokio::select! {
            () = closed.notified() => {}
            () = listening => {}
        }
    }

    async fn listen(&self, subscription: Subscription) -> Result<(), StorageError> {
        let Subscription { client, mut messages } = subscription;
        let notified = Notify::new();
        // Notifications before the subscription were missed.
        notified.notify_one();
        let receiving = async {
            while let Some(message) = std::future::poll_fn(|context| messages.poll_message(context)).await {
                if let AsyncMessage::Notification(notification) = message?
                    && notification.payload() != self.node
                {
                    notified.notify_one();
                }
            }
            Err(StorageError::Unreachable("the connection has ended".to_owned()))
        };
        let catching_up = async {
            loop {
                let _ = timeout(CATCH_UP_INTERVAL, notified.notified()).await;
                self.catch_up.run().await;
                self.reading.retain(|_, metrics| metrics.last_used() < self.idle_timeout);
            }
        };
        let ended = tokio::select! {
            ended = receiving => ended,
            () = catching_up => Ok(()),
        };
        drop(client);
        ended
    }
}
