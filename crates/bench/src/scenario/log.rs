//! Reads the log over HTTP, to compare with what streams delivered.

use std::net::SocketAddr;

use agentcafe_load::connection::Connection;
use agentcafe_load::requests::get;
use anyhow::{Result, ensure};
use serde::Deserialize;

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
pub(crate) async fn read_page(connection: &mut Connection, query: &str) -> Result<Vec<u64>> {
    let response = connection.exchange(&get(&format!("/v1/events?{query}"))).await?;
    ensure!(response.status == 200, "status {} for the events of {query}", response.status);
    let answer: Answer = serde_json::from_slice(response.body)?;
    Ok(answer.data.events.into_iter().map(|event| event.sequence).collect())
}

/// The sequences of a room's events after `cursor`, to the log's end.
pub(crate) async fn read_room(address: SocketAddr, room: &str, mut cursor: u64) -> Result<Vec<u64>> {
    let mut connection = Connection::open(address).await?;
    let mut sequences = Vec::new();
    loop {
        let query = format!("roomId={room}&cursor={cursor}&limit={PAGE_EVENTS}");
        let page = read_page(&mut connection, &query).await?;
        let Some(last) = page.last() else {
            return Ok(sequences);
        };
        ensure!(page[0] > cursor && page.is_sorted_by(|one, next| one < next), "a page is out of order");
        cursor = *last;
        sequences.extend(page);
    }
}
