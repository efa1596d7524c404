//! `agentcafe migrate`, and what a server does about the schema when it starts.

use std::process::{Command, Stdio};

use agentcafe_testkit::Postgres;

use crate::launch;

/// The command `agentcafe migrate` on a database.
pub(crate) fn migrate(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentcafe"));
    command.env_clear().env("DATABASE_URL", url).arg("migrate").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Its output, and whether it succeeds.
fn migrated(url: &str, arguments: &[&str]) -> (bool, String) {
    let output = migrate(url, arguments).output().expect("it runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The error of a server that must not start.
async fn refused(url: &str, automatic: bool) -> String {
    let launch = launch().env("DATABASE_URL", url).env("API_DB_AUTO_MIGRATE", automatic);
    let Err(failed) = launch.try_start().await else { panic!("it started") };
    assert!(failed.status.is_some_and(|status| !status.success()) && !failed.log.contains("panicked"));
    failed.log.lines().last().unwrap_or_default().to_owned()
}

/// With `API_DB_AUTO_MIGRATE=false` the server changes nothing: its error names the missing migrations and the
/// command to run. `agentcafe migrate` applies them once, also if several run at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrate_is_manual_with_auto_migrate_false() {
    let url = Postgres::shared().database();
    let why = refused(&url, false).await;
    assert!(why.contains("0001_initial is missing") && why.contains("agentcafe migrate"), "{why}");
    let (is_complete, said) = migrated(&url, &["--check"]);
    assert!(!is_complete && said.contains("missing: 0001_initial"), "{said}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(Postgres::query(&url, tables).trim(), "0", "nothing was changed");

    let running: Vec<_> = (0..4).map(|_| migrate(&url, &[]).spawn().expect("it runs")).collect();
    let mut applied = 0;
    for process in running {
        let output = process.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        applied += usize::from(said.contains("applied 0001_initial"));
    }
    assert_eq!(applied, 1, "it is done once");
    let (is_complete, said) = migrated(&url, &["--check"]);
    assert!(is_complete && said.contains("up to date"), "{said}");
    let mut server = launch().env("DATABASE_URL", &url).env("API_DB_AUTO_MIGRATE", false).start().await;
    assert!(server.stop().await.success());
}

/// The schema stays unchanged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrate_refuses_a_schema_with_an_unknown_history() {
    for (change, why) in [
        ("UPDATE schema_migrations SET checksum = 'another'", "another content"),
        ("INSERT INTO schema_migrations VALUES ('9999_later', 'x')", "newer version"),
        ("UPDATE schema_migrations SET name = '0000_earlier' WHERE name = '0001_initial'", "newer version"),
    ] {
        let url = Postgres::shared().database();
        assert!(migrated(&url, &[]).0);
        let _ = Postgres::query(&url, change);
        let said = refused(&url, true).await;
        assert!(said.contains(why), "{change}: {said}");
        for arguments in [&[][..], &["--check"]] {
            let (is_fine, said) = migrated(&url, arguments);
            assert!(!is_fine && said.contains(why), "{change}: {said}");
        }
    }
}

#[test]
fn migrate_without_database_url_is_an_error() {
    let output = migrate("", &[]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("DATABASE_URL is not set"), "{said}");
}
