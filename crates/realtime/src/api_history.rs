//! Reads events that are too old for memory from the API, page by page.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_client::{ApiClient, Query, RequestError};
use agentcafe_domain::kernel::{ActorId, RoomId, Sequence, TenantId};
use agentcafe_eventlog::{DamagedEvents, EventFilter, EventPage, EventQuery, LoggedEvent, ReadError};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::log_mirror::{EventHead, page};
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

impl ApiHistory {
    pub(crate) fn new(api: ApiClient) -> Self {
        Self { api, pages: Mutex::default(), requests: Semaphore::new(MAX_REQUESTS) }
    }

    /// The page for a query that reads forward from a cursor. `head`: the stream has delivered everything up to there.
    pub(crate) async fn events(&self, query: &EventQuery, head: Sequence) -> Result<EventPage, ReadError> {
        if let Some(page) = self.cached(query) {
            return Ok(page.select(query));
        }
        let _permit = self.requests.acquire().await.map_err(|_| ReadError::Unavailable)?;
        // Another caller may have read the page meanwhile.
        if let Some(page) = self.cached(query) {
            return Ok(page.select(query));
        }
        let mut limit = PAGE_EVENTS;
        let events = loop {
            let mut parameters = query_for(&query.filter);
            parameters.push(("cursor", query.after.to_string()));
            parameters.push(("limit", limit.to_string()));
            match self.request(EVENTS, &parameters).await {
                // Fewer events may end before what is damaged.
                Err(ReadError::DamagedEvents(_)) if limit > 1 => limit /= 2,
                Err(ReadError::DamagedEvents(damaged)) => {
                    return Err(ReadError::DamagedEvents(DamagedEvents { after: query.after, ..damaged }));
                }
                read => break read?,
            }
        };
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
        let _permit = self.requests.acquire().await.map_err(|_| ReadError::Unavailable)?;
        let newest = self.timeline(filter, None, count + 1).await?;
        let skipped = match newest.last().map(|oldest| oldest.sequence) {
            // A page that was cut because of its size is incomplete: it continues before its last event.
            Some(oldest) if newest.len() <= count && oldest > after => {
                self.timeline(filter, Some(oldest), 1).await?.first().map(|event| event.sequence)
            }
            _ => newest.get(count).map(|event| event.sequence),
        };
        let skipped = skipped.filter(|skipped| *skipped > after);
        Ok(ReplayStart { after: skipped.unwrap_or(after), has_gap: skipped.is_some() })
    }

    /// The newest matching events before `before`, newest first.
    async fn timeline(
        &self,
        filter: &EventFilter,
        before: Option<Sequence>,
        limit: usize,
    ) -> Result<Vec<LoggedEvent>, ReadError> {
        let mut parameters = query_for(filter);
        parameters.push(("order", "desc".to_owned()));
        parameters.extend(before.map(|before| ("cursor", before.to_string())));
        parameters.push(("limit", limit.to_string()));
        self.request(TIMELINE, &parameters).await
    }

    fn cached(&self, query: &EventQuery) -> Option<Arc<CachedPage>> {
        let pages = self.pages.lock();
        let covers = |page: &&Arc<CachedPage>| {
            page.filter == query.filter && page.after <= query.after && query.after < page.scanned_to
        };
        pages.iter().find(covers).cloned()
    }

    async fn request(&self, path: &str, query: &Query) -> Result<Vec<LoggedEvent>, ReadError> {
        let unreadable = |why: String| {
            tracing::warn!(path, why, "older events cannot be read");
            ReadError::Unavailable
        };
        let bytes = timeout(TIMEOUT, async {
            let response = self.api.get(path, query).await.map_err(|failure| match failure {
                RequestError::DamagedEvents { to, .. } => ReadError::DamagedEvents(DamagedEvents::one(to)),
                failure => unreadable(failure.to_string()),
            })?;
            response.bytes().await.map_err(|error| unreadable(error.to_string()))
        });
        let late = |_| Err(unreadable("the API did not answer in time".to_owned()));
        let bytes = bytes.await.unwrap_or_else(late)?;
        let events = serde_json::from_slice::<EventsResponse>(&bytes)
            .map_err(|error| unreadable(error.to_string()))?;
        Ok(events.data.events.into_iter().filter_map(logged).collect())
    }
}

fn logged(json: Box<RawValue>) -> Option<LoggedEvent> {
    let EventHead { sequence, kind, .. } = serde_json::from_str(json.get()).ok()?;
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
        page(query, self.events[start..].iter().cloned(), self.scanned_to)
    }
}
