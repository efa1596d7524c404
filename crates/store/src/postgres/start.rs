//! Opening: connects, brings the schema to this version, and starts the thread that writes and listens.

use std::{
    sync::{Arc, atomic::AtomicBool, mpsc as plain},
    thread::JoinHandle,
    time::Duration,
};

use agentcafe_domain::time::Clock;
use tokio::{
    sync::{Notify, mpsc},
    time::sleep,
};

use super::{
    connection::Connection,
    database::Database,
    events,
    listen::{Ears, Filler, Listener},
    migrations::{self, MigrationError},
    open::{self, Address, PostgresOptions, Unreadable},
    reads::PostgresReads,
    schema::Schema,
    writer::Writer,
};
use crate::{
    batch::{Task, TurnReport},
    changes::Changes,
    sqlite::open::OpenError,
    tail::Tail,
    turn::Context,
};

/// How often, and with which pause, one waits for another process to let go of the database.
const TAKE_ATTEMPTS: usize = 25;
const TAKE_PAUSE: Duration = Duration::from_millis(200);
/// Connections for filling the tail: one for the listener, one for the writer, one for who reads.
const FILLERS: usize = 3;

/// An open store.
pub(crate) struct Started {
    pub(crate) tail: Arc<Tail>,
    pub(crate) reads: PostgresReads,
    pub(crate) writer: JoinHandle<()>,
}

/// What the writer's thread has made ready.
struct Ready {
    address: Address,
    schema: Arc<Schema>,
    tail: Arc<Tail>,
}

/// The error and what caused it: that of the driver alone says little.
fn unfit(error: impl std::error::Error) -> OpenError {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        why = format!("{why}: {error}");
        cause = error.source();
    }
    OpenError::Database(why)
}

/// Connects, checks or makes the schema, and reads the head of the log.
async fn prepare(options: &PostgresOptions) -> Result<Ready, OpenError> {
    let address = Address::read(options.url.expose()).map_err(OpenError::Database)?;
    let pool = address.pool(1);
    let client = open::patiently(&pool).await.map_err(unfit)?;
    let migrated = migrations::apply(&client, options.migration_lock_key, options.auto_migrate).await;
    migrated.map_err(|error: MigrationError| unfit(error))?;
    let schema = Arc::new(Schema::read(&client).await.map_err(unfit)?);
    let connection = Connection { client, schema: Arc::clone(&schema) };
    let head = events::head(&connection).await.map_err(|error| unfit(Unreadable::from(error)))?;
    Ok(Ready { address, schema, tail: Arc::new(Tail::new(head)) })
}

/// Takes the database for this process. One that was just killed lets go of it in a moment.
async fn alone(address: &Address) -> Result<Ears, OpenError> {
    for _ in 0..TAKE_ATTEMPTS {
        if let Some(ears) = Ears::open(address).await.map_err(unfit)? {
            return Ok(ears);
        }
        sleep(TAKE_PAUSE).await;
    }
    Err(OpenError::Database("another agentcafe works on it; this version runs one at a time".to_owned()))
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
    on_turn: Box<dyn Fn(&TurnReport) + Send>,
    waiting: mpsc::Receiver<Task>,
) -> Result<Started, OpenError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unfit)?;
    let (pool_max, idle_timeout, time) = (options.pool_max, options.idle_timeout, options.time);
    let mut context = context;
    let node = context.ids.fresh(clock.now()).to_string();
    let (tell, told) = plain::channel();
    let writing = move || {
        runtime.block_on(async move {
            let ready = match prepare(&options).await {
                Ok(ready) => ready,
                Err(error) => return drop(tell.send(Err(error))),
            };
            let Ready { address, schema, tail } = ready;
            let filler = Filler::new(address.pool(FILLERS), Arc::clone(&schema), Arc::clone(&tail));
            let ears = match alone(&address).await {
                Ok(ears) => ears,
                Err(error) => return drop(tell.send(Err(error))),
            };
            let is_alone = Arc::new(AtomicBool::new(true));
            let writer = Writer {
                database: Database::new(address.pool(1), Arc::clone(&schema), time, node.clone()),
                filler: filler.clone(),
                context,
                clock,
                head: tail.head(),
                tail: Arc::clone(&tail),
                changes: Arc::clone(&changes),
                is_alone: Arc::clone(&is_alone),
                on_turn,
            };
            let reading = address.pool(pool_max);
            let fillers = address.pool(1);
            if tell.send(Ok((reading.clone(), fillers, schema, tail))).is_err() {
                return;
            }
            let closed = Arc::new(Notify::new());
            let listener = Listener { address, filler, changes, node, is_alone, reading, idle_timeout };
            let listening = tokio::spawn(listener.run(ears, Arc::clone(&closed)));
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
    let (pool, fillers, schema, tail) = opened?;
    let filler = Filler::new(fillers, Arc::clone(&schema), Arc::clone(&tail));
    let reads = PostgresReads { pool, schema, filler };
    Ok(Started { tail, reads, writer })
}
