//! Responses with lists of events: short ones as a whole, long ones chunk by chunk from the log, as the client reads.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;

use agentcafe_http::answer::json;
use agentcafe_http::chunks::{self, ChunkBudget, InChunks};
use agentcafe_http::parts::Parts;
use agentcafe_service::EventList;
use agentcafe_store::{LaterEvent, LoggedEvent, Store};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use serde::Serialize;

/// Larger events are sent as the bytes that the log keeps, smaller ones are copied together.
const MAX_COPIED_BYTES: usize = 16 << 10;

/// The most event JSON in a chunk, in bytes; a larger event is a chunk of its own.
const CHUNK_BYTES: usize = 64 << 10;
/// The same while the budget for chunks is spent. Such a chunk is not counted: it fits into the buffers of a connection.
const SMALL_CHUNK_BYTES: usize = 8 << 10;

/// Responds with events under `name`, before the members beside them.
pub(crate) fn respond(
    name: &str,
    list: EventList<impl Serialize>,
    store: &Arc<Store>,
    budget: ChunkBudget,
) -> Response {
    let rest = serde_json::to_vec(&list.rest).expect("an answer has text keys and finite numbers");
    let begin = format!(r#"{{"ok":true,"data":{{"{name}":["#).into_bytes();
    let end = [b"],", &rest[1..], b"}"].concat();
    if list.later.is_empty() {
        whole(&begin, &list.events, &end)
    } else {
        in_chunks(begin, list, end, (store, budget))
    }
}

fn whole(begin: &[u8], events: &[LoggedEvent], end: &[u8]) -> Response {
    let sizes = events.iter().map(|event| event.json.len() + 1);
    let copied: usize = sizes.filter(|bytes| *bytes <= MAX_COPIED_BYTES).sum();
    let mut copies = BytesMut::with_capacity(begin.len() + copied + end.len());
    let mut parts = VecDeque::new();
    copies.put_slice(begin);
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            copies.put_u8(b',');
        }
        if event.json.len() < MAX_COPIED_BYTES {
            copies.put_slice(&event.json);
        } else {
            parts.extend([copies.split().freeze(), event.json.clone()]);
        }
    }
    copies.put_slice(end);
    parts.push_back(copies.freeze());
    json(StatusCode::OK, Parts::body(parts))
}

fn in_chunks<T>(
    begin: Vec<u8>,
    list: EventList<T>,
    end: Vec<u8>,
    (store, budget): (&Arc<Store>, ChunkBudget),
) -> Response {
    let EventList { events, mut later, .. } = list;
    let bytes_of = |later: &[LaterEvent]| later.iter().map(|event| event.bytes as usize).sum::<usize>();
    let held: usize = events.iter().map(|event| event.json.len()).sum();
    let commas = events.len() + later.len() - 1;
    let bytes = begin.len() + held + bytes_of(&later) + commas + end.len();
    let (first, is_first) = match budget.take(begin.len() + held + events.len()) {
        Some(share) => {
            (share.of(joined(begin, events.iter().map(|event| &event.json), true)), events.is_empty())
        }
        None => {
            let named =
                |event: &LoggedEvent| LaterEvent { sequence: event.sequence, bytes: event.json.len() as u32 };
            later.splice(..0, events.iter().map(named));
            (Bytes::from(begin), true)
        }
    };
    let rest =
        LaterEvents { store: Arc::clone(store), budget, later: later.into(), is_first, end: Some(end) };
    let chunks = stream::once(async { Ok(first) }).chain(stream::try_unfold(rest, LaterEvents::next));
    let mut response = json(StatusCode::OK, chunks::body(chunks, bytes as u64));
    response.extensions_mut().insert(InChunks);
    response
}

/// Events behind `begin`, with commas between them, and before the first one if it is not that of the list.
fn joined<'e>(mut begin: Vec<u8>, events: impl Iterator<Item = &'e Bytes>, is_first: bool) -> Vec<u8> {
    for (at, json) in events.enumerate() {
        if at > 0 || !is_first {
            begin.push(b',');
        }
        begin.extend_from_slice(json);
    }
    begin
}

/// The part of a list that was not sent yet.
struct LaterEvents {
    store: Arc<Store>,
    budget: ChunkBudget,
    later: VecDeque<LaterEvent>,
    /// Whether the next event is the first of the list.
    is_first: bool,
    /// What follows the events.
    end: Option<Vec<u8>>,
}

impl LaterEvents {
    /// The next chunk.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Box<dyn Error + Send + Sync>> {
        let (mut count, mut bytes) = self.chunk(CHUNK_BYTES);
        if count == 0 {
            return Ok(self.end.take().map(|end| (Bytes::from(end), self)));
        }
        let mut share = self.budget.take(bytes + count);
        if share.is_none() {
            (count, bytes) = self.chunk(SMALL_CHUNK_BYTES);
            if bytes > SMALL_CHUNK_BYTES {
                let waited = self.budget.wait(bytes + count).await;
                share = Some(waited.ok_or("other responses to this client are not read")?);
            }
        }
        let chunk: Vec<LaterEvent> = self.later.drain(..count).collect();
        let events =
            self.store.events_at(chunk.iter().map(|event| event.sequence).collect(), usize::MAX).await?;
        let is_as_announced = |(event, announced): (&LoggedEvent, &LaterEvent)| {
            event.sequence == announced.sequence && event.json.len() == announced.bytes as usize
        };
        if events.len() != chunk.len() || !events.iter().zip(&chunk).all(is_as_announced) {
            return Err("the log is not what it was when the response began".into());
        }
        let text = joined(
            Vec::with_capacity(bytes + chunk.len()),
            events.iter().map(|event| &event.json),
            self.is_first,
        );
        self.is_first = false;
        let text = match share {
            Some(share) => share.of(text),
            None => text.into(),
        };
        Ok(Some((text, self)))
    }

    /// How many events the next chunk has, and their bytes: at least one, if there are any.
    fn chunk(&self, max_bytes: usize) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        for event in &self.later {
            if count > 0 && bytes + event.bytes as usize > max_bytes {
                break;
            }
            (count, bytes) = (count + 1, bytes + event.bytes as usize);
        }
        (count, bytes)
    }
}
