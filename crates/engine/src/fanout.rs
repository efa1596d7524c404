//! Fan-out: followers with the same filter that stand at the same place share one rendering of what comes next.

use std::{collections::HashMap, sync::Arc};

use agentcafe_domain::kernel::ids::Sequence;
use agentcafe_store::{EventFilter, LoggedEvent, ReadError};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;

use crate::follow::Follower;

/// The most events in one batch of frames.
const MAX_BATCH_EVENTS: usize = 256;
/// The most event JSON in one batch, in bytes (or one event): what a reader that does not read costs.
const MAX_BATCH_BYTES: usize = 128 << 10;
/// How much is kept for sharing, in bytes: a few batches for each place near the head where followers stand.
const MAX_SHARED_BYTES: usize = 4 << 20;

/// How an event goes out in one kind of stream. Its name tells it from the others.
#[derive(Clone, Copy, Debug)]
pub struct FrameEncoder {
    /// The name.
    pub name: &'static str,
    /// Adds the frame of an event.
    pub put: fn(&LoggedEvent, &mut BytesMut),
}

/// Frames of some events, in order.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// The frames, as they go out.
    pub bytes: Bytes,
    /// How many events they hold.
    pub count: usize,
    /// Everything up to here has been looked at.
    pub scanned_to: Sequence,
}

/// The batches that were rendered last.
#[derive(Default)]
pub struct Fanout {
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    batches: HashMap<(&'static str, Arc<EventFilter>, Sequence), Frames>,
    bytes: usize,
}

fn render(encoder: FrameEncoder, events: &[LoggedEvent]) -> Bytes {
    let size: usize = events.iter().map(|event| event.json.len() + 96).sum();
    let mut bytes = BytesMut::with_capacity(size);
    events.iter().for_each(|event| (encoder.put)(event, &mut bytes));
    bytes.freeze()
}

impl Fanout {
    /// The frames of what comes after a follower's cursor, without waiting; at most `limit` events. The cursor moves
    /// past them. Frames of full-size batches are shared with all who stand at the same place and want the same form.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read; the cursor stays.
    pub async fn frames(
        &self,
        follower: &mut Follower,
        encoder: FrameEncoder,
        limit: Option<usize>,
    ) -> Result<Frames, ReadError> {
        let limit = limit.unwrap_or(MAX_BATCH_EVENTS).min(MAX_BATCH_EVENTS);
        let place = (encoder.name, Arc::clone(follower.filter()), follower.scanned_to());
        if limit == MAX_BATCH_EVENTS
            && let Some(frames) = self.shared.lock().batches.get(&place)
        {
            follower.advance_to(frames.scanned_to);
            return Ok(frames.clone());
        }
        let page = follower.read_bytes(limit, MAX_BATCH_BYTES).await?;
        let frames = Frames {
            bytes: render(encoder, &page.events),
            count: page.events.len(),
            scanned_to: follower.scanned_to(),
        };
        if limit == MAX_BATCH_EVENTS && frames.count > 0 {
            let mut shared = self.shared.lock();
            if shared.bytes + frames.bytes.len() > MAX_SHARED_BYTES {
                *shared = Shared::default();
            }
            shared.bytes += frames.bytes.len();
            shared.batches.insert(place, frames.clone());
        }
        Ok(frames)
    }
}
