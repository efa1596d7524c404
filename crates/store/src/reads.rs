//! The reads that both databases answer with the same statements.

use std::ops::ControlFlow;

use agentcafe_domain::kernel::{
    ActorId, CorrelationId, Key, MAX_STEPS, Owner, RecordQuery, RoomId, Sequence, Status, Step, StepCode,
    StoredRecord, Table, TenantId, Timestamp, Trace,
};
use agentcafe_domain::search::query::WordQuery;
use agentcafe_eventlog::LoggedEvent;
use serde_json::json;
use uuid::Uuid;

use crate::rows::{Parameter, Row, stored_record};
use crate::sql::{Select, conditions, sequence};
use crate::storage_error::StorageError;

/// The most attempts in one trace.
const MAX_ATTEMPTS: i64 = 40;

/// A connection that answers statements. Their parameters are `$1`, `$2`, …, which occur first in this order.
pub(crate) trait ReadConnection {
    /// What the attempts of the correlation id `$1` are selected from.
    const TRACES: &'static str;
    /// Selects the documents `d` of the index with the words `$1` and before the sequence `$2`, newest first, at most `$3`.
    const DOCUMENTS_WITH_WORDS: &'static str;

    /// Passes the rows that a statement returns to `take`, until it breaks.
    async fn read<E: From<StorageError>>(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        take: impl FnMut(&dyn Row) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E>;

    /// The last sequence that was assigned.
    async fn last_sequence(&self) -> Result<Sequence, StorageError>;

    /// The last event before a time, in a log that ends at `head`.
    async fn last_before(&self, head: Sequence, time: Timestamp) -> Result<Sequence, StorageError>;

    /// The events with these sequences, in this order; after the first, only as many as `max_bytes` of JSON hold.
    async fn events_at(
        &self,
        sequences: &[Sequence],
        max_bytes: usize,
    ) -> Result<Vec<LoggedEvent>, StorageError>;

    /// The records with these keys, in the order of the keys.
    async fn records_with_keys(
        &self,
        table: &Table,
        keys: &[Key],
    ) -> Result<Vec<Option<StoredRecord>>, StorageError>;

    /// A query as a statement.
    fn select<'q>(&self, query: &'q RecordQuery) -> Select<'q>;

    /// A query for words, as the database reads it.
    fn word_query(query: &WordQuery) -> String;

    /// Spares rows of a page of events that are not read, behind the one with which it exceeds `max_bytes`.
    fn limit_bytes(_page: &mut String, _parameters: &mut Vec<Parameter<'_>>, _order: &str, _max_bytes: i64) {}
}

/// A read that a connection of either database answers.
pub(crate) trait ReadRequest: Send + Sync + 'static {
    /// The answer.
    type Answer: Send + 'static;

    async fn read<C: ReadConnection>(&self, connection: &C) -> Result<Self::Answer, StorageError>;
}

/// Collects what fits into a limit of bytes, and the first in any case.
pub(crate) struct Fitting<T> {
    pub(crate) taken: Vec<T>,
    /// Whether there was more.
    pub(crate) is_cut: bool,
    bytes: usize,
    max_bytes: usize,
}

impl<T> Fitting<T> {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { taken: Vec::new(), is_cut: false, bytes: 0, max_bytes }
    }

    /// Adds an item of this size, or breaks.
    pub(crate) fn add(&mut self, bytes: usize, item: T) -> ControlFlow<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.is_cut = self.bytes > self.max_bytes && !self.taken.is_empty();
        if self.is_cut {
            return ControlFlow::Break(());
        }
        self.taken.push(item);
        ControlFlow::Continue(())
    }
}

/// The number in the first row, if there is one.
pub(crate) async fn first_sequence<C: ReadConnection>(
    connection: &C,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<Option<Sequence>, StorageError> {
    let mut found = None;
    let take = |row: &dyn Row| -> Result<_, StorageError> {
        found = Some(sequence(row.integer(0)?));
        Ok(ControlFlow::Break(()))
    };
    connection.read(sql, parameters, take).await?;
    Ok(found)
}

/// Reads the sequence of the event with this id.
pub(crate) struct SequenceOf(pub(crate) Uuid);

impl ReadRequest for SequenceOf {
    type Answer = Option<Sequence>;

    async fn read<C: ReadConnection>(&self, connection: &C) -> Result<Option<Sequence>, StorageError> {
        let id = [Parameter::bytes(self.0.as_bytes())];
        first_sequence(connection, "SELECT sequence FROM events WHERE event_id = $1", &id).await
    }
}

/// Reads the sequence of the room's event before its newest `count`; the start of the log if the room has no more.
pub(crate) struct BeforeNewest {
    pub(crate) tenant: TenantId,
    pub(crate) room: RoomId,
    pub(crate) count: u32,
}

impl ReadRequest for BeforeNewest {
    type Answer = Sequence;

    async fn read<C: ReadConnection>(&self, connection: &C) -> Result<Sequence, StorageError> {
        let sql = "SELECT sequence FROM events WHERE tenant_id = $1 AND room_id = $2
                   ORDER BY sequence DESC LIMIT 1 OFFSET $3";
        let (tenant, room) = (Parameter::Text(self.tenant.as_str()), Parameter::Text(self.room.as_str()));
        let parameters = [tenant, room, Parameter::Integer(self.count.into())];
        Ok(first_sequence(connection, sql, &parameters).await?.unwrap_or(Sequence::START))
    }
}

/// Reads the events with these sequences, in this order; after the first, only as many as `max_bytes` of JSON hold.
pub(crate) struct EventsAt {
    pub(crate) sequences: Vec<Sequence>,
    pub(crate) max_bytes: usize,
}

impl ReadRequest for EventsAt {
    type Answer = Vec<LoggedEvent>;

    async fn read<C: ReadConnection>(&self, connection: &C) -> Result<Vec<LoggedEvent>, StorageError> {
        connection.events_at(&self.sequences, self.max_bytes).await
    }
}

/// Reads the records with these keys, in the order of the keys.
pub(crate) struct RecordsWithKeys {
    pub(crate) table: &'static Table,
    pub(crate) keys: Vec<Key>,
}

impl ReadRequest for RecordsWithKeys {
    type Answer = Vec<Option<StoredRecord>>;

    async fn read<C: ReadConnection>(&self, connection: &C) -> Result<Self::Answer, StorageError> {
        connection.records_with_keys(self.table, &self.keys).await
    }
}

/// Reads the records that a query selects; after the first, only as many as `max_bytes` of JSON hold. Also
/// whether a limit may have left out more.
pub(crate) struct SelectedRecords {
    pub(crate) query: RecordQuery,
    pub(crate) max_bytes: usize,
}

impl ReadRequest for SelectedRecords {
    type Answer = (Vec<StoredRecord>, bool);

    async fn read<C: ReadConnection>(&self, connection: &C) -> Result<Self::Answer, StorageError> {
        select_records(connection, &self.query, self.max_bytes).await
    }
}

/// The records that a query selects, and whether a limit may have left out more.
pub(crate) async fn select_records<C: ReadConnection>(
    connection: &C,
    query: &RecordQuery,
    max_bytes: usize,
) -> Result<(Vec<StoredRecord>, bool), StorageError> {
    let Select { sql, parameters } = connection.select(query);
    let mut records = Fitting::new(max_bytes);
    let take = |row: &dyn Row| -> Result<_, StorageError> {
        let record = stored_record(query.table, row)?;
        Ok(records.add(record.json.len(), record))
    };
    connection.read(&sql, &parameters, take).await?;
    let is_full = records.taken.len() == query.limit;
    Ok((records.taken, records.is_cut || is_full))
}

/// Reads the newest attempt with this correlation id, with the steps of all its attempts before; of one tenant and of one owner
/// if given.
pub(crate) struct TraceOf {
    pub(crate) correlation_id: CorrelationId,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) owner: Option<Owner>,
}

impl ReadRequest for TraceOf {
    type Answer = Option<Trace>;

    async fn read<C: ReadConnection>(&self, connection: &C) -> Result<Option<Trace>, StorageError> {
        let Self { correlation_id, tenant, owner } = self;
        let mut parameters = vec![Parameter::Text(correlation_id.as_str())];
        let columns = [
            ("tenant_id", tenant.as_ref().map(TenantId::as_str)),
            ("owner", owner.as_ref().map(Owner::as_str)),
        ];
        let columns = columns.into_iter().filter_map(|(column, value)| Some((column, value?)));
        let mut filter = String::new();
        conditions(&mut filter, &mut parameters, "", columns);
        let sql = format!(
            "SELECT trace_id, request_id, route, method, tenant_id, room_id, actor_id, started_at_ms,
                    ended_at_ms, succeeded, steps
             FROM {} WHERE correlation_id = $1{filter} ORDER BY id DESC LIMIT {MAX_ATTEMPTS}",
            C::TRACES
        );
        // The newest is read first.
        let (mut newest, mut attempts) = (None, Vec::new());
        let take = |row: &dyn Row| -> Result<_, StorageError> {
            let (trace, steps) = attempt(row, correlation_id)?;
            attempts.push(steps);
            newest.get_or_insert(trace);
            Ok(ControlFlow::Continue(()))
        };
        connection.read(&sql, &parameters, take).await?;
        Ok(newest.map(|trace| {
            let mut steps: Vec<Step> = attempts.into_iter().rev().flatten().collect();
            Trace { steps: steps.split_off(steps.len().saturating_sub(MAX_STEPS)), ..trace }
        }))
    }
}

/// An attempt as a trace without steps, and its steps.
fn attempt(row: &dyn Row, correlation_id: &CorrelationId) -> Result<(Trace, Vec<Step>), StorageError> {
    let corrupt = |why: &dyn ToString| StorageError::Corrupt(why.to_string());
    let (tenant, room, actor) = (row.text(4)?, row.optional_text(5)?, row.optional_text(6)?);
    let trace = Trace {
        trace_id: Uuid::from_slice(row.bytes(0)?).map_err(|why| corrupt(&why))?,
        correlation_id: correlation_id.clone(),
        request_id: row.text(1)?.to_owned(),
        route: row.text(2)?.to_owned(),
        method: row.text(3)?.to_owned(),
        actor_id: actor.and_then(|text| ActorId::parse(text).ok()),
        tenant_id: TenantId::parse(tenant).ok(),
        room_id: room.and_then(|text| RoomId::parse(text).ok()),
        status: if row.boolean(9)? { Status::Success } else { Status::Error },
        started_at: row.timestamp(7)?,
        ended_at: Some(row.timestamp(8)?),
        steps: Vec::new(),
    };
    let details = json!({
        "route": trace.route, "method": trace.method, "actorId": actor, "roomId": room,
        "tenantId": tenant, "traceId": trace.trace_id,
    });
    let received = Step { ts: trace.started_at, code: StepCode::RequestReceived, details };
    let further: Vec<Step> = serde_json::from_slice(row.bytes(10)?).map_err(|why| corrupt(&why))?;
    Ok((trace, std::iter::once(received).chain(further).collect()))
}
