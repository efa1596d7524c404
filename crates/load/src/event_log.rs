//! Reads the event log over HTTP and compares what subscribers received with it.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::connection::Connection;
use crate::subscriber::{ReceivedEvents, SequenceSet};
use crate::target::Target;

/// Events per page: the API's maximum.
const PAGE_EVENTS: usize = 5000;

#[derive(Debug, Deserialize)]
struct PageResponse {
    data: EventsPage,
}

#[derive(Debug, Deserialize)]
struct EventsPage {
    events: Vec<EventSequence>,
}

#[derive(Debug, Deserialize)]
struct EventSequence {
    sequence: u64,
}

/// Reads the sequences of one page: `GET /v1/events` with this query.
///
/// # Errors
/// When the page cannot be read.
pub async fn read_page(connection: &mut Connection, target: &Target, query: &str) -> Result<Vec<u64>> {
    let request = target.get(&format!("/v1/events?{query}"));
    let response = connection.exchange(&request).await.context("the log cannot be read")?;
    ensure!(response.status == 200, "the log cannot be read: status {}", response.status);
    let page: PageResponse = serde_json::from_slice(response.body).context("the log cannot be read")?;
    Ok(page.data.events.into_iter().map(|event| event.sequence).collect())
}

/// Reads the sequences of all events after `cursor` that match the query.
///
/// # Errors
/// When a page cannot be read or is out of order.
pub async fn read_after(target: &Target, query: &str, mut cursor: u64) -> Result<Vec<u64>> {
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

/// How the events that subscribers received differ from the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Deliveries that are missing.
    pub lost: u64,
    /// Deliveries repeated directly after the first.
    pub repeated: u64,
    /// Deliveries after that of a later event.
    pub out_of_order: u64,
    /// Subscribers that received anything but exactly the log.
    pub subscribers: u64,
}

impl Differences {
    /// Compares what each subscriber received with the log up to `last`, the last event that all of them must have; for
    /// a subscriber that received later events, up to its own last one.
    #[must_use]
    pub fn between(subscribers: &[ReceivedEvents], log: &[u64], last: u64) -> Self {
        let mut set = SequenceSet::default();
        let extend = |sequence: &u64| {
            set.add(*sequence);
            set
        };
        let prefixes: Vec<_> = log.iter().map(extend).collect();
        let mut total = Self::default();
        for received in subscribers {
            let last = last.max(received.sequences.last);
            let length = prefixes.partition_point(|prefix| prefix.last <= last);
            let expected = length.checked_sub(1).map_or_else(SequenceSet::default, |at| prefixes[at]);
            total.lost += expected.count.saturating_sub(received.sequences.count);
            total.repeated += received.repeated;
            total.out_of_order += received.out_of_order;
            let is_exact =
                received.sequences == expected && received.repeated == 0 && received.out_of_order == 0;
            total.subscribers += u64::from(!is_exact);
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(sequences: &[u64]) -> ReceivedEvents {
        let mut received = ReceivedEvents::default();
        for sequence in sequences {
            received.sequences.add(*sequence);
        }
        received
    }

    #[test]
    fn differences_compares_each_subscriber_with_the_log() {
        let log = [3, 5, 9, 12];
        let cases: [(&[u64], u64, u64); 7] = [
            (&[3, 5, 9], 0, 0),
            (&[3, 5, 9, 12], 0, 0),
            (&[3, 9], 1, 1),
            (&[3, 9, 12], 1, 1),
            (&[], 3, 1),
            (&[3, 5, 8], 0, 1),
            (&[3, 4, 5, 9], 0, 1),
        ];
        for (sequences, lost, subscribers) in cases {
            let actual = Differences::between(&[received(sequences)], &log, 9);
            assert_eq!(actual, Differences { lost, subscribers, ..Differences::default() }, "{sequences:?}");
        }
        let mut doubled = received(&[3, 5, 9]);
        (doubled.repeated, doubled.out_of_order) = (2, 1);
        let actual = Differences::between(&[doubled, received(&[3, 5, 9])], &log, 9);
        assert_eq!(actual, Differences { lost: 0, repeated: 2, out_of_order: 1, subscribers: 1 });
        assert_eq!(Differences::between(&[received(&[])], &[], 0), Differences::default());
    }
}
