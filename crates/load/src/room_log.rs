//! Reads the log over HTTP, to compare with what streams delivered.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::connection::Connection;
use crate::target::Target;

/// Events of a page, the most that may be asked for.
const PAGE_EVENTS: usize = 5000;

#[derive(Debug, Deserialize)]
struct Answer {
    data: Page,
}

#[derive(Debug, Deserialize)]
struct Page {
    events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
struct Event {
    sequence: u64,
}

/// The sequences of one page, as `GET /v1/events` with this query gives them.
///
/// # Errors
/// When there is no such page.
pub async fn read_page(connection: &mut Connection, target: &Target, query: &str) -> Result<Vec<u64>> {
    let request = target.get(&format!("/v1/events?{query}"));
    let response = connection.exchange(&request).await.context("the log cannot be read")?;
    ensure!(response.status == 200, "the log cannot be read: status {}", response.status);
    let answer: Answer = serde_json::from_slice(response.body).context("the log cannot be read")?;
    Ok(answer.data.events.into_iter().map(|event| event.sequence).collect())
}

/// The sequences of the events after `cursor` that match the query, to the log's end.
///
/// # Errors
/// When a page cannot be read or is out of order.
pub async fn read_from(target: &Target, query: &str, mut cursor: u64) -> Result<Vec<u64>> {
    let mut connection = Connection::open(target).await.context("the log cannot be read")?;
    let mut sequences = Vec::new();
    loop {
        let query = format!("{query}&cursor={cursor}&limit={PAGE_EVENTS}");
        let page = read_page(&mut connection, target, &query).await?;
        let Some(last) = page.last() else {
            return Ok(sequences);
        };
        ensure!(page[0] > cursor && page.is_sorted_by(|one, next| one < next), "a page is out of order");
        cursor = *last;
        sequences.extend(page);
    }
}
