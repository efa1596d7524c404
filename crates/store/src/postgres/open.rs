//! Opens a store in PostgreSQL: connects, migrates the schema, and starts what listens to other nodes.

use std::sync::Arc;

use agentcafe_domain::kernel::{Clock, ClockAnchor, Record};
use agentcafe_eventlog::RecentEvents;
use deadpool_postgres::Object;
use tokio::sync::Notify;
use tokio_postgres::Client;

use super::catch_up::{CatchUp, NodeState};
use super::clock::SharedClock;
use super::connect::{Address, PostgresOptions, connect_with_retry};
use super::connection::Connection;
use super::events::CommittedHead;
use super::listener::{IN_USE, Listener};
use super::reader::PostgresReader;
use super::schema::Schema;
use super::search_index::PostgresIndex;
use super::storage::PostgresStorage;
use super::{blocking, migrations, records};
use crate::index_rows::identity;
use crate::migrations::{MayChange, Migrated};
use crate::open_error::OpenError;
use crate::steady_clock::SteadyClock;
use crate::storage::{Opened, View};
use crate::storage_error::with_causes;
use crate::table_changes::TableChanges;

/// Connections that hold locks, one each: how many external calls run at once.
const LOCK_CONNECTIONS: usize = 8;

/// The id of the log, which changes with its epoch.
pub(super) const LOG_ID: &str = "log_id || '-' || epoch";

pub(super) fn open_error(error: impl std::error::Error) -> OpenError {
    OpenError::Database(with_causes(&error))
}

/// A connection with this name. A database that was just started gets some time.
pub(super) async fn connect(address: &Address, what: &str) -> Result<Object, OpenError> {
    connect_with_retry(&address.pool(what, 1)).await.map_err(open_error)
}

/// Migrates the schema to this version if the options allow it; else it must be of this version.
pub(super) async fn migrate_or_check(client: &Client, options: &PostgresOptions) -> Result<(), OpenError> {
    let may_change = if options.auto_migrate { MayChange::Yes } else { MayChange::No };
    let migrated =
        migrations::apply(client, options.migration_lock_key, may_change).await.map_err(open_error)?;
    match migrated.applied.first().filter(|_| !options.auto_migrate) {
        None => Ok(()),
        Some(name) => Err(OpenError::Database(format!(
            "migration {name} is missing, and API_DB_AUTO_MIGRATE is false; run agentcafe migrate"
        ))),
    }
}

/// Migrates the schema of a database to this version, or reports what is missing. Blocks until that is done.
///
/// # Errors
/// [`OpenError::Database`] says why not.
pub fn migrate(options: &PostgresOptions, may_change: MayChange) -> Result<Migrated, OpenError> {
    let migrated = blocking::run(options, "migrates", async |client| {
        migrations::apply(&client, options.migration_lock_key, may_change).await.map_err(open_error)
    });
    migrated.map(|(_, migrated)| migrated)
}

/// Connects, migrates the schema, and reads the head of the log.
async fn prepare(
    address: &Address,
    options: &PostgresOptions,
    table_changes: Arc<TableChanges>,
    clock: Arc<dyn Clock>,
) -> Result<(Arc<Schema>, Arc<NodeState>, String), OpenError> {
    let client = connect(address, "starts").await?;
    migrate_or_check(&client, options).await?;
    let locked = client.query_one("SELECT pg_try_advisory_lock_shared($1)", &[&IN_USE]).await;
    if !locked.and_then(|row| row.try_get(0)).map_err(open_error)? {
        return Err(OpenError::Database("an import is running".to_owned()));
    }
    let schema = Arc::new(Schema::read(&client).await.map_err(open_error)?);
    let log_id = client.query_one(&format!("SELECT {LOG_ID} FROM log_identity"), &[]).await;
    let log_id = log_id.and_then(|row| row.try_get(0)).map_err(open_error)?;
    let connection = Connection::new(client, Arc::clone(&schema));
    let shared_clock = Arc::new(SharedClock::new(clock, options.time));
    let asked_at = shared_clock.stopwatch();
    let CommittedHead { head, table_versions, now, at } =
        CommittedHead::read(&connection).await.map_err(open_error)?;
    shared_clock.learn(now, asked_at);
    let anchor = match shared_clock.boot_id() {
        Some(boot_id) => {
            let keys = [ClockAnchor::key_of(boot_id)];
            records::get(&connection, ClockAnchor::TABLE, &keys).await.map_err(open_error)?.remove(0)
        }
        None => None,
    };
    let anchor = anchor.and_then(|anchor| anchor.read::<ClockAnchor>().ok());
    let wall = Arc::clone(&shared_clock) as Arc<dyn Clock>;
    let clock = Arc::new(SteadyClock::new(wall, anchor.as_ref(), at));
    table_changes.publish(&table_versions);
    let recent_events = Arc::new(RecentEvents::new(head));
    Ok((schema, Arc::new(NodeState { recent_events, table_changes, shared_clock, clock }), log_id))
}

/// Opens the store. `node` is the name of this node, which no other has.
///
/// # Errors
/// [`OpenError::Database`] says why not.
pub(crate) async fn open(
    options: PostgresOptions,
    table_changes: Arc<TableChanges>,
    clock: Arc<dyn Clock>,
    node: String,
) -> Result<Opened<PostgresStorage>, OpenError> {
    let address = Address::parse(options.url.expose()).map_err(OpenError::Database)?;
    let (schema, state, log_id) = prepare(&address, &options, table_changes, clock).await?;
    // One for the writer's thread, one for readers: a connection stays with the runtime that opened it.
    let catch_up = || CatchUp::new(address.pool("follows", 1), Arc::clone(&schema), Arc::clone(&state));
    let reader = PostgresReader {
        pool: address.pool("reads", options.pool_max),
        locks: address.pool("holds", LOCK_CONNECTIONS),
        schema: Arc::clone(&schema),
        catch_up: catch_up(),
    };
    let catch_up = catch_up();
    let listener = Listener {
        catch_up: catch_up.clone(),
        node: node.clone(),
        reading: reader.pool.clone(),
        idle_timeout: options.idle_timeout,
        address: address.clone(),
    };
    let stop_listening = Arc::new(Notify::new());
    let storage = PostgresStorage {
        pool: address.pool("writes", 1),
        schema: Arc::clone(&schema),
        clock: Arc::clone(&state.clock),
        node,
        catch_up,
        listener: tokio::spawn(listener.run(Arc::clone(&stop_listening))),
        stop_listening,
    };
    let (recent_events, clock) = (Arc::clone(&state.recent_events), Arc::clone(&state.clock));
    let index = PostgresIndex { pool: address.pool("indexes", 1), schema, identity: identity(&log_id) };
    Ok(Opened { storage, view: View { reader, recent_events, clock, log_id, index } })
}
