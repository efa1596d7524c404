//! One reader of an event stream: checks the order of what it receives and times a part of it.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, ready};

use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use crate::http::{ProtocolError, parse_decimal};
use crate::latency::Latencies;
use crate::script::TIME_DIGITS;
use crate::sse::{Field, SseReader};
use crate::stopwatch::Stopwatch;
use crate::target::Target;
use crate::transport::Transport;

/// Bytes of one read. All subscribers of a thread share the buffer, so it stays in the CPU's cache.
const READ_BYTES: usize = 128 * 1024;
/// Bytes of one read while a stream begins.
const BEGIN_BYTES: usize = 8 * 1024;
/// Where a timed say's event has its time.
const TIME_MARK: &[u8] = b"\"text\":\"t=";

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// The sending times, in microseconds, whose says are timed.
#[derive(Debug)]
pub struct SendWindow {
    from_us: AtomicU64,
    until_us: AtomicU64,
}

impl Default for SendWindow {
    fn default() -> Self {
        Self { from_us: AtomicU64::new(u64::MAX), until_us: AtomicU64::new(u64::MAX) }
    }
}

impl SendWindow {
    /// Says sent from now on are timed.
    pub fn open(&self, now_us: u64) {
        self.from_us.store(now_us, Ordering::Relaxed);
    }

    /// Says sent from now on are not timed.
    pub fn close(&self, now_us: u64) {
        self.until_us.store(now_us, Ordering::Relaxed);
    }

    fn contains(&self, sent_us: u64) -> bool {
        (self.from_us.load(Ordering::Relaxed)..self.until_us.load(Ordering::Relaxed)).contains(&sent_us)
    }
}

/// A set of increasing ids, as small as it can be and still be compared with another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdSet {
    /// How many.
    pub count: u64,
    /// The last, which is the greatest.
    pub last: u64,
    sum: u64,
    exclusive_or: u64,
}

impl IdSet {
    /// Adds an id if it is greater than the last; otherwise says that it is not.
    pub fn add(&mut self, id: u64) -> bool {
        let increases = id > self.last;
        if increases {
            self.count += 1;
            self.last = id;
            self.sum = self.sum.wrapping_add(id);
            self.exclusive_or ^= id;
        }
        increases
    }
}

/// What a subscriber has received so far.
#[derive(Debug, Default)]
pub struct Received {
    /// The `ready` frame has come.
    pub is_ready: bool,
    /// The events, leaving out those counted in the next two.
    pub ids: IdSet,
    /// Events whose id was that of the one before.
    pub repeated: u64,
    /// Events whose id was smaller than that of the one before.
    pub out_of_order: u64,
    /// Why the stream ended.
    pub failure: Option<ProtocolError>,
    /// From before a say was sent until its event was read; `None` if this subscriber does not time.
    latencies: Option<Arc<Mutex<Latencies>>>,
    frame_id: Option<u64>,
}

impl Received {
    /// Nothing yet, for a subscriber that adds how long each event took to these latencies, or does not.
    #[must_use]
    pub fn nothing(latencies: Option<Arc<Mutex<Latencies>>>) -> Self {
        Self { latencies, ..Self::default() }
    }

    fn take(&mut self, field: Field<'_>, now_us: u64, window: &SendWindow) {
        match field {
            Field::Id(id) => self.frame_id = Some(id),
            Field::Event(name) => self.is_ready |= name == b"ready",
            Field::Data(data) => {
                if let Some(latencies) = &self.latencies
                    && let Some(sent_us) = sending_time_us(data)
                    && window.contains(sent_us)
                {
                    let mut latencies = latencies.lock().expect("no holder panics");
                    latencies.record_us(now_us.saturating_sub(sent_us));
                }
            }
            Field::End => {
                if let Some(id) = self.frame_id.take()
                    && !self.ids.add(id)
                {
                    let count = if id == self.ids.last { &mut self.repeated } else { &mut self.out_of_order };
                    *count += 1;
                }
            }
        }
    }
}

/// The time in the text of a timed say's event.
fn sending_time_us(data: &[u8]) -> Option<u64> {
    let digits = &data[memmem::find(data, TIME_MARK)? + TIME_MARK.len()..];
    parse_decimal(digits.get(..TIME_DIGITS)?).map(|time_us| time_us as u64)
}

/// Subscribes to the stream at `path` and keeps `received` up to date until the stream ends, which
/// it should not.
pub async fn subscribe(
    target: &Target,
    path: &str,
    stopwatch: Stopwatch,
    window: &SendWindow,
    received: &Mutex<Received>,
) {
    let Err(error) = read_stream(target, path, stopwatch, window, received).await;
    received.lock().expect("no holder panics").failure = Some(error);
}

/// Subscribes to the stream at `path`, and leaves as soon as the server has told that it is ready.
///
/// # Errors
/// When the stream is refused, or ends before that.
pub async fn wait_until_ready(target: &Target, path: &str) -> Result<(), ProtocolError> {
    let mut stream = open(target, path).await?;
    let mut reader = SseReader::default();
    let mut buffer = vec![0; BEGIN_BYTES];
    let mut is_ready = false;
    while !is_ready {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Err(ProtocolError::Closed);
        }
        reader.feed(&buffer[..count], |field| is_ready |= field == Field::Event(b"ready"))?;
    }
    Ok(())
}

async fn open(target: &Target, path: &str) -> Result<Transport, ProtocolError> {
    let mut stream = target.connect().await?;
    let request = target.request_head("GET", path) + "accept: text/event-stream\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

async fn read_stream(
    target: &Target,
    path: &str,
    stopwatch: Stopwatch,
    window: &SendWindow,
    received: &Mutex<Received>,
) -> Result<Infallible, ProtocolError> {
    let mut stream = open(target, path).await?;
    let mut reader = SseReader::default();
    loop {
        poll_fn(|context| {
            READ_BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                ready!(Pin::new(&mut stream).poll_read(context, &mut buffer))?;
                if buffer.filled().is_empty() {
                    return Poll::Ready(Err(ProtocolError::Closed));
                }
                let now_us = stopwatch.elapsed_us();
                let mut received = received.lock().expect("no holder panics");
                Poll::Ready(reader.feed(buffer.filled(), |field| received.take(field, now_us, window)))
            })
        })
        .await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_and_disorder_are_told_from_news() {
        let mut received = Received::default();
        for id in [3, 5, 5, 4, 6] {
            received.take(Field::Id(id), 0, &SendWindow::default());
            received.take(Field::End, 0, &SendWindow::default());
        }
        received.take(Field::End, 0, &SendWindow::default());
        assert_eq!((received.repeated, received.out_of_order), (1, 1));
        let mut expected = IdSet::default();
        for id in [3, 5, 6] {
            assert!(expected.add(id));
        }
        assert_eq!(received.ids, expected);
    }

    #[test]
    fn only_says_sent_in_the_window_are_timed() {
        let window = SendWindow::default();
        let latencies = Arc::new(Mutex::new(Latencies::default()));
        let mut received = Received::nothing(Some(Arc::clone(&latencies)));
        let deliver = |received: &mut Received, text: &str, window: &SendWindow| {
            let data = format!(r#"{{"payload":{{"text":"{text}"}}}}"#);
            received.take(Field::Data(data.as_bytes()), 900, window);
            latencies.lock().unwrap().count()
        };
        assert_eq!(deliver(&mut received, "t=0000000000500 x", &window), 0);
        window.open(400);
        assert_eq!(deliver(&mut received, "t=0000000000399 x", &window), 0);
        assert_eq!(deliver(&mut received, "t=0000000000400 x", &window), 1);
        assert_eq!(deliver(&mut received, "hello", &window), 1);
        window.close(500);
        assert_eq!(deliver(&mut received, "t=0000000000500 x", &window), 1);
    }
}
