//! Cursors of record lists: opaque to clients, a place in the list's order to us.

use agentcafe_domain::{
    fields::Fields,
    record::{Cell, Find, OrderPlace, Record, StoredRecord},
    refusal::Refusal,
};
use agentcafe_store::RecordPage;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// Reads the `cursor` of a list of records of kind `R`.
pub(crate) fn cursor<R: Record>(query: &Fields) -> Result<Option<OrderPlace>, Refusal> {
    let Some(text) = query.trimmed_text("cursor")? else { return Ok(None) };
    let of_kind = |place: &OrderPlace| place.key.len() == R::TABLE.key.len();
    place(&text).filter(of_kind).map(Some).ok_or_else(|| {
        Refusal::invalid("cursor", "cursor must be a nextCursor of this list").with("value", text.as_str())
    })
}

fn place(text: &str) -> Option<OrderPlace> {
    let json = URL_SAFE_NO_PAD.decode(text).ok()?;
    let mut cells = serde_json::from_slice::<Vec<Value>>(&json).ok()?.into_iter().map(|value| match value {
        Value::Null => Some(Cell::Null),
        Value::Number(number) => number.as_i64().map(Cell::Integer),
        Value::String(text) => Some(Cell::from(text.as_str())),
        _ => None,
    });
    Some(OrderPlace { sorted_by: cells.next()??, key: cells.collect::<Option<_>>()? })
}

/// The `nextCursor` behind the last record of a full page; none if there is nothing more.
pub(crate) fn next_cursor<R: Record>(find: &Find, page: &[R]) -> Option<String> {
    let last = page.last().filter(|_| page.len() == find.limit)?;
    Some(cursor_behind(find, last))
}

/// The `nextCursor` of a page that may have been cut off before its limit; none if there is nothing more.
pub(crate) fn cursor_of<R: Record>(find: &Find, page: &RecordPage<R>) -> Option<String> {
    let last = page.records.last().filter(|_| page.may_go_on)?;
    Some(cursor_behind(find, last))
}

fn cursor_behind<R: Record>(find: &Find, last: &R) -> String {
    let OrderPlace { sorted_by, key } = find.position(&StoredRecord::of(last));
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
