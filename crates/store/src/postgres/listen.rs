//! What other nodes write: a notification says that there is something, and the log says what.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use agentcafe_domain::kernel::{
    event::{EventType, StoredEvent},
    ids::{ActorId, InvalidId, RoomId, TenantId},
    time::Timestamp,
};
use agentcafe_eventlog::RecentEvents;
use bytes::Bytes;
use deadpool_postgres::Pool;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_postgres::{AsyncMessage, Client, Error, Row};

use super::{
    clock::SharedClock,
    connection::Connection,
    events::{self, Standing},
    open::{Address, Messages, Unreadable},
    schema::Schema,
};
use crate::changes::Changes;

/// The advisory lock that those share who work on a database, and that an import has alone.
pub(super) const AT_WORK: i64 = 942_516_432;
/// How long a notification may fail to come before one looks all the same.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long is waited before listening is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// The most events that are taken over at once, and their size.
const MAX_EVENTS: i64 = 2_000;
const MAX_BYTES: i64 = 4 << 20;
/// What comes behind a place: as many events as fit, and the first in any case.
const NEXT: &str =
    "SELECT sequence, event_id, tenant_id, room_id, actor_id, type, at_ms, mentioned_actor_id, json
     FROM (SELECT *, sum(octet_length(json)) OVER (ORDER BY sequence) AS bytes
           FROM (SELECT * FROM events WHERE sequence > $1 AND sequence <= $2
                 ORDER BY sequence LIMIT $3) AS page) AS summed
     WHERE bytes <= $4 OR bytes = octet_length(json) ORDER BY sequence";
/// How far behind the log a tail may be to be filled event by event; else it begins anew at the head.
const MAX_BEHIND: u64 = 50_000;

/// Takes what others have written into the tail.
#[derive(Clone)]
pub(super) struct TailCatchUp {
    pool: Pool,
    schema: Arc<Schema>,
    shared: Arc<Shared>,
    /// How many fillings have begun.
    begun: Arc<AtomicU64>,
    /// The last of them that succeeded; held while one goes on.
    done: Arc<tokio::sync::Mutex<u64>>,
}

/// What a node knows of the others.
pub(super) struct Shared {
    pub(super) recent_events: Arc<RecentEvents>,
    pub(super) changes: Arc<Changes>,
    pub(super) clock: Arc<SharedClock>,
}

impl TailCatchUp {
    pub(super) fn new(pool: Pool, schema: Arc<Schema>, shared: Arc<Shared>) -> Self {
        Self { pool, schema, shared, begun: Arc::default(), done: Arc::default() }
    }

    /// Fills the tail up to the head of the log. What fails is logged, and tried again at the next occasion.
    pub(super) async fn fill(&self) {
        if let Err(error) = self.try_fill().await {
            tracing::warn!(%error, "what other nodes wrote cannot be read right now");
        }
    }

    /// The same. All who wait for their turn share the filling that begins next.
    ///
    /// # Errors
    /// The tail is as far as it came.
    pub(super) async fn try_fill(&self) -> Result<(), Unreadable> {
        let before = self.begun.load(Ordering::SeqCst);
        let mut done = self.done.lock().await;
        if *done > before {
            // It has looked at the head after this was called.
            return Ok(());
        }
        let this = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let connection = Connection::of(&self.pool, &self.schema).await?;
        let filled = connection.in_time(self.fill_from(&connection)).await;
        connection.adapt(filled)?;
        *done = this;
        Ok(())
    }

    async fn fill_from(&self, connection: &Connection) -> Result<(), Unreadable> {
        let Shared { recent_events, changes, clock } = self.shared.as_ref();
        let Standing { head, numbers, now } = Standing::read(connection).await?;
        clock.learn(now);
        // Before the events can be seen: who sees one of them knows that its copies may be old.
        changes.learn(&numbers);
        if head.0.saturating_sub(recent_events.last_sequence().0) > MAX_BEHIND {
            recent_events.reset_to(head);
            return Ok(());
        }
        while recent_events.last_sequence() < head {
            let (after, up_to) = (events::number(recent_events.last_sequence()), events::number(head));
            let rows = connection.query(NEXT, &[&after, &up_to, &MAX_EVENTS, &MAX_BYTES]).await?;
            let batch = rows.iter().map(stored_event).collect::<Result<Vec<_>, _>>()?;
            if batch.is_empty() {
                return Ok(());
            }
            recent_events.publish(batch);
        }
        Ok(())
    }
}

fn stored_event(row: &Row) -> Result<StoredEvent, Unreadable> {
    let invalid = |why: InvalidId| Unreadable::Content(why.to_string());
    let text = |at: usize| row.try_get::<_, &str>(at);
    let kind = text(5)?;
    let mentioned: Option<&str> = row.try_get(7)?;
    Ok(StoredEvent {
        sequence: events::sequence(row.try_get(0)?),
        event_id: row.try_get(1)?,
        tenant_id: TenantId::parse(text(2)?).map_err(invalid)?,
        room_id: RoomId::parse(text(3)?).map_err(invalid)?,
        actor_id: ActorId::parse(text(4)?).map_err(invalid)?,
        kind: EventType::parse(kind)
            .ok_or_else(|| Unreadable::Content(format!("an event of type {kind:?}")))?,
        timestamp: Timestamp::from_millis(row.try_get(6)?),
        mentioned: mentioned.map(ActorId::parse).transpose().map_err(invalid)?,
        json: Bytes::copy_from_slice(text(8)?.as_bytes()),
    })
}

/// A connection that listens.
pub(super) struct Ears {
    client: Client,
    messages: Messages,
}

/// Waits for an answer while nobody else drives the connection yet.
async fn driven<T>(
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

impl Ears {
    /// Begins to listen: what is notified from now on is heard.
    async fn open(address: &Address) -> Result<Self, Unreadable> {
        let (client, mut messages) = address.connect("listens").await?;
        // Says that somebody works on the database; an import wants it for itself.
        let at_work = client.query("SELECT pg_advisory_lock_shared($1)", &[&AT_WORK]);
        driven(&mut messages, at_work).await?;
        driven(&mut messages, client.batch_execute("LISTEN agentcafe_log")).await?;
        Ok(Self { client, messages })
    }
}

/// Keeps a node up with the others.
pub(super) struct Listener {
    pub(super) address: Address,
    pub(super) catch_up: TailCatchUp,
    /// What this node's own notifications say.
    pub(super) node: String,
    /// The connections that read, and how long one is kept that nobody needs.
    pub(super) reading: Pool,
    pub(super) idle_timeout: Duration,
}

impl Listener {
    /// Listens until the store is closed, and fills the tail whenever there is something, or may be.
    pub(super) async fn run(self, closed: Arc<Notify>) {
        let listening = async {
            loop {
                let listened = match Ears::open(&self.address).await {
                    Ok(ears) => self.listen(ears).await,
                    Err(error) => Err(error),
                };
                if let Err(error) = listened {
                    tracing::warn!(%error, "listening to PostgreSQL was interrupted; trying again");
                }
                sleep(PAUSE).await;
            }
        };
        tokio::select! {
            () = closed.notified() => {}
            () = listening => {}
        }
    }

    async fn listen(&self, ears: Ears) -> Result<(), Unreadable> {
        let Ears { client, mut messages } = ears;
        let heard = Notify::new();
        // Nobody knows what was not heard before.
        heard.notify_one();
        let receiving = async {
            while let Some(message) = std::future::poll_fn(|context| messages.poll_message(context)).await {
                if let AsyncMessage::Notification(notification) = message?
                    && notification.payload() != self.node
                {
                    heard.notify_one();
                }
            }
            Err(Unreadable::Unreachable("the connection has ended".to_owned()))
        };
        let filling = async {
            loop {
                let _ = timeout(LOOK_EVERY, heard.notified()).await;
                self.catch_up.fill().await;
                self.reading.retain(|_, metrics| metrics.last_used() < self.idle_timeout);
            }
        };
        let ended = tokio::select! {
            ended = receiving => ended,
            () = filling => Ok(()),
        };
        drop(client);
        ended
    }
}
