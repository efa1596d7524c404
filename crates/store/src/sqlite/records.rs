//! Records of every kind through one set of statements, made from the kind's table.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use agentcafe_domain::kernel::record::{Cell, Comparison, Condition, Key, RecordQuery, StoredRecord, Table};
use rusqlite::{
    Connection, Row, ToSql, params_from_iter,
    types::{ToSqlOutput, Value, ValueRef},
};

/// A cell on its way into a statement.
struct Bound<'a>(&'a Cell);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Cell::Null => ToSqlOutput::Owned(Value::Null),
            Cell::Integer(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Cell::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

fn cell(row: &Row<'_>, at: usize) -> rusqlite::Result<Cell> {
    Ok(match row.get_ref(at)? {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Text(text) => Cell::from(String::from_utf8_lossy(text).as_ref()),
        other => {
            return Err(rusqlite::Error::InvalidColumnType(
                at,
                "a key or column".to_owned(),
                other.data_type(),
            ));
        }
    })
}

fn record(table: &Table, row: &Row<'_>) -> rusqlite::Result<StoredRecord> {
    let keys = table.key.len();
    let columns = keys + table.columns.len();
    Ok(StoredRecord {
        key: (0..keys).map(|at| cell(row, at)).collect::<Result<_, _>>()?,
        columns: (keys..columns).map(|at| cell(row, at)).collect::<Result<_, _>>()?,
        json: row.get_ref(columns)?.as_blob().map_err(rusqlite::Error::from)?.to_vec(),
    })
}

/// The statements that depend on nothing but the table.
struct Statements {
    columns: String,
    get: String,
    insert: String,
    put: String,
    delete: String,
}

impl Statements {
    fn of(table: &Table) -> Self {
        let name = table.name;
        let names: Vec<_> = table.key.iter().chain(table.columns).copied().chain(["json"]).collect();
        let parameters: Vec<_> = (1..=names.len()).map(|at| format!("?{at}")).collect();
        let keys: Vec<_> =
            table.key.iter().enumerate().map(|(at, key)| format!("{key} = ?{}", at + 1)).collect();
        let beside = table.columns.iter().copied().chain(["json"]);
        let updates: Vec<_> = beside.map(|column| format!("{column} = excluded.{column}")).collect();
        let (columns, key) = (names.join(", "), keys.join(" AND "));
        let insert = format!("INSERT INTO {name} ({columns}) VALUES ({})", parameters.join(", "));
        Self {
            get: format!("SELECT {columns} FROM {name} WHERE {key}"),
            // Not REPLACE, which would write every index anew: only those whose columns change are touched.
            put: format!(
                "{insert} ON CONFLICT ({}) DO UPDATE SET {}",
                table.key.join(", "),
                updates.join(", "),
            ),
            insert,
            delete: format!("DELETE FROM {name} WHERE {key}"),
            columns,
        }
    }

    /// The statements of a table, made once per thread: making them costs as much as running them.
    fn with<T>(table: &Table, run: impl FnOnce(&Self) -> T) -> T {
        thread_local! {
            static MADE: RefCell<HashMap<&'static str, Rc<Statements>>> = RefCell::default();
        }
        let statements = MADE.with_borrow_mut(|made| {
            Rc::clone(made.entry(table.name).or_insert_with(|| Rc::new(Self::of(table))))
        });
        run(&statements)
    }
}

/// The record with this key.
pub(crate) fn get(
    connection: &Connection,
    table: &Table,
    key: &Key,
) -> rusqlite::Result<Option<StoredRecord>> {
    Statements::with(table, |statements| {
        let mut statement = connection.prepare_cached(&statements.get)?;
        let mut rows = statement.query(params_from_iter(key.iter().map(Bound)))?;
        rows.next()?.map(|row| record(table, row)).transpose()
    })
}

fn condition(condition: &Condition, parameter: usize) -> String {
    let comparison = match condition.comparison {
        Comparison::Is => "IS",
        Comparison::IsNot => "IS NOT",
        Comparison::AtMost => "<=",
        Comparison::Above => ">",
        Comparison::Below => "<",
    };
    format!("{} {comparison} ?{parameter}", condition.column)
}

/// The condition of being behind a place in the order, whose values start at `first`. Null comes before every value.
fn behind(find: &RecordQuery, first: usize) -> String {
    let column = find.order_by;
    let further = if find.descending {
        format!("({column} < ?{first} OR (?{first} IS NOT NULL AND {column} IS NULL))")
    } else {
        format!("({column} > ?{first} OR (?{first} IS NULL AND {column} IS NOT NULL))")
    };
    let key = find.table.key.join(", ");
    let places: Vec<_> = (1..=find.table.key.len()).map(|at| format!("?{}", first + at)).collect();
    format!("({further} OR ({column} IS ?{first} AND ({key}) > ({})))", places.join(", "))
}

/// The records that `find` selects.
pub(crate) fn find(connection: &Connection, find: &RecordQuery) -> rusqlite::Result<Vec<StoredRecord>> {
    find_within(connection, find, usize::MAX).map(|(found, _)| found)
}

/// The statement that selects what `find` does, and what is bound to it.
fn selection(find: &RecordQuery) -> (String, Vec<&Cell>) {
    let table = find.table;
    let mut conditions: Vec<_> =
        find.conditions.iter().enumerate().map(|(at, one)| condition(one, at + 1)).collect();
    let mut values: Vec<&Cell> = find.conditions.iter().map(|condition| &condition.value).collect();
    if let Some(place) = &find.after {
        conditions.push(behind(find, values.len() + 1));
        values.push(&place.sorted_by);
        values.extend(&place.key);
    }
    conditions.push("1".to_owned());
    let direction = if find.descending { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT {} FROM {} WHERE {} ORDER BY {} {direction}, {} LIMIT {}",
        Statements::with(table, |statements| statements.columns.clone()),
        table.name,
        conditions.join(" AND "),
        find.order_by,
        table.key.join(", "),
        find.limit,
    );
    (sql, values)
}

/// The records that `find` selects: after the first, only as many as `max_bytes` of JSON hold. And whether a limit may have
/// cut off more.
pub(crate) fn find_within(
    connection: &Connection,
    find: &RecordQuery,
    max_bytes: usize,
) -> rusqlite::Result<(Vec<StoredRecord>, bool)> {
    let table = find.table;
    let (sql, values) = selection(find);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values.into_iter().map(Bound)))?;
    let (mut found, mut bytes) = (Vec::new(), 0_usize);
    while let Some(row) = rows.next()? {
        let record = record(table, row)?;
        bytes = bytes.saturating_add(record.json.len());
        if bytes > max_bytes && !found.is_empty() {
            return Ok((found, true));
        }
        found.push(record);
    }
    let is_full = found.len() == find.limit;
    Ok((found, is_full))
}

/// Writes a record over whatever was there.
pub(crate) fn put(connection: &Connection, table: &Table, stored: &StoredRecord) -> rusqlite::Result<()> {
    Statements::with(table, |statements| write(connection, &statements.put, stored))
}

/// Writes a record where there is none; an error if there is one.
pub(crate) fn insert(connection: &Connection, table: &Table, stored: &StoredRecord) -> rusqlite::Result<()> {
    Statements::with(table, |statements| write(connection, &statements.insert, stored))
}

fn write(connection: &Connection, statement: &str, stored: &StoredRecord) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(statement)?;
    let cells = stored.key.iter().chain(&stored.columns);
    for (at, cell) in cells.enumerate() {
        statement.raw_bind_parameter(at + 1, Bound(cell))?;
    }
    let json = stored.key.len() + stored.columns.len() + 1;
    statement.raw_bind_parameter(json, stored.json.as_slice())?;
    statement.raw_execute().map(|_| ())
}

/// Deletes the record with this key, if there is one.
pub(crate) fn delete(connection: &Connection, table: &Table, key: &Key) -> rusqlite::Result<()> {
    Statements::with(table, |statements| {
        let mut statement = connection.prepare_cached(&statements.delete)?;
        statement.execute(params_from_iter(key.iter().map(Bound))).map(|_| ())
    })
}

#[cfg(test)]
mod tests {
    use agentcafe_domain::{
        inbox::AckInboxItems,
        kernel::{
            actor::ActorInRoom, command::Command, fields::Fields, record::Query, rules::Rules,
            time::Timestamp,
        },
        presence::{ExpirePresence, Presence},
        reactions::StoredReaction,
        rooms::pin::PinnedContext,
        snapshots::{CreateSnapshot, DeleteExpiredSnapshots, SnapshotScope},
        tables::{access, end::ExpireTableSessions, open::CreateTableSession},
        webhooks::{Subscription, admission, delivery::DlqEntry},
    };
    use serde_json::{Value, json};

    use super::*;

    /// How the database finds what is asked for.
    fn plan(connection: &Connection, find: &RecordQuery) -> String {
        let (sql, values) = selection(find);
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps =
            statement.query_map(params_from_iter(values.into_iter().map(Bound)), |row| row.get(3)).unwrap();
        steps.collect::<Result<Vec<String>, _>>().unwrap().join("; ")
    }

    fn body(value: Value) -> Fields {
        Fields::of_body(value.as_object().cloned().unwrap())
    }

    /// The lists that commands surely read.
    fn lists_of(command: &dyn Command) -> Vec<RecordQuery> {
        let many = |query| if let Query::Many(find) = query { Some(find) } else { None };
        command.reads().into_iter().filter_map(many).collect()
    }

    /// A turn never scans a table: what commands look for in lists is found by a key or an index, from the first to the last.
    #[test]
    fn what_turns_look_for_has_an_index() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("migrations/0001_initial.sql")).unwrap();
        let (at, rules) = (ActorInRoom::read(&body(json!({"actorId": "Nova"}))).unwrap(), Rules::default());
        let (tenant, room, now) = (&at.tenant_id, &at.room_id, Timestamp::from_millis(9));
        let ack = |value| AckInboxItems::read(&body(value)).unwrap();
        let session = json!({"actorId": "Nova", "roomId": "den", "planId": "espresso"});
        let snapshot = json!({"actorId": "Nova", "state": {}});
        let commands: [Box<dyn Command>; 6] = [
            Box::new(ack(json!({"actorId": "Nova", "upToCursor": 9}))),
            Box::new(ack(json!({"actorId": "Nova", "roomId": "den", "upToCursor": 9}))),
            Box::new(CreateTableSession::read(&body(session), &rules).unwrap()),
            Box::new(CreateSnapshot::read(&body(snapshot), SnapshotScope::Agent).unwrap()),
            Box::new(ExpirePresence { now }),
            Box::new(ExpireTableSessions { now }),
        ];
        let mut finds: Vec<RecordQuery> =
            commands.iter().flat_map(|command| lists_of(command.as_ref())).collect();
        finds.extend([
            DeleteExpiredSnapshots::due(now),
            access::active_session(tenant, room),
            admission::sessions_of(tenant, room),
            PinnedContext::active(tenant, room),
            StoredReaction::at_work(tenant),
            StoredReaction::any_at_work(),
            DlqEntry::with_id(uuid::Uuid::nil()),
            RecordQuery::all::<DlqEntry>("dlq_seq", 9)
                .only("dlq_seq", Comparison::AtMost, 9_i64)
                .is("status", "open"),
            RecordQuery::all::<Subscription>("revision", 9).only("revision", Comparison::Above, 9_i64),
            RecordQuery::all::<Presence>("updated_at", 9)
                .is("tenant_id", tenant)
                .is("room_id", room)
                .is("is_active", true),
        ]);
        assert!(finds.len() >= 15, "{} lists", finds.len());
        for find in finds {
            let plan = plan(&connection, &find);
            assert!(plan.starts_with("SEARCH") && !plan.contains("SCAN"), "{}: {plan}", find.table.name);
        }
    }
}
