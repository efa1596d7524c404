//! Records of every kind through one set of statements, built from the kind's table.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use agentcafe_domain::kernel::{Key, StoredRecord, Table};
use rusqlite::{Connection, params_from_iter};

use super::connection::execute;
use crate::rows::{Parameter, stored_record};
use crate::sql::{column_list, columns, on_conflict_update};
use crate::storage_error::StorageError;

/// An `INSERT` of one row with so many columns.
pub(super) fn insert_into(table: &str, columns: &str, count: usize) -> String {
    let parameters: Vec<_> = (1..=count).map(|at| format!("?{at}")).collect();
    format!("INSERT INTO {table} ({columns}) VALUES ({})", parameters.join(", "))
}

/// The statements that depend only on the table.
struct Statements {
    get: String,
    insert: String,
    put: String,
    delete: String,
}

impl Statements {
    fn new(table: &Table) -> Self {
        let (name, names) = (table.name, column_list(table));
        let keys: Vec<_> =
            table.key.iter().enumerate().map(|(at, key)| format!("{key} = ?{}", at + 1)).collect();
        let key = keys.join(" AND ");
        let insert = insert_into(name, &names, columns(table).count());
        Self {
            get: format!("SELECT {names} FROM {name} WHERE {key}"),
            put: format!("{insert}{}", on_conflict_update(table)),
            insert,
            delete: format!("DELETE FROM {name} WHERE {key}"),
        }
    }

    /// The statements of a table, built once per thread: building them costs as much as running them.
    fn with<T>(table: &Table, run: impl FnOnce(&Self) -> T) -> T {
        thread_local! {
            static BUILT: RefCell<HashMap<&'static str, Rc<Statements>>> = RefCell::default();
        }
        let statements = BUILT.with_borrow_mut(|built| {
            Rc::clone(built.entry(table.name).or_insert_with(|| Rc::new(Self::new(table))))
        });
        run(&statements)
    }
}

/// The record with this key.
pub(super) fn get(
    connection: &Connection,
    table: &Table,
    key: &Key,
) -> Result<Option<StoredRecord>, StorageError> {
    Statements::with(table, |statements| {
        let mut statement = connection.prepare_cached(&statements.get)?;
        let mut rows = statement.query(params_from_iter(key.iter().map(Parameter::from)))?;
        rows.next()?.map(|row| stored_record(table, row)).transpose()
    })
}

/// Inserts or overwrites a record.
pub(super) fn put(connection: &Connection, table: &Table, stored: &StoredRecord) -> rusqlite::Result<()> {
    Statements::with(table, |statements| execute(connection, &statements.put, values(stored)))
}

/// Inserts a record; an error if there is one with its key.
pub(super) fn insert(connection: &Connection, table: &Table, stored: &StoredRecord) -> rusqlite::Result<()> {
    Statements::with(table, |statements| execute(connection, &statements.insert, values(stored)))
}

fn values(stored: &StoredRecord) -> impl Iterator<Item = Parameter<'_>> {
    let cells = stored.key.iter().chain(&stored.columns).map(Parameter::from);
    cells.chain([Parameter::bytes(&stored.json)])
}

/// Deletes the record with this key, if there is one.
pub(super) fn delete(connection: &Connection, table: &Table, key: &Key) -> rusqlite::Result<()> {
    Statements::with(table, |statements| {
        execute(connection, &statements.delete, key.iter().map(Parameter::from))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use agentcafe_domain::inbox::AckInboxItems;
    use agentcafe_domain::kernel::{
        ActorInRoom, Cell, Command, Comparison, Fields, Owner, Query, RecordQuery, Rules, SortKey, Timestamp,
    };
    use agentcafe_domain::presence::{ExpirePresence, Presence};
    use agentcafe_domain::reactions::StoredReaction;
    use agentcafe_domain::rooms::pin::PinnedContext;
    use agentcafe_domain::snapshots::{CreateSnapshot, DeleteExpiredSnapshots, SnapshotScope};
    use agentcafe_domain::tables::access;
    use agentcafe_domain::tables::end::ExpireTableSessions;
    use agentcafe_domain::tables::open::CreateTableSession;
    use agentcafe_domain::webhooks::delivery::{Delivery, DlqEntry};
    use agentcafe_domain::webhooks::{Subscription, admission};
    use serde_json::{Value, json};

    use super::*;
    use crate::sql::Select;
    use crate::sqlite::migrations;

    /// How the database runs a query.
    fn plan(connection: &Connection, query: &RecordQuery) -> String {
        let Select { sql, parameters } = Select::new(query, false);
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.query_map(params_from_iter(parameters), |row| row.get(3)).unwrap();
        steps.collect::<Result<Vec<String>, _>>().unwrap().join("; ")
    }

    fn body(value: Value) -> Fields {
        Fields::of_body(value.as_object().cloned().unwrap())
    }

    /// The queries that a command always reads.
    fn lists_of(command: &dyn Command) -> Vec<RecordQuery> {
        let many = |query| if let Query::Many(query) = query { Some(query) } else { None };
        command.reads().into_iter().filter_map(many).collect()
    }

    /// A commit batch never scans a table: the queries of commands use a key or an index. So do their later pages, which read no
    /// more rows than they return.
    #[test]
    fn record_queries_of_commands_use_an_index() {
        let connection = Connection::open_in_memory().unwrap();
        migrations::apply(&connection, Path::new("in memory")).unwrap();
        let owner: Owner = serde_json::from_value(json!("actor:Nova")).unwrap();
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
        let mut queries: Vec<RecordQuery> =
            commands.iter().flat_map(|command| lists_of(command.as_ref())).collect();
        queries.extend([
            DeleteExpiredSnapshots::due(now),
            access::active_session(tenant, room),
            admission::sessions_of(tenant, room),
            PinnedContext::active(tenant, room),
            StoredReaction::at_work(tenant),
            StoredReaction::of_tenant(tenant),
            StoredReaction::any_at_work(),
            StoredReaction::of_owner(&owner).is("tenant_id", tenant),
            Subscription::of_owner(&owner).is("tenant_id", tenant),
            DlqEntry::with_id(uuid::Uuid::nil()),
            RecordQuery::all::<DlqEntry>("dlq_seq", 9).is("tenant_id", tenant),
            RecordQuery::all::<Delivery>("delivery_seq", 9).is("tenant_id", tenant),
            RecordQuery::all::<Subscription>("revision", 9).only("revision", Comparison::Above, 9_i64),
            RecordQuery::all::<Presence>("updated_at", 9)
                .is("tenant_id", tenant)
                .is("room_id", room)
                .is("is_active", true),
        ]);
        assert!(queries.len() >= 17, "{} queries", queries.len());
        for query in queries {
            let first = plan(&connection, &query);
            assert!(first.starts_with("SEARCH") && !first.contains("SCAN"), "{}: {first}", query.table.name);
            let key = query.table.key.iter().map(|_| Cell::from(1)).collect();
            for descending in [false, true] {
                let after = Some(SortKey { sorted_by: Cell::from(1), key: Key::clone(&key) });
                let page = plan(&connection, &RecordQuery { after, descending, ..query.clone() });
                assert!(
                    !page.contains("SCAN") && !page.contains("MULTI-INDEX"),
                    "{}: {page}",
                    query.table.name
                );
            }
        }
    }
}
