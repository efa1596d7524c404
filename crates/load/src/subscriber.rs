//! Subscribers of an event stream: each checks the order of what it receives, and some measure its latency.
//!
//! Neither hyper nor the workspace's SSE parser is used here, because a fan-out test is limited by what its 1,000
//! subscribers cost. Generator CPU for each delivered event, medians of alternating rounds in one process on 2 cores: this
//! code 0.60 µs; the same lines read from hyper's response body 0.84 µs (42 % more); the shared parser, which owns the
//! text of each frame, 1.24 µs (twice as much), and on hyper's body 1.63 µs. Half as many events were delivered a second.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, ready};
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::task::JoinSet;

use crate::http::{ChunkedDecoder, Framing, LineBuffer, ProtocolError, parse_decimal, parse_head};
use crate::report::{ProgressObserver, RunProgress};
use crate::script::TIME_DIGITS;
use crate::stats::{FailureCounts, Latencies, Stopwatch};
use crate::target::{Target, Transport};

/// Longest line accepted: an event's body is at most 1 MiB, and its envelope is small.
const MAX_LINE_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of one read. All subscribers of a thread share the buffer, so it stays in the CPU's cache.
const READ_BYTES: usize = 128 * 1024;
/// Bytes of one read while waiting for the `ready` frame.
const READY_READ_BYTES: usize = 8 * 1024;
/// Pause between two checks of what has been received.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The bytes before the sending time in a timed message's event.
const TIMED_TEXT: &[u8] = b"\"text\":\"t=";

thread_local! {
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// One line of a stream, parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SseField<'line> {
    /// The frame's id.
    Id(u64),
    /// The frame's event name.
    Event(&'line [u8]),
    /// A line of the frame's data.
    Data(&'line [u8]),
    /// The empty line that ends a frame.
    End,
}

/// How far the response has been read.
#[derive(Debug)]
enum ReadState {
    /// In the head; what has arrived of it.
    Head(Vec<u8>),
    /// In a chunked body.
    Chunked(ChunkedDecoder),
    /// In a body that lasts until the connection closes.
    UntilClose,
}

/// Reads one stream, however reads and chunks split it.
#[derive(Debug)]
pub struct SseReader {
    state: ReadState,
    lines: LineBuffer,
}

impl Default for SseReader {
    fn default() -> Self {
        Self { state: ReadState::Head(Vec::new()), lines: LineBuffer::default() }
    }
}

impl SseReader {
    /// Parses the bytes of one read and passes on each field that they complete.
    ///
    /// # Errors
    /// [`ProtocolError`] when the bytes are not a stream, or the stream has ended.
    pub fn feed(
        &mut self,
        mut wire: &[u8],
        mut on_field: impl FnMut(SseField<'_>),
    ) -> Result<(), ProtocolError> {
        if let ReadState::Head(received) = &mut self.state {
            let before = received.len();
            received.extend_from_slice(wire);
            let Some(head) = parse_head(received)? else {
                return Ok(());
            };
            if head.status != 200 {
                return Err(ProtocolError::StreamRefused(head));
            }
            wire = &wire[head.length - before..];
            self.state = match head.framing {
                Framing::Chunked => ReadState::Chunked(ChunkedDecoder::default()),
                Framing::UntilClose => ReadState::UntilClose,
                Framing::Length(_) => return Err(ProtocolError::NoStream),
            };
        }
        let ReadState::Chunked(chunks) = &mut self.state else {
            return read_fields(&mut self.lines, wire, &mut on_field);
        };
        while let Some(piece) = chunks.next_piece(&mut wire)? {
            read_fields(&mut self.lines, piece, &mut on_field)?;
        }
        if chunks.is_done() { Err(ProtocolError::Closed) } else { Ok(()) }
    }
}

/// Passes on the field of each complete line; comments and unknown fields are skipped.
fn read_fields(
    lines: &mut LineBuffer,
    mut wire: &[u8],
    on_field: &mut impl FnMut(SseField<'_>),
) -> Result<(), ProtocolError> {
    while let Some(line) = lines.next_line(&mut wire, MAX_LINE_BYTES)? {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            on_field(SseField::End);
        } else if let Some(data) = line.strip_prefix(b"data:") {
            on_field(SseField::Data(data.trim_ascii_start()));
        } else if let Some(name) = line.strip_prefix(b"event:") {
            on_field(SseField::Event(name.trim_ascii()));
        } else if let Some(id) = line.strip_prefix(b"id:") {
            let id = parse_decimal(id.trim_ascii()).ok_or(ProtocolError::EventId)?;
            on_field(SseField::Id(id as u64));
        }
    }
    Ok(())
}

/// The sending times, in microseconds, of the messages whose delivery is measured.
#[derive(Debug)]
struct SendWindow {
    from_us: AtomicU64,
    until_us: AtomicU64,
}

impl Default for SendWindow {
    fn default() -> Self {
        Self { from_us: AtomicU64::new(u64::MAX), until_us: AtomicU64::new(u64::MAX) }
    }
}

impl SendWindow {
    fn contains(&self, sent_us: u64) -> bool {
        (self.from_us.load(Ordering::Relaxed)..self.until_us.load(Ordering::Relaxed)).contains(&sent_us)
    }
}

/// A set of increasing sequences, in constant space: enough to compare it with another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SequenceSet {
    /// Number of sequences.
    pub count: u64,
    /// The last and greatest.
    pub last: u64,
    sum: u64,
    exclusive_or: u64,
}

impl SequenceSet {
    /// Adds a sequence and returns true if it is greater than the last.
    pub fn add(&mut self, sequence: u64) -> bool {
        let increases = sequence > self.last;
        if increases {
            self.count += 1;
            self.last = sequence;
            self.sum = self.sum.wrapping_add(sequence);
            self.exclusive_or ^= sequence;
        }
        increases
    }
}

/// What one subscriber has received so far.
#[derive(Debug, Default)]
pub struct ReceivedEvents {
    /// Whether the `ready` frame has arrived.
    pub is_ready: bool,
    /// The events, without those that the next two members count.
    pub sequences: SequenceSet,
    /// Events with the sequence of the one before.
    pub repeated: u64,
    /// Events with a smaller sequence than the one before.
    pub out_of_order: u64,
    /// Why the stream ended.
    pub failure: Option<ProtocolError>,
    /// From before a message was sent until its event was read; `None` if this subscriber does not measure.
    latencies: Option<Arc<Mutex<Latencies>>>,
    frame_id: Option<u64>,
}

impl ReceivedEvents {
    fn on_field(&mut self, field: SseField<'_>, now_us: u64, window: &SendWindow) {
        match field {
            SseField::Id(id) => self.frame_id = Some(id),
            SseField::Event(name) => self.is_ready |= name == b"ready",
            SseField::Data(data) => {
                if let Some(latencies) = &self.latencies
                    && let Some(sent_us) = sending_time_us(data)
                    && window.contains(sent_us)
                {
                    let mut latencies = latencies.lock().expect("no holder panics");
                    latencies.record_us(now_us.saturating_sub(sent_us));
                }
            }
            SseField::End => {
                if let Some(id) = self.frame_id.take()
                    && !self.sequences.add(id)
                {
                    let is_repeat = id == self.sequences.last;
                    *(if is_repeat { &mut self.repeated } else { &mut self.out_of_order }) += 1;
                }
            }
        }
    }
}

/// The sending time in the text of a timed message.
fn sending_time_us(data: &[u8]) -> Option<u64> {
    let digits = &data[memmem::find(data, TIMED_TEXT)? + TIMED_TEXT.len()..];
    parse_decimal(digits.get(..TIME_DIGITS)?).map(|time_us| time_us as u64)
}

/// Subscribes to the stream at `path`, and closes it once its `ready` frame has arrived.
///
/// # Errors
/// When it does not become ready.
pub async fn wait_until_ready(target: &Target, path: &str) -> Result<(), ProtocolError> {
    let mut stream = open(target, path).await?;
    let mut reader = SseReader::default();
    let mut buffer = vec![0; READY_READ_BYTES];
    let mut is_ready = false;
    while !is_ready {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Err(ProtocolError::Closed);
        }
        reader.feed(&buffer[..count], |field| is_ready |= field == SseField::Event(b"ready"))?;
    }
    Ok(())
}

async fn open(target: &Target, path: &str) -> Result<Transport, ProtocolError> {
    let mut stream = target.connect().await?;
    let request = target.request_head("GET", path) + "accept: text/event-stream\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// Reads the stream at `path` into `received` until it fails.
async fn read_stream(
    target: &Target,
    path: &str,
    stopwatch: Stopwatch,
    window: &SendWindow,
    received: &Mutex<ReceivedEvents>,
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
                Poll::Ready(reader.feed(buffer.filled(), |field| received.on_field(field, now_us, window)))
            })
        })
        .await?;
    }
}

/// Many subscribers of one stream.
pub struct Subscribers {
    stopwatch: Stopwatch,
    window: Arc<SendWindow>,
    latencies: Arc<Mutex<Latencies>>,
    received: Vec<Arc<Mutex<ReceivedEvents>>>,
    /// One task for each stream; dropping them closes the streams.
    _streams: JoinSet<()>,
}

/// How a wait for all subscribers ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitResult {
    /// The condition holds for every subscriber.
    Reached,
    /// At least one stream has ended.
    StreamEnded,
    /// The deadline has passed.
    TimedOut,
}

impl Subscribers {
    /// Opens `count` streams at `path`. Every `measured_every`-th subscriber measures latencies, by this stopwatch.
    #[must_use]
    pub fn subscribe(
        target: &Target,
        path: &str,
        count: usize,
        measured_every: usize,
        stopwatch: Stopwatch,
    ) -> Self {
        let (target, path) = (Arc::new(target.clone()), Arc::<str>::from(path));
        let window = Arc::new(SendWindow::default());
        let latencies = Arc::new(Mutex::new(Latencies::default()));
        let mut streams = JoinSet::new();
        let mut all = Vec::new();
        for number in 0..count {
            let latencies = number.is_multiple_of(measured_every).then(|| Arc::clone(&latencies));
            let received = ReceivedEvents { latencies, ..ReceivedEvents::default() };
            let received = Arc::new(Mutex::new(received));
            all.push(Arc::clone(&received));
            let (target, path, window) = (Arc::clone(&target), Arc::clone(&path), Arc::clone(&window));
            streams.spawn(async move {
                let Err(error) = read_stream(&target, &path, stopwatch, &window, &received).await;
                received.lock().expect("no holder panics").failure = Some(error);
            });
        }
        Self { stopwatch, window, latencies, received: all, _streams: streams }
    }

    /// Measures the delivery of messages sent from now on.
    pub fn start_measuring(&self) {
        self.window.from_us.store(self.stopwatch.elapsed_us(), Ordering::Relaxed);
    }

    /// Does not measure the delivery of messages sent from now on.
    pub fn stop_measuring(&self) {
        self.window.until_us.store(self.stopwatch.elapsed_us(), Ordering::Relaxed);
    }

    /// Events received so far by all subscribers together.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.received().map(|received| received.sequences.count).sum()
    }

    /// Waits until `condition` holds for every subscriber, or a stream ends.
    pub async fn wait_until(
        &self,
        phase: &'static str,
        deadline: Duration,
        observer: &dyn ProgressObserver,
        condition: impl Fn(&ReceivedEvents) -> bool,
    ) -> WaitResult {
        let stopwatch = Stopwatch::start();
        loop {
            let failed = self.count(|received| received.failure.is_some());
            let done = self.count(&condition);
            let elapsed = stopwatch.elapsed();
            observer.show(&RunProgress { phase, elapsed, duration: deadline, done, failed });
            if failed > 0 {
                return WaitResult::StreamEnded;
            }
            if done == self.received.len() as u64 {
                return WaitResult::Reached;
            }
            if elapsed > deadline {
                return WaitResult::TimedOut;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Number of subscribers for which `condition` holds.
    #[must_use]
    pub fn count(&self, condition: impl Fn(&ReceivedEvents) -> bool) -> u64 {
        self.received().filter(|received| condition(received)).count() as u64
    }

    /// Number of streams that have ended, and why.
    #[must_use]
    pub fn ended(&self) -> (u64, FailureCounts) {
        let (mut count, mut failures) = (0, FailureCounts::default());
        for received in self.received() {
            if let Some(error) = &received.failure {
                count += 1;
                failures.record_error(error);
            }
        }
        (count, failures)
    }

    /// Closes the streams and returns what each subscriber received, and the latencies of all.
    #[must_use]
    pub fn close(self) -> (Vec<ReceivedEvents>, Latencies) {
        let received = self.received().map(|mut received| std::mem::take(&mut *received)).collect();
        let latencies = self.latencies.lock().expect("no holder panics").clone();
        (received, latencies)
    }

    fn received(&self) -> impl Iterator<Item = MutexGuard<'_, ReceivedEvents>> {
        self.received.iter().map(|received| received.lock().expect("no holder panics"))
    }
}
