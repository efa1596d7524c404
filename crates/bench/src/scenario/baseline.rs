//! `baseline`: what bare HTTP, bare SQLite and the disk cost on the same machine.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use agentcafe_load::stats::{Latencies, Stopwatch};
use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rusqlite::{Connection, params};
use serde::Deserialize;

use super::{listen, report_failures};
use crate::arguments::Setup;
use crate::measure::measure_for;
use crate::report::Section;
use crate::server::Server;

/// Maximum duration of each disk measurement.
const MAX_DISK_DURATION: Duration = Duration::from_secs(3);
/// Connections to the bare server: as many as `says` uses.
const CONNECTIONS: u64 = 64;
/// Bytes of the bare server's response: about as many as of agentcafe's.
const RESPONSE_BYTES: usize = 1024;
/// Bytes of a row: about as many as of an event.
const ROW_BYTES: usize = 600;
/// Bytes written before each fdatasync: one page of a write-ahead log.
const SYNC_BYTES: usize = 4096;

/// Measures bare HTTP, SQLite and fdatasync.
pub(crate) async fn run(setup: &Setup, section: &mut Section<'_>) -> Result<()> {
    let dir = setup.temporary_dir()?;
    section.progress("a bare HTTP handler");
    let server = Server::start_bare().await?;
    let scripts = server.measured().says(CONNECTIONS);
    let (warm_up, duration) = (setup.settings.warm_up(), setup.settings.measured());
    let bare = measure_for(server.measured(), scripts, warm_up, duration).await?;
    server.stop().await?;
    section.figure("bare HTTP requests", bare.per_second(), "/s");
    section.figure("bare HTTP CPU per request", bare.us_per_success(bare.server_cpu), "µs");
    section.figure("bare HTTP p99", bare.stats.latencies.quantile_ms(0.99), "ms");
    section.figure("generator CPU per request", bare.us_per_success(bare.generator_cpu), "µs");
    report_failures(section, &bare);

    let duration = duration.min(MAX_DISK_DURATION);
    for group in [100, 1000] {
        section.progress(&format!("bare SQLite, groups of {group}"));
        let rows = sqlite_rows_per_second(dir.path(), group, duration)?;
        section.figure(&format!("SQLite rows, groups of {group}"), rows, "/s");
    }
    section.progress("fdatasync");
    let latencies = sync_latencies(dir.path(), duration)?;
    section.figure("fdatasync p50", latencies.quantile_ms(0.50), "ms");
    section.figure("fdatasync p99", latencies.quantile_ms(0.99), "ms");
    Ok(())
}

/// A say's body, owned as in a server that goes on to use it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SayBody {
    tenant_id: String,
    room_id: String,
    actor_id: String,
    text: String,
}

/// Runs the bare server on a free port of 127.0.0.1, which it logs, until it is ended.
pub(crate) fn serve_bare_http() -> Result<()> {
    let router = Router::new().route("/readyz", get(|| async {})).route("/v1/commands/say", post(answer_say));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (address, listener) = listen().await?;
        eprintln!("listening on http://{address}");
        Ok(axum::serve(listener, router).await?)
    })
}

/// Parses a say and answers it.
async fn answer_say(body: Bytes) -> Response {
    let Ok(say) = serde_json::from_slice::<SayBody>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut response = format!(
        r#"{{"ok":true,"tenantId":"{}","roomId":"{}","actorId":"{}","text":"{}","filler":""#,
        say.tenant_id, say.room_id, say.actor_id, say.text
    );
    let filler_bytes = RESPONSE_BYTES.saturating_sub(response.len() + 2);
    response.extend(std::iter::repeat_n('.', filler_bytes));
    response.push_str("\"}");
    (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json; charset=utf-8")], response)
        .into_response()
}

/// Rows per second that SQLite commits durably in transactions of `group` rows.
fn sqlite_rows_per_second(dir: &Path, group: usize, duration: Duration) -> Result<f64> {
    let mut connection = Connection::open(dir.join(format!("rows-{group}.sqlite")))?;
    connection.execute_batch(
        "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE row (sequence INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;",
    )?;
    let body = vec![b'x'; ROW_BYTES];
    let stopwatch = Stopwatch::start();
    let mut rows = 0_usize;
    while stopwatch.elapsed() < duration {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO row (body) VALUES (?1)")?;
            for _ in 0..group {
                insert.execute(params![body])?;
            }
        }
        transaction.commit()?;
        rows += group;
    }
    Ok(rows as f64 / stopwatch.elapsed().as_secs_f64())
}

/// Latencies of appending a page and fdatasync.
fn sync_latencies(dir: &Path, duration: Duration) -> Result<Latencies> {
    let mut file = File::create(dir.join("synced"))?;
    let page = [b'x'; SYNC_BYTES];
    let mut latencies = Latencies::default();
    let stopwatch = Stopwatch::start();
    while stopwatch.elapsed() < duration {
        let started_us = stopwatch.elapsed_us();
        file.write_all(&page)?;
        file.sync_data()?;
        latencies.record_us(stopwatch.elapsed_us() - started_us);
    }
    Ok(latencies)
}
