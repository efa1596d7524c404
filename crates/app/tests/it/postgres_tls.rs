//! TLS to PostgreSQL by `sslmode`, and the limits of the connection pool.

use agentcafe_testkit::{Postgres, eventually};
use tokio::task::JoinSet;

use crate::durability::LOAD_DEADLINE;
use crate::launch;
use crate::postgres_migrate::migrate;
use crate::read_only_database::say_once;

/// The server's URL with another host name and other parameters.
fn url(postgres: &Postgres, host: &str, parameters: &str) -> String {
    let url = postgres.database().replace("127.0.0.1", host);
    let (url, _) = url.split_once('?').expect("parameters");
    format!("{url}?{parameters}")
}

/// `disable` does not encrypt; `prefer` and `require` encrypt without verification; `verify-ca` needs a trusted
/// authority, `verify-full` the right host name, too. A failure stops the start with an error; so does a server
/// without TLS if TLS is required.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sslmode_decides_encryption_and_verification() {
    let (postgres, plain) = (Postgres::start_with_tls(), Postgres::start(false));
    let known = format!("sslrootcert={}", postgres.authority().display());
    let encoded = format!("connect_timeout=3&sslmode=verify-ca&{}", known.replace('/', "%2F"));
    for (host, parameters, is_encrypted) in [
        ("127.0.0.1", "sslmode=disable", false),
        ("127.0.0.1", "", true),
        ("127.0.0.1", "sslmode=require", true),
        ("127.0.0.1", &format!("sslmode=verify-ca&{known}"), true),
        ("127.0.0.1", &encoded, true),
        ("localhost", &format!("{known}&sslmode=verify-full"), true),
    ] {
        let url = url(&postgres, host, parameters);
        let mut server = launch().env("DATABASE_URL", &url).start().await;
        assert_eq!(say_once(&server.client(), "hello").await.status, 202, "{parameters}");
        let seen = Postgres::query(
            &format!("{}?sslmode=disable", url.split('?').next().expect("an address")),
            "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
             WHERE application_name LIKE 'agentcafe%' AND datname = current_database()",
        );
        assert_eq!(seen.trim(), if is_encrypted { "t" } else { "f" }, "{parameters}");
        assert!(server.stop().await.success());
    }
    for (postgres, host, parameters, why) in [
        (&postgres, "127.0.0.1", format!("sslmode=verify-full&{known}"), "not valid for name"),
        (&postgres, "localhost", "sslmode=verify-full".to_owned(), "UnknownIssuer"),
        (&postgres, "localhost", "sslmode=verify-ca".to_owned(), "UnknownIssuer"),
        (&postgres, "localhost", "sslmode=verify-ca&sslrootcert=/missing".to_owned(), "sslrootcert=/missing"),
        (&plain, "127.0.0.1", "sslmode=require".to_owned(), "TLS"),
        (&plain, "127.0.0.1", "sslmode=perhaps".to_owned(), "sslmode"),
    ] {
        let output = migrate(&url(postgres, host, &parameters), &[]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(why) && !said.contains("panicked"),
            "{parameters}: {said}"
        );
    }
}

/// `PG_POOL_MAX` bounds the reading connections; idle ones are closed after `PG_IDLE_TIMEOUT_MS`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pool_is_bounded_and_closes_idle_connections() {
    let database = Postgres::shared().database();
    let server = launch()
        .env("DATABASE_URL", &database)
        .env("PG_POOL_MAX", 2)
        .env("PG_IDLE_TIMEOUT_MS", 1_000)
        .start()
        .await;
    let count = |what: &str| -> usize {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'agentcafe {what}'"
        );
        Postgres::query(&database, &sql).trim().parse().expect("a number")
    };
    let mut reading = JoinSet::new();
    for _ in 0..60 {
        let client = server.client();
        reading.spawn(async move { client.get("/v1/inbox?actorId=Nova").await.status });
    }
    assert!(reading.join_all().await.into_iter().all(|status| status == 200));
    // If this took long, the connections may be closed already.
    eventually("a connection that read is still there", LOAD_DEADLINE, async || {
        assert_eq!(server.client().get("/v1/inbox?actorId=Nova").await.status, 200);
        let reads = count("reads");
        assert!(reads <= 2, "{reads}");
        (reads > 0).then_some(())
    })
    .await;
    assert_eq!((count("writes"), count("listens")), (1, 1));
    let closed = async || (count("reads") == 0).then_some(());
    eventually("idle connections are closed", LOAD_DEADLINE, closed).await;
    assert_eq!(server.client().get("/v1/inbox?actorId=Nova").await.status, 200);
}
