//! The writer's side of the database: runs a turn in one transaction behind the row of the heads, all or nothing, in as
//! many round trips as it has read stages, and one more.

use std::sync::Arc;

use agentcafe_domain::kernel::{
    command::{Heads, LoadedRecords},
    ids::Sequence,
    record::{Key, Query, Table},
    time::Timestamp,
};
use deadpool_postgres::Pool;
use tokio_postgres::Row;

use super::{
    clock::SharedClock,
    connection::Connection,
    events,
    in_order::{self, Order},
    keys,
    open::{Attempts, Unreadable},
    records::{self, Get, Selection},
    schema::Schema,
    traces,
};
use crate::{
    changes::{self, Numbers},
    commit::{CommitBatch, Needs, StoredKey, Writes},
    envelope::TraceNote,
};

/// Locks the row that serialises the turns of all nodes, and reads it.
const LOCK_HEADS: &str =
    "SELECT sequence, watched, (extract(epoch from clock_timestamp()) * 1000)::bigint, inbox, audit, at_ms
     FROM log_head FOR UPDATE";
const MOVE_HEADS: &str =
    "UPDATE log_head SET sequence = $1, watched = $2, inbox = $3, audit = $4, at_ms = $5";
/// Wakes the other nodes, and says who does. A hint: the log is the truth.
const NOTIFY: &str = "SELECT pg_notify('agentcafe_log', $1)";

/// What is done in a turn's transaction beside its commands.
pub(super) struct Extra<'b> {
    /// Traces of requests that ended before their turn.
    pub(super) notes: &'b [TraceNote],
    /// Whether to delete what is no longer needed.
    pub(super) purging: bool,
}

/// The connection that writes.
pub(super) struct Database {
    pool: Pool,
    schema: Arc<Schema>,
    clock: Arc<SharedClock>,
    /// What this node's notifications say.
    node: String,
}

/// A turn that is in the log.
pub(super) struct Committed {
    /// The heads before it.
    pub(super) before: Heads,
    /// How often the tables that are watched have been written to, by this turn and all before.
    pub(super) numbers: Numbers,
    /// Whether there is more to purge.
    pub(super) more: bool,
    /// How often the database was waited for.
    pub(super) round_trips: u32,
}

impl Database {
    pub(super) fn new(pool: Pool, schema: Arc<Schema>, clock: Arc<SharedClock>, node: String) -> Self {
        Self { pool, schema, clock, node }
    }

    /// Runs a turn in one transaction. What is lost with its connection before anything was decided is tried again; later it
    /// is not known whether it was committed.
    ///
    /// # Errors
    /// Nothing of the turn was written; or, if the connection was lost while it was committed, all of it: then its
    /// idempotency keys know. [`Unreadable::Unreachable`] if there is no database to write to.
    pub(super) async fn write_batch(
        &self,
        batch: &mut CommitBatch<'_>,
        needs: Needs,
        extra: &Extra<'_>,
    ) -> Result<Committed, Unreadable> {
        let stage = Stage::of(&self.schema, needs);
        let (connection, rows) = self.open(&stage).await?;
        let written = connection.in_time(self.run(&connection, batch, (stage, rows), extra)).await;
        if written.is_err() {
            // Its transaction may still be open: with the connection it ends.
            connection.discard();
        }
        written
    }

    /// Begins the transaction, and reads what is needed first.
    async fn open(&self, stage: &Stage) -> Result<(Connection, Vec<Vec<Row>>), Unreadable> {
        let mut attempts = Attempts::default();
        loop {
            let error = match Connection::of(&self.pool, &self.schema).await {
                Err(error) => error,
                Ok(connection) => {
                    let orders = stage.orders(true);
                    let reading = async { Ok(in_order::run(&connection, &orders).await?) };
                    match connection.in_time(reading).await {
                        Ok(rows) => return Ok((connection, rows)),
                        Err(error) => {
                            connection.discard();
                            error
                        }
                    }
                }
            };
            if !attempts.goes_on(&error).await {
                let is_lost = error.is_lost();
                return Err(if is_lost { Unreadable::Unreachable(error.to_string()) } else { error });
            }
        }
    }

    async fn run(
        &self,
        connection: &Connection,
        batch: &mut CommitBatch<'_>,
        (mut stage, mut rows): (Stage, Vec<Vec<Row>>),
        extra: &Extra<'_>,
    ) -> Result<Committed, Unreadable> {
        let head = Head::read(rows.remove(1).first())?;
        rows.remove(0);
        let now = self.clock.learn(head.database_now).max(head.last_at);
        batch.start(now, head.heads);
        loop {
            let (loaded, known) = stage.found(&self.schema, rows)?;
            batch.supply(loaded, known);
            let needs = batch.decide();
            if needs.is_empty() {
                break;
            }
            stage = Stage::of(&self.schema, needs);
            rows = in_order::run(connection, &stage.orders(false)).await?;
        }
        let more = extra.purging && (keys::purge(connection, now).await? | traces::purge(connection).await?);
        let numbers = changes::counted(head.numbers, &batch.writes().records);
        write(connection, &self.node, batch.writes(), (batch.heads(), &numbers, now), extra).await?;
        Ok(Committed { before: head.heads, numbers, more, round_trips: connection.round_trips() })
    }
}

/// The row of the heads, locked.
struct Head {
    heads: Heads,
    numbers: Numbers,
    last_at: Timestamp,
    database_now: Timestamp,
}

impl Head {
    fn read(row: Option<&Row>) -> Result<Self, Unreadable> {
        let row = row.ok_or_else(|| Unreadable::Content("no row of heads".to_owned()))?;
        let heads = Heads {
            sequence: events::sequence(row.try_get(0)?),
            inbox: events::sequence(row.try_get(3)?),
            audit: events::sequence(row.try_get(4)?),
        };
        Ok(Self {
            heads,
            numbers: events::numbers(row.try_get(1)?),
            database_now: Timestamp::from_millis(row.try_get(2)?),
            last_at: Timestamp::from_millis(row.try_get(5)?),
        })
    }
}

/// What is read in one round trip.
struct Stage {
    lists: Vec<(Query, Selection)>,
    gets: Vec<(&'static Table, Vec<Key>, Get)>,
    keys: Option<Vec<Vec<u8>>>,
}

impl Stage {
    fn of(schema: &Schema, needs: Needs) -> Self {
        let mut by_table: Vec<(&'static Table, Vec<Key>)> = Vec::new();
        let mut lists = Vec::new();
        for query in needs.queries {
            match query {
                Query::One(table, key) => match by_table.iter_mut().find(|(known, _)| *known == table) {
                    Some((_, keys)) => keys.push(key),
                    None => by_table.push((table, vec![key])),
                },
                Query::Many(find) => {
                    let selection = Selection::of(schema, &find);
                    lists.push((Query::Many(find), selection));
                }
            }
        }
        let get = |(table, keys): (&'static Table, Vec<Key>)| {
            let get = Get::of(schema, table, &keys);
            (table, keys, get)
        };
        let keys: Vec<Vec<u8>> = needs.keys.iter().map(|identity| identity.to_vec()).collect();
        let gets = by_table.into_iter().map(get).collect();
        Self { lists, gets, keys: (!keys.is_empty()).then_some(keys) }
    }

    fn orders(&self, opening: bool) -> Vec<Order<'_>> {
        let begin = [Order::new("BEGIN", &[]), Order::new(LOCK_HEADS, &[])];
        let begin = begin.into_iter().filter(|_| opening);
        let lists = self.lists.iter().map(|(_, selection)| selection.order());
        let gets = self.gets.iter().map(|(.., get)| get.order());
        let keys = self.keys.iter().map(|identities| Order::new(keys::READ, &[identities]));
        begin.chain(lists).chain(gets).chain(keys).collect()
    }

    fn found(
        self,
        schema: &Schema,
        rows: Vec<Vec<Row>>,
    ) -> Result<(LoadedRecords, Vec<StoredKey>), Unreadable> {
        let mut rows = rows.into_iter();
        let mut next = || rows.next().unwrap_or_default();
        let mut loaded = LoadedRecords::new();
        for (query, selection) in self.lists {
            loaded.insert(query, selection.found(schema, &next())?);
        }
        for (table, keys, get) in self.gets {
            let mut records = get.found(schema, &next())?;
            for key in keys {
                let record = records.remove(&key);
                loaded.insert(Query::One(table, key), record.into_iter().collect());
            }
        }
        let known = if self.keys.is_some() { keys::read(&next())? } else { Vec::new() };
        Ok((loaded, known))
    }
}

/// Writes all that the turn made, and commits: one round trip.
async fn write(
    connection: &Connection,
    node: &str,
    writes: &Writes,
    (heads, numbers, now): (Heads, &Numbers, Timestamp),
    extra: &Extra<'_>,
) -> Result<(), Unreadable> {
    let log = events::Columns::of(&writes.events);
    let known = keys::Columns::of(&writes.keys);
    let notes: Vec<&TraceNote> = writes.traces.iter().chain(extra.notes).collect();
    let traces = traces::Columns::of(&notes);
    let [sequence, inbox, audit] =
        [heads.sequence, heads.inbox, heads.audit].map(|head: Sequence| events::number(head));
    let (watched, at_ms) = (numbers.as_slice(), now.as_millis());
    let records: Vec<_> = writes
        .records
        .tables()
        .flat_map(|(table, written)| records::writes(&connection.schema, table, written))
        .collect();
    let mut orders: Vec<Order<'_>> = records.iter().map(records::Write::order).collect();
    if !writes.events.is_empty() {
        orders.push(Order::new(events::APPEND, &log.parameters()));
    }
    if !writes.events.is_empty() || !records.is_empty() {
        orders.push(Order::new(NOTIFY, &[&node]));
    }
    if !writes.keys.is_empty() {
        orders.push(Order::new(keys::WRITE, &known.parameters()));
    }
    if !notes.is_empty() {
        orders.push(Order::new(traces::APPEND, &traces.parameters()));
    }
    orders.push(Order::new(MOVE_HEADS, &[&sequence, &watched, &inbox, &audit, &at_ms]));
    orders.push(Order::new("COMMIT", &[]));
    in_order::run(connection, &orders).await?;
    Ok(())
}
