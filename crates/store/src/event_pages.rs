//! Pages of the log. What an index does not select is read in slices: no read keeps a connection for long, and a page ends
//! after so many events that do not match.

use agentcafe_domain::kernel::Sequence;
use agentcafe_eventlog::{Cut, EventPage, EventQuery, PageBuilder};

use crate::event_damage;
use crate::reads::{ReadConnection, ReadRequest, first_sequence};
use crate::rows::{EventRow, Parameter, Row};
use crate::sql::{conditions, event_columns, index_columns, number};
use crate::storage_error::StorageError;

/// How many events the first slice of a page examines. Each slice is twice as long as the one before it.
const FIRST_SLICE: u64 = 1_000;
/// The most events in a slice: about 5 ms of work.
const MAX_SLICE: u64 = 16_000;
/// How many events a page examines, at most a slice more.
const MAX_EXAMINED: u64 = 100_000;
/// A page with less room than this ends with its slice: the next one returns its first event whatever its size.
const MIN_SLICE_BYTES: usize = 64 << 10;

/// A page while it is read.
pub(crate) struct Scan {
    /// What is still to be read.
    rest: EventQuery,
    page: EventPage,
    slice: u64,
    examined: u64,
}

impl Scan {
    /// A page of which nothing was read yet.
    pub(crate) fn new(query: EventQuery) -> Self {
        Self { page: EventPage::empty(query.after), rest: query, slice: FIRST_SLICE, examined: 0 }
    }

    /// What is still to be read.
    pub(crate) fn rest(&self) -> &EventQuery {
        &self.rest
    }

    /// Whether more than one slice was read.
    pub(crate) fn is_long(&self) -> bool {
        self.examined > FIRST_SLICE
    }

    /// The next slice, which ends before `beyond`.
    pub(crate) fn next_slice(&mut self, beyond: Sequence) -> EventSlice {
        let before = Some(self.rest.before.map_or(beyond, |before| before.min(beyond)));
        let slice =
            EventSlice { query: EventQuery { before, ..self.rest.clone() }, max_examined: self.slice };
        self.examined += self.slice;
        self.slice = MAX_SLICE.min(self.slice * 2);
        slice
    }

    /// Adds what was read next. Returns the whole page, if it ends here.
    pub(crate) fn add(&mut self, read: EventPage) -> Option<EventPage> {
        let (rest, page, bytes) = (&mut self.rest, &mut self.page, read.bytes());
        rest.limit = rest.limit.saturating_sub(read.len());
        rest.max_bytes = rest.max_bytes.saturating_sub(bytes);
        rest.max_held_bytes =
            if read.later.is_empty() { rest.max_held_bytes.saturating_sub(bytes) } else { 0 };
        page.events.extend(read.events);
        page.later.extend(read.later);
        (page.scanned_to, page.cut) = (read.scanned_to, read.cut);
        if !page.is_empty() && rest.max_bytes < MIN_SLICE_BYTES {
            page.cut = page.cut.map(|_| Cut::Size);
        }
        if page.cut == Some(Cut::Scan) && self.examined < MAX_EXAMINED {
            if rest.descending {
                (rest.before, rest.to) = (Some(page.scanned_to), None);
            } else {
                (rest.after, rest.from) = (page.scanned_to, None);
            }
            return None;
        }
        Some(std::mem::replace(page, EventPage::empty(read.scanned_to)))
    }
}

/// Reads a page that ends, with [`Cut::Scan`], after so many events that the filter's index selects. If the index selects
/// just what matches, the page ends where its query says.
pub(crate) struct EventSlice {
    query: EventQuery,
    max_examined: u64,
}

impl ReadRequest for EventSlice {
    type Answer = EventPage;

    async fn read<C: ReadConnection>(&self, connection: &C) -> Result<EventPage, StorageError> {
        let query = &self.query;
        let head = connection.last_sequence().await?;
        let mut after = query.after;
        if let Some(from) = query.from {
            after = after.max(connection.last_before(head, from).await?);
        }
        let mut last = query.before.map_or(head, |before| head.min(Sequence(before.0.saturating_sub(1))));
        if let Some(to) = query.to {
            last = last.min(connection.last_before(head, to.plus_ms(1)).await?);
        }
        let slice_end = self.end(connection, after, last).await?;
        match slice_end {
            Some(end) if query.descending => after = end,
            Some(end) => last = end,
            None => {}
        }
        let mut page = select_events(connection, query, after, last).await?;
        page.scanned_to = match page.last() {
            Some(read) if page.cut.is_some() => read,
            None if page.cut.is_some() && query.descending => last.next(),
            None if page.cut.is_some() => after,
            _ if query.descending => after.next(),
            _ => last.max(after),
        };
        page.cut = page.cut.or(slice_end.map(|_| Cut::Scan));
        Ok(page)
    }
}

impl EventSlice {
    /// The last event of a slice of those after `after` up to `last`; for a descending one, the event before its first.
    /// None if the slice has all of them.
    async fn end<C: ReadConnection>(
        &self,
        connection: &C,
        after: Sequence,
        last: Sequence,
    ) -> Result<Option<Sequence>, StorageError> {
        let EventQuery { filter, descending, .. } = &self.query;
        let index = index_columns(filter);
        let examines_others = match filter.types.as_deref() {
            Some([]) => false,
            Some(_) => true,
            None => event_columns(filter).count() > index.len(),
        };
        if !examines_others || last.0.saturating_sub(after.0) <= self.max_examined {
            return Ok(None);
        }
        if index.is_empty() {
            let end = if *descending { last.0 - self.max_examined } else { after.0 + self.max_examined };
            return Ok(Some(Sequence(end)));
        }
        let mut sql = "SELECT sequence FROM events WHERE sequence >= $1 AND sequence <= $2".to_owned();
        let mut parameters = [after.next(), last].map(|bound| Parameter::Integer(number(bound))).to_vec();
        let indexed = event_columns(filter).filter(|(column, _)| index.contains(column));
        conditions(&mut sql, &mut parameters, "", indexed);
        let order = if *descending { "DESC" } else { "ASC" };
        sql.push_str(&format!(" ORDER BY sequence {order} LIMIT 1 OFFSET {}", self.max_examined));
        match first_sequence(connection, &sql, &parameters).await {
            Ok(beyond) if *descending => Ok(beyond),
            Ok(beyond) => Ok(beyond.map(|beyond| Sequence(beyond.0 - 1))),
            // The read of the events says which are damaged.
            Err(error) if error.is_damage() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The page of the matching events, without where it ends if it is not full.
async fn select_events<C: ReadConnection>(
    connection: &C,
    query: &EventQuery,
    after: Sequence,
    last: Sequence,
) -> Result<EventPage, StorageError> {
    let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let mut sql = "SELECT sequence, type, json, checksum FROM events WHERE sequence >= $1 AND sequence <= $2"
        .to_owned();
    // From the next sequence, not after the last: to find that, SQLite would read its page, which may be damaged.
    let mut parameters =
        vec![Parameter::Integer(number(after).saturating_add(1)), Parameter::Integer(number(last))];
    conditions(&mut sql, &mut parameters, "", event_columns(&query.filter));
    match query.filter.types.as_deref() {
        None => {}
        Some([]) => sql.push_str(" AND false"),
        Some(types) => {
            let first = parameters.len() + 1;
            parameters.extend(types.iter().map(|kind| Parameter::Text(kind.as_str())));
            let names: Vec<_> = (first..=parameters.len()).map(|at| format!("${at}")).collect();
            sql.push_str(&format!(" AND type IN ({})", names.join(", ")));
        }
    }
    let order = if query.descending { "DESC" } else { "ASC" };
    parameters.push(Parameter::Integer(whole(query.limit)));
    sql.push_str(&format!(" ORDER BY sequence {order} LIMIT ${}", parameters.len()));
    C::limit_bytes(&mut sql, &mut parameters, order, whole(query.max_bytes));
    let mut builder = PageBuilder::new(query);
    let take = |row: &dyn Row| -> Result<_, StorageError> {
        let event = EventRow::read(row)?;
        Ok(builder.add(event.sequence, event.json.len(), || event.to_event()))
    };
    match connection.read(&sql, &parameters, take).await {
        // The database cannot read on, and does not say which rows it cannot read.
        Err(error) if error.is_damage() && !matches!(error, StorageError::DamagedEvents(_)) => {
            tracing::error!(%error, "the log is damaged");
            let (after, last) = match builder.page.last() {
                None => (after, last),
                Some(read) if query.descending => (after, Sequence(read.0.saturating_sub(1))),
                Some(read) => (read, last),
            };
            // Otherwise it has only looked ahead.
            if after < last {
                let damage = event_damage::find(connection, after, last, query.descending).await?;
                return Err(StorageError::DamagedEvents(damage));
            }
        }
        read => read?,
    }
    if builder.has_all_events() {
        builder.page.cut = Some(Cut::Size);
    }
    Ok(builder.page)
}
