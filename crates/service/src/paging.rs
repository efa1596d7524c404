//! Pages of record lists, and their cursors: opaque to clients, a sort key to us.

use agentcafe_domain::kernel::{
    ActorId, Cell, Comparison, DomainError, Fields, OperationError, PAGE_CURSOR, ROOM_FILTER, Record,
    RecordQuery, RoomId, Sequence, SortKey, StoredRecord, TenantId,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::operation::Call;
use crate::read_access;
use crate::service::Service;

/// The default and the largest number of records in a page.
pub(crate) const LIMITS: (usize, usize) = (200, 1_000);

/// A page of a list.
pub(crate) struct Page<T> {
    pub(crate) records: Vec<T>,
    /// The cursor of the next page; none if there are no more records.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The page as it is shown.
    pub(crate) fn map<U>(self, show: impl FnMut(T) -> U) -> Page<U> {
        Page { records: self.records.into_iter().map(show).collect(), next_cursor: self.next_cursor }
    }
}

/// All records of a kind, those with the largest `order_by` first.
pub(crate) fn newest_by<R: Record>(order_by: &'static str) -> RecordQuery {
    RecordQuery::all::<R>(order_by, 0).newest_first()
}

/// Selects a page of a list.
pub(crate) struct PageSelector {
    after: Option<SortKey>,
    pub(crate) limit: usize,
}

impl PageSelector {
    /// Reads the `cursor` and the `limit` of a list of records of kind `R`.
    pub(crate) fn read<R: Record>(
        fields: &Fields,
        (default_limit, max_limit): (usize, usize),
    ) -> Result<Self, DomainError> {
        Ok(Self { after: cursor::<R>(fields)?, limit: fields.limit(default_limit, max_limit)? })
    }

    /// The query of the page.
    pub(crate) fn of(self, list: RecordQuery) -> RecordQuery {
        RecordQuery { limit: self.limit, ..list.behind(self.after) }
    }
}

fn cursor<R: Record>(fields: &Fields) -> Result<Option<SortKey>, DomainError> {
    let Some(text) = fields.trimmed_text(PAGE_CURSOR)? else { return Ok(None) };
    let of_kind = |sort_key: &SortKey| sort_key.key.len() == R::TABLE.key.len();
    sort_key(&text).filter(of_kind).map(Some).ok_or_else(|| {
        DomainError::invalid("cursor", "cursor must be a nextCursor of this list")
            .with("value", text.as_str())
    })
}

fn sort_key(text: &str) -> Option<SortKey> {
    let json = URL_SAFE_NO_PAD.decode(text).ok()?;
    let mut cells = serde_json::from_slice::<Vec<Value>>(&json).ok()?.into_iter().map(|value| match value {
        Value::Null => Some(Cell::Null),
        Value::Number(number) => number.as_i64().map(Cell::Integer),
        Value::String(text) => Some(Cell::from(text.as_str())),
        _ => None,
    });
    Some(SortKey { sorted_by: cells.next()??, key: cells.collect::<Option<_>>()? })
}

/// The `nextCursor` behind a record.
pub(crate) fn cursor_behind<R: Record>(query: &RecordQuery, last: &R) -> String {
    let SortKey { sorted_by, key } = query.position(&StoredRecord::of(last));
    let cells: Vec<Value> = std::iter::once(sorted_by)
        .chain(key)
        .map(|cell| match cell {
            Cell::Null => Value::Null,
            Cell::Integer(number) => number.into(),
            Cell::Text(text) => text.as_ref().into(),
        })
        .collect();
    URL_SAFE_NO_PAD.encode(Value::from(cells).to_string())
}

/// Continues a list that is sorted by a sequence after the record with this one.
pub(crate) fn after_sequence(query: RecordQuery, cursor: Option<Sequence>, descending: bool) -> RecordQuery {
    let query = RecordQuery { descending, ..query };
    let Some(Sequence(cursor)) = cursor else { return query };
    let beyond = if descending { Comparison::Below } else { Comparison::Above };
    let column = query.order_by;
    query.only(column, beyond, i64::try_from(cursor).unwrap_or(i64::MAX))
}

impl Service {
    /// The records that `query` selects, as many as a page holds.
    pub(crate) async fn page<R: Record>(&self, query: RecordQuery) -> Result<Page<R>, OperationError> {
        let page = self.store().page::<R>(query.clone()).await?;
        let last = page.records.last().filter(|_| page.has_more);
        let next_cursor = last.map(|last| cursor_behind(&query, last));
        Ok(Page { records: page.records, next_cursor })
    }
}

/// A page of the records of one room, or of all rooms of a tenant, and who reads it.
pub(crate) struct RoomRecords {
    tenant: TenantId,
    room: Option<RoomId>,
    pub(crate) viewer: Option<ActorId>,
    query: RecordQuery,
    page: PageSelector,
}

impl RoomRecords {
    /// Reads a list of records of kind `R`, the last changed first; `filter` reads what it is filtered by beside the room.
    pub(crate) fn read<R: Record>(
        fields: &Fields,
        filter: impl FnOnce(RecordQuery) -> Result<RecordQuery, DomainError>,
    ) -> Result<Self, DomainError> {
        let (tenant, room) = (fields.tenant_or_default()?, fields.room(ROOM_FILTER)?);
        let all = newest_by::<R>("updated_at").is("tenant_id", &tenant);
        let query = filter(all.is_if_given("room_id", room.as_ref()))?;
        let viewer = read_access::viewer(fields)?;
        Ok(Self { tenant, room, viewer, query, page: PageSelector::read::<R>(fields, LIMITS)? })
    }

    /// The page, if the viewer may read the room.
    pub(crate) async fn readable<R: Record>(self, call: &Call<'_>) -> Result<Page<R>, OperationError> {
        call.service.may_list(&self.tenant, self.room.as_ref(), self.viewer.as_ref()).await?;
        self.page(call).await
    }

    /// The page, whoever reads it.
    pub(crate) async fn page<R: Record>(self, call: &Call<'_>) -> Result<Page<R>, OperationError> {
        call.service.page(self.page.of(self.query)).await
    }
}

/// Declares the answer of a record list: a page under a name of its own, its length, and the cursor of the next page.
macro_rules! record_list {
    ($(#[$doc:meta])* $name:ident { $member:ident: $record:ty }) => {
        $(#[$doc])*
        #[derive(serde::Serialize, schemars::JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// The page.
            $member: Vec<$record>,
            /// How many records the page holds.
            count: usize,
            /// The cursor of the next page; null when there are no more records.
            next_cursor: Option<String>,
        }

        impl From<$crate::paging::Page<$record>> for $name {
            fn from($crate::paging::Page { records, next_cursor }: $crate::paging::Page<$record>) -> Self {
                Self { count: records.len(), $member: records, next_cursor }
            }
        }
    };
}
pub(crate) use record_list;
