//! The tables of records in PostgreSQL are those that the records describe.

use agentcafe_domain::record_kinds;
use agentcafe_store::{MayChange, Migrated, PostgresOptions, TimeSource, migrate};
use agentcafe_testkit::Postgres;

/// Every column of a record exists. Texts are compared by their bytes, as in the embedded database,
/// whatever the locale of the server: exports and pages have the same order.
#[test]
fn record_tables_have_every_column_and_sort_by_bytes() {
    let url = Postgres::shared().database();
    let options = PostgresOptions {
        url: agentcafe_domain::kernel::Secret::new(url.clone()),
        pool_max: 1,
        idle_timeout: std::time::Duration::from_secs(30),
        auto_migrate: true,
        migration_lock_key: 942_516_431,
        time: TimeSource::Database,
    };
    let Migrated { before, applied } = migrate(&options, MayChange::Yes).unwrap();
    assert_eq!((before, applied.first()), (0, Some(&"0001_initial")));
    assert_eq!(
        migrate(&options, MayChange::No).unwrap(),
        Migrated { before: applied.len(), applied: vec![] }
    );
    let columns = Postgres::query(
        &url,
        "SELECT table_name || '.' || column_name, data_type, coalesce(collation_name, '')
         FROM information_schema.columns WHERE table_schema = 'public'",
    );
    for kind in record_kinds::ALL {
        for column in kind.table.key.iter().chain(kind.table.columns).chain(&["json"]) {
            let name = format!("{}.{column}|", kind.table.name);
            let found = columns.lines().find_map(|line| line.strip_prefix(&name));
            let found = found.unwrap_or_else(|| panic!("{name} is missing"));
            let is_sorted = *column == "json" || found == "bigint|" || found == "text|C";
            assert!(is_sorted, "{name} {found}");
        }
    }
}
