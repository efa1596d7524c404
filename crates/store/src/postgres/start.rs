//! Opening: connects, brings the schema to this version, and starts the thread that writes and listens.

use std::{
    sync::{Arc, mpsc as plain},
    thread::JoinHandle,
};

use agentcafe_domain::kernel::time::Clock;
use agentcafe_eventlog::RecentEvents;
use deadpool_postgres::Object;
use tokio::sync::{Notify, mpsc};

use super::{
    clock::SharedClock,
    connection::Connection,
    database::Database,
    events::Standing,
    listen::{AT_WORK, Listener, Shared, TailCatchUp},
    migrations::{self, MayChange, Migrated},
    open::{self, Address, PostgresOptions, with_causes},
    reads::PostgresReads,
    schema::Schema,
    writer::Writer,
};
use crate::{
    batch::{CommitReport, WriterTask},
    changes::Changes,
    commit::Context,
    sqlite::open::OpenError,
};

/// Connections for filling the tail: one for the listener, one for the writer, one for who reads.
const FILLERS: usize = 3;
/// Connections that hold names, one each: how many errands go on at once.
const LOCKS: usize = 8;

/// An open store.
pub(crate) struct Started {
    pub(crate) recent_events: Arc<RecentEvents>,
    /// The time of all nodes.
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) reads: PostgresReads,
    pub(crate) writer: JoinHandle<()>,
}

/// What the writer's thread has made ready.
struct Ready {
    address: Address,
    schema: Arc<Schema>,
    shared: Arc<Shared>,
}

pub(super) fn unfit(error: impl std::error::Error) -> OpenError {
    OpenError::Database(with_causes(&error))
}

/// A connection to a database that has the schema of this version.
pub(super) async fn ready(
    address: &Address,
    what: &str,
    options: &PostgresOptions,
) -> Result<Object, OpenError> {
    let client = open::patiently(&address.pool(what, 1)).await.map_err(unfit)?;
    let may_change = if options.auto_migrate { MayChange::Yes } else { MayChange::No };
    let migrated = migrations::apply(&client, options.migration_lock_key, may_change).await.map_err(unfit)?;
    match migrated.applied.first().filter(|_| !options.auto_migrate) {
        None => Ok(client),
        Some(name) => Err(OpenError::Database(format!(
            "migration {name} is missing, and API_DB_AUTO_MIGRATE is false; run agentcafe migrate"
        ))),
    }
}

/// Brings the schema of a database to this version, or tells what is missing. Blocks until that is done.
///
/// # Errors
/// [`OpenError::Database`] says why not.
pub fn migrate(options: &PostgresOptions, may_change: MayChange) -> Result<Migrated, OpenError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unfit)?;
    runtime.block_on(async {
        let address = Address::read(options.url.expose()).map_err(OpenError::Database)?;
        let client = open::patiently(&address.pool("migrates", 1)).await.map_err(unfit)?;
        migrations::apply(&client, options.migration_lock_key, may_change).await.map_err(unfit)
    })
}

/// Connects, checks or makes the schema, and reads the head of the log.
async fn prepare(
    options: &PostgresOptions,
    changes: Arc<Changes>,
    clock: Arc<SharedClock>,
) -> Result<Ready, OpenError> {
    let address = Address::read(options.url.expose()).map_err(OpenError::Database)?;
    let client = ready(&address, "starts", options).await?;
    let shared = client.query_one("SELECT pg_try_advisory_lock_shared($1)", &[&AT_WORK]).await;
    if !shared.and_then(|row| row.try_get(0)).map_err(unfit)? {
        return Err(OpenError::Database("an import is filling it".to_owned()));
    }
    let schema = Arc::new(Schema::read(&client).await.map_err(unfit)?);
    let connection = Connection::new(client, Arc::clone(&schema));
    let Standing { head, numbers, now } = Standing::read(&connection).await.map_err(unfit)?;
    clock.learn(now);
    changes.learn(&numbers);
    let shared = Shared { recent_events: Arc::new(RecentEvents::new(head)), changes, clock };
    Ok(Ready { address, schema, shared: Arc::new(shared) })
}

/// Opens the store. Blocks until it is open, or it is clear that it cannot be.
///
/// # Errors
/// [`OpenError::Database`] says why not.
pub(crate) fn start(
    options: PostgresOptions,
    context: Context,
    changes: Arc<Changes>,
    clock: Arc<dyn Clock>,
    on_commit: Box<dyn Fn(&CommitReport) + Send>,
    waiting: mpsc::Receiver<WriterTask>,
) -> Result<Started, OpenError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unfit)?;
    let (pool_max, idle_timeout) = (options.pool_max, options.idle_timeout);
    let mut context = context;
    let node = context.ids.fresh(clock.now()).to_string();
    let clock = Arc::new(SharedClock::new(clock, options.time));
    let shared_clock = Arc::clone(&clock);
    let (tell, told) = plain::channel();
    let writing = move || {
        runtime.block_on(async move {
            let ready = match prepare(&options, changes, clock).await {
                Ok(ready) => ready,
                Err(error) => return drop(tell.send(Err(error))),
            };
            let Ready { address, schema, shared } = ready;
            let catch_up =
                TailCatchUp::new(address.pool("follows", FILLERS), Arc::clone(&schema), Arc::clone(&shared));
            let writer = Writer {
                database: Database::new(
                    address.pool("writes", 1),
                    Arc::clone(&schema),
                    Arc::clone(&shared.clock),
                    node.clone(),
                ),
                catch_up: catch_up.clone(),
                context,
                head: shared.recent_events.head(),
                shared: Arc::clone(&shared),
                on_commit,
            };
            let reading = address.pool("reads", pool_max);
            let (fillers, locks) = (address.pool("follows", 1), address.pool("holds", LOCKS));
            if tell.send(Ok((reading.clone(), fillers, locks, schema, shared))).is_err() {
                return;
            }
            let closed = Arc::new(Notify::new());
            let listener = Listener { address, catch_up, node, reading, idle_timeout };
            let listening = tokio::spawn(listener.run(Arc::clone(&closed)));
            writer.run(waiting).await;
            closed.notify_one();
            if let Err(error) = listening.await {
                tracing::error!(%error, "listening ended badly");
            }
        });
    };
    let writer = std::thread::Builder::new().name("writer".to_owned()).spawn(writing).map_err(unfit)?;
    let ended = |_| OpenError::Database("the writer ended before the store was open".to_owned());
    let opened = told.recv().map_err(ended)?;
    let (pool, fillers, locks, schema, shared) = opened?;
    let recent_events = Arc::clone(&shared.recent_events);
    let catch_up = TailCatchUp::new(fillers, Arc::clone(&schema), shared);
    let reads = PostgresReads { pool, locks, schema, catch_up };
    Ok(Started { recent_events, clock: shared_clock, reads, writer })
}
