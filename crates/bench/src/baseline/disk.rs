//! Bare SQLite and bare fdatasync, on the disk that the stores are on.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use agentcafe_load::latency::Latencies;
use agentcafe_load::stopwatch::Stopwatch;
use anyhow::Result;
use rusqlite::{Connection, params};

/// Bytes of a row: about an event.
const ROW_BYTES: usize = 600;
/// Bytes written before each fdatasync: one page of a write-ahead log.
const SYNC_BYTES: usize = 4096;

/// Rows a second that SQLite makes durable in transactions of `group` rows.
pub(crate) fn sqlite_rows_per_second(dir: &Path, group: usize, duration: Duration) -> Result<f64> {
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

/// How long the disk takes for appending a page and fdatasync.
pub(crate) fn sync_latencies(dir: &Path, duration: Duration) -> Result<Latencies> {
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
