//! Reads events that are too old for memory from the API, page by page.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_client::{ApiClient, Query};
use agentcafe_domain::kernel::{ActorId, EventType, RoomId, Sequence, TenantId};
use agentcafe_eventlog::{EventFilter, EventPage, EventQuery, LoggedEvent, ReadError};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::room::ReplayStart;

const EVENTS: &str = "/v1/events";
const TIMELINE: &str = "/v1/timeline";
/// Events per request: far more than one client needs at once, because the API limits the number of requests.
const PAGE_EVENTS: usize = 2_000;
/// How many pages, of up to 4 MiB each, are cached.
const MAX_CACHED_PAGES: usize = 4;
/// The most concurrent requests.
const MAX_REQUESTS: usize = 2;
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Reads pages from the API.
pub(crate) struct ApiHistory {
    api: ApiClient,
    pages: Mutex<Vec<Arc<CachedPage>>>,
    requests: Semaphore,
}

struct CachedPage {
    filter: EventFilter,
    after: Sequence,
    events: Vec<LoggedEvent>,
    /// Everything after `after` up to here was examined.
    scanned_to: Sequence,
}

#[derive(Deserialize)]
struct EventsResponse {
    data: EventsData,
}

#[derive(Deserialize)]
struct EventsData {
    events: Vec<Box<RawValue>>,
}

/// The fields of an event that a [`LoggedEvent`] needs.
#[derive(Deserialize)]
struct EventHead {
    sequence: Sequence,
    #[serde(rename = "type")]
    kind: EventType,
}

impl ApiHistory {
    pub(crate) fn new(api: ApiClient) -> Self {
        Self { api, pages: Mutex::default(), requests: Semaphore::new(MAX_REQUESTS) }
    }

    /// The page for a query that reads forward from a cursor. `head`: the stream has delivered everything up to there.
    pub(crate) async fn events(&self, query: &EventQuery, head: Sequence) -> Result<EventPage, ReadError> {
        if let Some(page) = self.cached(query) {
            return Ok(page.select(query));
        }
        let _permit = self.requests.acquire().await.map_err(|_| ReadError)?;
        // Another caller may have read the page meanwhile.
        if let Some(page) = self.cached(query) {
            return Ok(page.select(query));
        }
        let mut parameters = query_for(&query.filter);
        parameters.push(("cursor", query.after.to_string()));
        parameters.push(("limit", PAGE_EVENTS.to_string()));
        let events = self.request(EVENTS, &parameters).await?;
        let last = events.last().map(|event| event.sequence);
        let page = CachedPage {
            filter: query.filter.clone(),
            after: query.after,
            events,
            scanned_to: last.unwrap_or(head.max(query.after)),
        };
        let page = Arc::new(page);
        let mut pages = self.pages.lock();
        if pages.len() == MAX_CACHED_PAGES {
            pages.remove(0);
        }
        if last.is_some() {
            pages.push(Arc::clone(&page));
        }
        drop(pages);
        Ok(page.select(query))
    }

    /// Where the newest `count` matching events after `after` begin.
    pub(crate) async fn newest(
        &self,
        filter: &EventFilter,
        after: Sequence,
        count: usize,
    ) -> Result<ReplayStart, ReadError> {
        let mut parameters = query_for(filter);
        parameters.push(("order", "desc".to_owned()));
        parameters.push(("limit", (count + 1).to_string()));
        let _permit = self.requests.acquire().await.map_err(|_| ReadError)?;
        let events = self.request(TIMELINE, &parameters).await?;
        let left_out = events.get(count).map(|event| event.sequence).filter(|sequence| *sequence > after);
        Ok(match (left_out, events.last()) {
            (Some(left_out), _) => ReplayStart { after: left_out, has_gap: true },
            // A page that was cut because of its size is incomplete: it begins before its last event.
            (None, Some(last)) if events.len() <= count && last.sequence > after => {
                self.before_cut(filter, after, last.sequence).await?
            }
            _ => ReplayStart { after, has_gap: false },
        })
    }

    /// Whether there are matching events before `oldest`.
    async fn before_cut(
        &self,
        filter: &EventFilter,
        after: Sequence,
        oldest: Sequence,
    ) -> Result<ReplayStart, ReadError> {
        let mut parameters = query_for(filter);
        parameters.push(("order", "desc".to_owned()));
        parameters.push(("cursor", oldest.to_string()));
        parameters.push(("limit", "1".to_owned()));
        let before = self.request(TIMELINE, &parameters).await?;
        let left_out = before.first().map(|event| event.sequence).filter(|sequence| *sequence > after);
        Ok(match left_out {
            Some(left_out) => ReplayStart { after: left_out, has_gap: true },
            None => ReplayStart { after, has_gap: false },
        })
    }

    fn cached(&self, query: &EventQuery) -> Option<Arc<CachedPage>> {
        let pages = self.pages.lock();
        let covers = |page: &&Arc<CachedPage>| {
            page.filter == query.filter && page.after <= query.after && query.after < page.scanned_to
        };
        pages.iter().find(covers).cloned()
    }

    async fn request(&self, path: &str, query: &Query) -> Result<Vec<LoggedEvent>, ReadError> {
        let bytes = timeout(TIMEOUT, async {
            let response = self.api.get(path, query).await.map_err(|failure| failure.to_string())?;
            response.bytes().await.map_err(|error| error.to_string())
        });
        let bytes = bytes.await.unwrap_or_else(|_| Err("the API did not answer in time".to_owned()));
        let response = bytes.and_then(|bytes| {
            serde_json::from_slice::<EventsResponse>(&bytes).map_err(|error| error.to_string())
        });
        let events = response.map_err(|why| {
            tracing::warn!(path, why, "older events cannot be read");
            ReadError
        })?;
        Ok(events.data.events.into_iter().filter_map(logged).collect())
    }
}

fn logged(json: Box<RawValue>) -> Option<LoggedEvent> {
    let EventHead { sequence, kind } = serde_json::from_str(json.get()).ok()?;
    Some(LoggedEvent { sequence, kind, json: String::from(Box::<str>::from(json)).into() })
}

fn query_for(filter: &EventFilter) -> Query {
    let types = filter.types.as_ref().map(|types| {
        // An empty list matches nothing; for the API that is a type that does not exist.
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

impl CachedPage {
    /// The part of the page that a query reads.
    fn select(&self, query: &EventQuery) -> EventPage {
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
