//! A stream of events yields its start, the backlog and new events in order, and ends with an error or with the server.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{Clock, Code, Sequence, Timestamp};
use agentcafe_eventlog::{
    Backlog, EventFilter, FrameEncoder, LogPosition, LogStream, LoggedEvent, ResetReason, StreamHub,
    StreamItem, StreamStart, Subscriber,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::memory_log::MemoryLog;

/// A frame is the sequence of its event.
const ENCODER: FrameEncoder = FrameEncoder {
    name: "sequences",
    encode: |event, bytes| bytes.extend_from_slice(format!("{},", event.sequence).as_bytes()),
};

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(7)
    }

    fn stopwatch(&self) -> Duration {
        Duration::ZERO
    }
}

/// May read until access was checked this often.
struct Visitor(u32);

impl Subscriber for Visitor {
    async fn check_access(&mut self, _: &EventFilter) -> Result<(), Code> {
        self.0 = self.0.checked_sub(1).ok_or(Code::Forbidden)?;
        Ok(())
    }
}

fn hub(heartbeat: Duration) -> StreamHub {
    StreamHub {
        fanout: Arc::default(),
        clock: Arc::new(FixedClock),
        heartbeat,
        stopping: CancellationToken::new(),
    }
}

fn open(log: &Arc<MemoryLog>, hub: &StreamHub, start: StreamStart, checks: u32) -> LogStream<Visitor> {
    LogStream::open(hub.clone(), Arc::clone(log), EventFilter::default(), start, Visitor(checks))
}

fn shown(item: StreamItem) -> String {
    match item {
        StreamItem::Ready(data) => format!("ready {data}"),
        StreamItem::Snapshot { data, .. } => format!("snapshot {data}"),
        StreamItem::Gap { from, to, .. } => format!("gap {from} {to}"),
        StreamItem::Reset { log, reason } => format!("reset {} {} {reason:?}", log.head, log.log_id),
        StreamItem::Events(frames) => format!("events {}", str::from_utf8(&frames.bytes).unwrap()),
        StreamItem::Heartbeat { cursor, at } => format!("heartbeat {cursor} {}", at.as_millis()),
        StreamItem::Error { code, cursor } => format!("error {} {cursor}", code.as_str()),
        StreamItem::End(code) => format!("end {}", code.map_or("", |code| code.as_str())),
    }
}

async fn take(stream: &mut LogStream<Visitor>, count: usize) -> Vec<String> {
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(shown(stream.next(ENCODER).await.expect("the stream goes on")));
    }
    items
}

fn start(after: u64, until: u64, limit: Option<usize>) -> StreamStart {
    let backlog = Some(Backlog { until: Sequence(until), limit, ready: Some(json!({})) });
    let items = [StreamItem::Snapshot { data: json!({ "a": 1 }), state: "{}".into() }].into();
    StreamStart { items, events: Vec::new(), after: Sequence(after), backlog, ..StreamStart::default() }
}

#[tokio::test]
async fn log_stream_sends_backlog_then_ready_then_new_events_then_heartbeats() {
    let (log, hub) = (MemoryLog::new(), hub(Duration::from_millis(20)));
    log.append_many(4, 10);
    let read_elsewhere =
        LoggedEvent { json: "x".into(), ..log.matching(&EventFilter::default(), Sequence(1)).remove(0) };
    let start = StreamStart { events: vec![read_elsewhere], ..start(2, 4, None) };
    let mut stream = open(&log, &hub, start, u32::MAX);
    let begin = [r#"snapshot {"a":1}"#, "events 2,", "events 3,4,", r#"ready {"replayed":3}"#];
    assert_eq!(take(&mut stream, 4).await, begin);
    log.append_many(1, 10);
    assert_eq!(take(&mut stream, 2).await, ["events 5,", "heartbeat 5 7"]);
    hub.stopping.cancel();
    assert_eq!(take(&mut stream, 2).await, ["heartbeat 5 7", "end "]);
    assert!(stream.next(ENCODER).await.is_none());
}

#[tokio::test]
async fn log_stream_puts_a_gap_where_the_limit_cuts_the_backlog() {
    let (log, hub) = (MemoryLog::new(), hub(Duration::from_millis(20)));
    log.append_many(5, 10);
    for (limit, want) in [
        (0, vec!["gap 0 5", r#"ready {"replayed":0}"#]),
        (2, vec!["events 1,2,", "gap 2 5", r#"ready {"replayed":2}"#]),
        (5, vec!["events 1,2,3,4,5,", r#"ready {"replayed":5}"#]),
    ] {
        let mut stream = open(&log, &hub, start(0, 5, Some(limit)), u32::MAX);
        assert_eq!(take(&mut stream, want.len() + 1).await[1..], want, "{limit}");
    }
}

#[tokio::test]
async fn log_stream_waits_for_a_backlog_that_the_log_has_not_received() {
    let (log, hub) = (MemoryLog::new(), hub(Duration::from_millis(20)));
    let mut stream = open(&log, &hub, start(0, 1, None), u32::MAX);
    assert_eq!(take(&mut stream, 2).await[1], "heartbeat 0 7");
    log.append_many(1, 10);
    assert_eq!(take(&mut stream, 2).await, ["events 1,", r#"ready {"replayed":1}"#]);
}

#[tokio::test]
async fn log_stream_ends_when_access_is_refused() {
    let (log, hub) = (MemoryLog::new(), hub(Duration::from_millis(20)));
    let mut stream = open(&log, &hub, StreamStart::default(), 1);
    log.append_many(1, 10);
    let want = ["events 1,", "error ERR_FORBIDDEN 1", "end ERR_FORBIDDEN"];
    assert_eq!(take(&mut stream, 3).await, want);
    assert!(stream.next(ENCODER).await.is_none());
}

/// A stream that begins with its end reads nothing.
#[tokio::test]
async fn log_stream_that_begins_with_a_reset_ends() {
    let (log, hub) = (MemoryLog::new(), hub(Duration::from_millis(20)));
    log.append_many(1, 10);
    let position = LogPosition { head: Sequence(1), log_id: "a".to_owned() };
    let items = StreamItem::reset(position, ResetReason::CursorAhead).into();
    let mut stream = open(&log, &hub, StreamStart { items, ..StreamStart::default() }, u32::MAX);
    assert_eq!(take(&mut stream, 2).await, ["reset 1 a CursorAhead", "end ERR_CURSOR_AHEAD"]);
    assert!(stream.next(ENCODER).await.is_none());
}
