//! Cursors of record lists: opaque to clients, a place in the list's order to us.

use agentcafe_domain::kernel::{
    error::DomainError,
    fields::Fields,
    record::{Cell, Record, RecordQuery, SortKey, StoredRecord},
};
use agentcafe_store::{ReadError, Store};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// Reads the `cursor` of a list of records of kind `R`.
pub(crate) fn cursor<R: Record>(query: &Fields) -> Result<Option<SortKey>, DomainError> {
    let Some(text) = query.trimmed_text("cursor")? else { return Ok(None) };
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

/// The records that `find` selects, as many as a page holds, and the `nextCursor` behind them; none if there is nothing more.
///
/// # Errors
/// The store cannot be read.
pub(crate) async fn page<R: Record>(
    store: &Store,
    find: RecordQuery,
) -> Result<(Vec<R>, Option<String>), ReadError> {
    let page = store.page::<R>(find.clone()).await?;
    let last = page.records.last().filter(|_| page.has_more);
    let next_cursor = last.map(|last| cursor_behind(&find, last));
    Ok((page.records, next_cursor))
}

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
