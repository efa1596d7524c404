//! The SQL that both databases share: how the tables of records are written and queried, and how numbers are stored.

use agentcafe_domain::kernel::{Cell, Comparison, Condition, RecordQuery, Sequence, SortKey, Table};
use agentcafe_eventlog::EventFilter;

use crate::export_format::ExportScope;
use crate::rows::Parameter;

/// A sequence as databases store it.
pub(crate) fn number(sequence: Sequence) -> i64 {
    i64::try_from(sequence.0).unwrap_or(i64::MAX)
}

/// A stored number as a sequence.
pub(crate) fn sequence(number: i64) -> Sequence {
    Sequence(number.unsigned_abs())
}

/// The columns of a table of records, in the order in which every statement names them: key, columns, body.
pub(crate) fn columns(table: &Table) -> impl Iterator<Item = &'static str> {
    table.key.iter().chain(table.columns).copied().chain(["json"])
}

/// The same, separated by commas.
pub(crate) fn column_list(table: &Table) -> String {
    columns(table).collect::<Vec<_>>().join(", ")
}

/// The end of an `INSERT` that overwrites a record with the same key. Not `REPLACE`, which would rewrite every index: only
/// those whose columns change are written.
pub(crate) fn on_conflict_update(table: &Table) -> String {
    let values = table.columns.iter().copied().chain(["json"]);
    let updates: Vec<String> = values.map(|column| format!("{column} = excluded.{column}")).collect();
    format!(" ON CONFLICT ({}) DO UPDATE SET {}", table.key.join(", "), updates.join(", "))
}

/// What a filter compares events to, by column; their types aside.
pub(crate) fn event_columns(filter: &EventFilter) -> impl Iterator<Item = (&'static str, &str)> {
    let columns = [
        ("tenant_id", filter.tenant.as_ref().map(|id| id.as_str())),
        ("room_id", filter.room.as_ref().map(|id| id.as_str())),
        ("actor_id", filter.actor.as_ref().map(|id| id.as_str())),
        ("mentioned_actor_id", filter.mentioned.as_ref().map(|id| id.as_str())),
    ];
    columns.into_iter().filter_map(|(column, value)| Some((column, value?)))
}

/// The columns of the index that selects a filter's events; none if the whole log is read.
pub(crate) fn index_columns(filter: &EventFilter) -> &'static [&'static str] {
    match filter {
        EventFilter { mentioned: Some(_), .. } => &["mentioned_actor_id"],
        EventFilter { tenant: Some(_), room: Some(_), .. } => &["tenant_id", "room_id"],
        _ => &[],
    }
}

/// What an export compares rows to, by column.
pub(crate) fn scope_columns(scope: &ExportScope) -> impl Iterator<Item = (&'static str, &str)> {
    let columns = [
        ("tenant_id", scope.tenant.as_ref().map(|id| id.as_str())),
        ("room_id", scope.room.as_ref().map(|id| id.as_str())),
    ];
    columns.into_iter().filter_map(|(column, value)| Some((column, value?)))
}

/// Adds conditions that columns equal values. `operator` precedes the name of each column.
pub(crate) fn conditions<'v>(
    sql: &mut String,
    parameters: &mut Vec<Parameter<'v>>,
    operator: &str,
    columns: impl Iterator<Item = (&'static str, &'v str)>,
) {
    for (column, value) in columns {
        parameters.push(Parameter::Text(value));
        sql.push_str(&format!(" AND {operator}{column} = ${}", parameters.len()));
    }
}

/// A [`RecordQuery`] as a statement, and the values of its parameters.
pub(crate) struct Select<'q> {
    pub(crate) sql: String,
    pub(crate) parameters: Vec<Parameter<'q>>,
}

impl<'q> Select<'q> {
    /// `names_null_order` if an order by the query's column has to specify that null comes before every value.
    pub(crate) fn new(query: &'q RecordQuery, names_null_order: bool) -> Self {
        let table = query.table;
        let mut select = Self { sql: String::new(), parameters: Vec::new() };
        let mut conditions: Vec<String> =
            query.conditions.iter().map(|condition| select.condition(condition)).collect();
        conditions.extend(query.after.as_ref().map(|position| select.behind(query, position)));
        let direction = match (query.descending, names_null_order) {
            (true, true) => "DESC NULLS LAST",
            (false, true) => "ASC NULLS FIRST",
            (true, false) => "DESC",
            (false, false) => "ASC",
        };
        let filter = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        select.sql = format!(
            "SELECT {} FROM {}{filter} ORDER BY {} {direction}, {} LIMIT {}",
            column_list(table),
            table.name,
            query.order_by,
            table.key.join(", "),
            query.limit,
        );
        select
    }

    /// Adds a value, and returns how the statement refers to it.
    fn parameter(&mut self, value: &'q Cell) -> String {
        self.parameters.push(value.into());
        format!("${}", self.parameters.len())
    }

    fn condition(&mut self, condition: &'q Condition) -> String {
        let column = condition.column;
        let comparison = match (condition.comparison, &condition.value) {
            (Comparison::Is, Cell::Null) => return format!("{column} IS NULL"),
            (Comparison::IsNot, Cell::Null) => return format!("{column} IS NOT NULL"),
            // Not `IS NOT DISTINCT FROM`, for which PostgreSQL uses no index.
            (Comparison::Is, _) => "=",
            (Comparison::IsNot, _) => "IS DISTINCT FROM",
            (Comparison::AtMost, _) => "<=",
            (Comparison::Above, _) => ">",
            (Comparison::Below, _) => "<",
        };
        let value = self.parameter(&condition.value);
        format!("{column} {comparison} {value}")
    }

    /// The condition of coming after a position in the order. Null comes before every value.
    fn behind(&mut self, query: &'q RecordQuery, position: &'q SortKey) -> String {
        let (column, table) = (query.order_by, query.table);
        let value = (position.sorted_by != Cell::Null).then(|| self.parameter(&position.sorted_by));
        let keys: Vec<String> = position.key.iter().map(|value| self.parameter(value)).collect();
        let behind_key = format!("({}) > ({})", table.key.join(", "), keys.join(", "));
        let (further, equal) = match (value, query.descending) {
            (None, true) => (String::new(), format!("{column} IS NULL")),
            (None, false) => (format!("{column} IS NOT NULL OR "), format!("{column} IS NULL")),
            (Some(value), true) => {
                (format!("{column} < {value} OR {column} IS NULL OR "), format!("{column} = {value}"))
            }
            (Some(value), false) => (format!("{column} > {value} OR "), format!("{column} = {value}")),
        };
        format!("({further}({equal} AND {behind_key}))")
    }
}
