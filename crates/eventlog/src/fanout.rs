//! Fan-out: followers with the same filter and the same cursor share one rendering of the next events.

use std::collections::HashMap;
use std::sync::Arc;

use agentcafe_domain::kernel::Sequence;
use bytes::{Bytes, BytesMut};
use foldhash::fast::RandomState;
use parking_lot::Mutex;

use crate::{EventFilter, Follower, LoggedEvent, ReadError};

/// The most events in one batch of frames.
const MAX_BATCH_EVENTS: usize = 256;
/// The most event JSON in one batch, in bytes (or one event). A client that does not read holds one batch.
const MAX_BATCH_BYTES: usize = 128 << 10;
/// The most rendered frames that are cached, in bytes: a few batches for each cursor near the head.
const MAX_CACHED_BYTES: usize = 4 << 20;

/// Renders events for one kind of stream.
#[derive(Clone, Copy, Debug)]
pub struct FrameEncoder {
    /// Identifies the encoder: frames of encoders with the same name are interchangeable.
    pub name: &'static str,
    /// Appends the frame of an event.
    pub encode: fn(&LoggedEvent, &mut BytesMut),
}

/// A batch of rendered events, in order.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// The frames.
    pub bytes: Bytes,
    /// How many events they hold.
    pub count: usize,
    /// The cursor after them.
    pub scanned_to: Sequence,
}

/// A cache of the batches that were rendered last.
#[derive(Default)]
pub struct Fanout {
    cache: Mutex<Cache>,
}

/// Looked up once per reader and batch, so it is hashed fast.
#[derive(Default)]
struct Cache {
    batches: HashMap<(&'static str, bool, Arc<EventFilter>, Sequence), Frames, RandomState>,
    bytes: usize,
}

impl Frames {
    /// Renders events.
    pub(crate) fn render(encoder: FrameEncoder, events: &[LoggedEvent], scanned_to: Sequence) -> Self {
        let size: usize = events.iter().map(|event| event.json.len() + 96).sum();
        let mut bytes = BytesMut::with_capacity(size);
        events.iter().for_each(|event| (encoder.encode)(event, &mut bytes));
        Self { bytes: bytes.freeze(), count: events.len(), scanned_to }
    }
}

impl Fanout {
    /// The frames of the events after the follower's cursor, at most `limit`, without waiting; moves the cursor past them.
    /// Without a limit, the batch is shared with every follower that has the same filter, cursor and encoder.
    ///
    /// # Errors
    /// As [`Follower::read`].
    pub async fn frames(
        &self,
        follower: &mut Follower,
        encoder: FrameEncoder,
        limit: Option<usize>,
    ) -> Result<Frames, ReadError> {
        let limit = limit.unwrap_or(MAX_BATCH_EVENTS).min(MAX_BATCH_EVENTS);
        let key = (encoder.name, follower.has_bodies(), Arc::clone(follower.filter()), follower.scanned_to());
        if limit == MAX_BATCH_EVENTS
            && let Some(frames) = self.cache.lock().batches.get(&key)
        {
            follower.advance_to(frames.scanned_to);
            return Ok(frames.clone());
        }
        let page = follower.read_within(limit, MAX_BATCH_BYTES).await?;
        let frames = Frames::render(encoder, &page.events, follower.scanned_to());
        if limit == MAX_BATCH_EVENTS && frames.count > 0 {
            let mut cache = self.cache.lock();
            if cache.bytes + frames.bytes.len() > MAX_CACHED_BYTES {
                *cache = Cache::default();
            }
            cache.bytes += frames.bytes.len();
            cache.batches.insert(key, frames.clone());
        }
        Ok(frames)
    }
}
