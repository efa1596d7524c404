//! Pages of record lists, and their cursors: opaque to clients, a sort key to us.

use agentcafe_domain::kernel::{
    Cell, DomainError, Fields, OperationError, PAGE_CURSOR, Record, RecordQuery, SortKey, StoredRecord,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::service::Service;

/// Reads the `cursor` of a list of records of kind `R`.
pub(crate) fn cursor<R: Record>(query: &Fields) -> Result<Option<SortKey>, DomainError> {
    let Some(text) = query.trimmed_text(PAGE_CURSOR)? else { return Ok(None) };
    let of_kind = |place: &SortKey| place.key.len() == R::TABLE.key.len();
    place(&text).filter(of_kind).map(Some).ok_or_else(|| {
        DomainError::invalid("cursor", "cursor must be a nextCursor of this list")
            .with("value", text.as_str())
    })
}

fn place(text: &str) -> Option<SortKey> {
    let json = URL_SAFE_NO_PAD.decode(text).ok()?;
    let mut cells = serde_json::from_slice::<Vec<Value>>(&json).ok()?.into_iter().map(|value| match value {
        Value::Null => Some(Cell::Null),
        Value::Number(number) => number.as_i64().map(Cell::Integer),
        Value::String(text) => Some(Cell::from(text.as_str())),
        _ => None,
    });
    Some(SortKey { sorted_by: cells.next()??, key: cells.collect::<Option<_>>()? })
}

impl Service {
    /// The records that `query` selects, as many as a page holds, and the `nextCursor` behind them; none if there are no more.
    pub(crate) async fn page<R: Record>(
        &self,
        query: RecordQuery,
    ) -> Result<(Vec<R>, Option<String>), OperationError> {
        let page = self.store().page::<R>(query.clone()).await?;
        let last = page.records.last().filter(|_| page.has_more);
        let next_cursor = last.map(|last| cursor_behind(&query, last));
        Ok((page.records, next_cursor))
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

        impl From<(Vec<$record>, Option<String>)> for $name {
            fn from(($member, next_cursor): (Vec<$record>, Option<String>)) -> Self {
                Self { count: $member.len(), $member, next_cursor }
            }
        }
    };
}
pub(crate) use record_list;

/// The `nextCursor` behind a record.
pub(crate) fn cursor_behind<R: Record>(find: &RecordQuery, last: &R) -> String {
    let SortKey { sorted_by, key } = find.position(&StoredRecord::of(last));
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
