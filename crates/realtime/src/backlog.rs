//! What is too old for memory: asked of the API, page by page.

use std::{sync::Arc, time::Duration};

use agentcafe_client::{Api, Query};
use agentcafe_domain::kernel::{
    event::EventType,
    ids::{ActorId, RoomId, Sequence, TenantId},
};
use agentcafe_eventlog::{EventFilter, EventPage, EventQuery, LoggedEvent, ReadError};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{sync::Semaphore, time::timeout};

use crate::room::Beginning;

const EVENTS: &str = "/v1/events";
const TIMELINE: &str = "/v1/timeline";
/// The most events that are asked for at once: far more than a client is told at once, because the API counts requests.
const PAGE_EVENTS: usize = 2_000;
/// How many pages, of up to 4 MiB, are kept for those who come by soon.
const MAX_PAGES: usize = 4;
/// The most requests that are under way at once.
const MAX_REQUESTS: usize = 2;
/// How long a page may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Asks the API.
pub(crate) struct Backlog {
    api: Api,
    pages: Mutex<Vec<Arc<Page>>>,
    requests: Semaphore,
}

struct Page {
    filter: EventFilter,
    after: Sequence,
    events: Vec<LoggedEvent>,
    /// Everything after `after` and up to here was looked at.
    scanned_to: Sequence,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    events: Vec<Box<RawValue>>,
}

/// What must be known of an event to pass it on.
#[derive(Deserialize)]
struct Head {
    sequence: Sequence,
    #[serde(rename = "type")]
    kind: EventType,
}

impl Backlog {
    pub(crate) fn new(api: Api) -> Self {
        Self { api, pages: Mutex::default(), requests: Semaphore::new(MAX_REQUESTS) }
    }

    /// The answer to a query for what comes after a cursor. `head`: the API has told us of everything up to there.
    pub(crate) async fn events(&self, query: &EventQuery, head: Sequence) -> Result<EventPage, ReadError> {
        if let Some(page) = self.kept(query) {
            return Ok(page.answer(query));
        }
        let _turn = self.requests.acquire().await.map_err(|_| ReadError)?;
        // Whoever waited for the same has got it by now.
        if let Some(page) = self.kept(query) {
            return Ok(page.answer(query));
        }
        let mut asked = asked_for(&query.filter);
        asked.push(("cursor", query.after.to_string()));
        asked.push(("limit", PAGE_EVENTS.to_string()));
        let events = self.ask(EVENTS, &asked).await?;
        let last = events.last().map(|event| event.sequence);
        let page = Page {
            filter: query.filter.clone(),
            after: query.after,
            events,
            scanned_to: last.unwrap_or(head.max(query.after)),
        };
        let page = Arc::new(page);
        let mut pages = self.pages.lock();
        if pages.len() == MAX_PAGES {
            pages.remove(0);
        }
        if last.is_some() {
            pages.push(Arc::clone(&page));
        }
        drop(pages);
        Ok(page.answer(query))
    }

    /// Where the newest `count` events begin, of those that match and come after `after`.
    pub(crate) async fn newest(
        &self,
        filter: &EventFilter,
        after: Sequence,
        count: usize,
    ) -> Result<Beginning, ReadError> {
        let mut asked = asked_for(filter);
        asked.push(("order", "desc".to_owned()));
        asked.push(("limit", (count + 1).to_string()));
        let _turn = self.requests.acquire().await.map_err(|_| ReadError)?;
        let events = self.ask(TIMELINE, &asked).await?;
        let left_out = events.get(count).map(|event| event.sequence).filter(|sequence| *sequence > after);
        Ok(match (left_out, events.last()) {
            (Some(left_out), _) => Beginning { after: left_out, leaves_out: true },
            // A page that is cut because of its size is not whole: it begins behind its last event.
            (None, Some(last)) if events.len() <= count && last.sequence > after => {
                self.before_cut(filter, after, last.sequence).await?
            }
            _ => Beginning { after, leaves_out: false },
        })
    }

    /// Whether something was cut off before `oldest`.
    async fn before_cut(
        &self,
        filter: &EventFilter,
        after: Sequence,
        oldest: Sequence,
    ) -> Result<Beginning, ReadError> {
        let mut asked = asked_for(filter);
        asked.push(("order", "desc".to_owned()));
        asked.push(("cursor", oldest.to_string()));
        asked.push(("limit", "1".to_owned()));
        let before = self.ask(TIMELINE, &asked).await?;
        let left_out = before.first().map(|event| event.sequence).filter(|sequence| *sequence > after);
        Ok(match left_out {
            Some(left_out) => Beginning { after: left_out, leaves_out: true },
            None => Beginning { after, leaves_out: false },
        })
    }

    fn kept(&self, query: &EventQuery) -> Option<Arc<Page>> {
        let pages = self.pages.lock();
        let covers = |page: &&Arc<Page>| {
            page.filter == query.filter && page.after <= query.after && query.after < page.scanned_to
        };
        pages.iter().find(covers).cloned()
    }

    async fn ask(&self, path: &str, query: &Query) -> Result<Vec<LoggedEvent>, ReadError> {
        let bytes = timeout(TIMEOUT, async {
            let response = self.api.get(path, query).await.map_err(|failure| failure.to_string())?;
            response.bytes().await.map_err(|error| error.to_string())
        });
        let bytes = bytes.await.unwrap_or_else(|_| Err("it takes too long".to_owned()));
        let answer = bytes
            .and_then(|bytes| serde_json::from_slice::<Answer>(&bytes).map_err(|error| error.to_string()));
        let events = answer.map_err(|why| {
            tracing::warn!(path, why, "older events cannot be read");
            ReadError
        })?;
        Ok(events.data.events.into_iter().filter_map(logged).collect())
    }
}

fn logged(json: Box<RawValue>) -> Option<LoggedEvent> {
    let Head { sequence, kind } = serde_json::from_str(json.get()).ok()?;
    Some(LoggedEvent { sequence, kind, json: String::from(Box::<str>::from(json)).into() })
}

fn asked_for(filter: &EventFilter) -> Query {
    let types = filter.types.as_ref().map(|types| {
        // Types that nobody knows match nothing, here and there.
        let names: Vec<&str> = types.iter().map(|kind| kind.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(",") }
    });
    let all = [
        ("tenantId", filter.tenant.as_ref().map(TenantId::to_string)),
        ("roomId", filter.room.as_ref().map(RoomId::to_string)),
        ("actorId", filter.actor.as_ref().map(ActorId::to_string)),
        ("types", types),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

impl Page {
    /// The part of the page that a query asks for.
    fn answer(&self, query: &EventQuery) -> EventPage {
        let start = self.events.partition_point(|event| event.sequence <= query.after);
        let mut bytes = 0;
        let fits = |(at, event): &(usize, &LoggedEvent)| {
            bytes += event.json.len();
            *at < query.limit && (bytes <= query.max_bytes || *at == 0)
        };
        let events: Vec<LoggedEvent> = self.events[start..]
            .iter()
            .enumerate()
            .take_while(fits)
            .map(|(_, event)| event.clone())
            .collect();
        let is_rest = start + events.len() == self.events.len();
        let last = events.last().map(|event| event.sequence);
        let scanned_to = if is_rest { self.scanned_to } else { last.unwrap_or(query.after) };
        EventPage { events, scanned_to: scanned_to.max(query.after) }
    }
}
