//! Renders event streams: the frames of their items, whatever protocol they use.

use std::collections::VecDeque;

use agentcafe_eventlog::{LogStream, StreamItem, Subscriber};
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::json;

use crate::frames::{CloseCode, StreamProtocol};
use crate::metrics::HttpMetrics;

/// A stream that is sent to a client.
struct Rendering<S> {
    stream: LogStream<S>,
    protocol: StreamProtocol,
    metrics: HttpMetrics,
    /// Parts of the current frame that were not sent yet.
    rest: VecDeque<Bytes>,
}

/// The frames of a stream until it ends. `metrics` counts the stream and its events.
pub fn frames<S: Subscriber>(
    stream: LogStream<S>,
    protocol: StreamProtocol,
    metrics: HttpMetrics,
) -> impl Stream<Item = Bytes> + Send + 'static {
    metrics.stream_clients.inc();
    // Boxed because it moves with every item.
    let rendering = Box::new(Rendering { stream, protocol, metrics, rest: VecDeque::new() });
    stream::unfold(rendering, |mut rendering| async move {
        let bytes = rendering.next().await?;
        Some((bytes, rendering))
    })
}

impl<S> Drop for Rendering<S> {
    fn drop(&mut self) {
        self.metrics.stream_clients.dec();
    }
}

impl<S: Subscriber> Rendering<S> {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(part) = self.rest.pop_front() {
            return Some(part);
        }
        let item = self.stream.next(self.protocol.encoder()).await?;
        let control = |event, data| Some(self.protocol.control(event, &data));
        match item {
            StreamItem::Events(frames) => {
                self.metrics.stream_events.inc_by(frames.count as u64);
                Some(frames.bytes)
            }
            StreamItem::Ready(data) => control("ready", data),
            StreamItem::Snapshot { data, state } => {
                let data = data.to_string();
                let before = format!(r#"{},"state":"#, data.strip_suffix('}').unwrap_or_default());
                let [head, tail] =
                    self.protocol.control_around("snapshot", before.as_bytes(), state.len(), b"}");
                self.rest.extend([state, tail]);
                Some(head)
            }
            StreamItem::Gap { from, to, is_damaged } => {
                let mut data = json!({ "fromCursor": from, "toCursor": to });
                if is_damaged {
                    data["damaged"] = true.into();
                }
                control("gap", data)
            }
            StreamItem::Reset { log, reason } => {
                control("reset", json!({ "head": log.head, "logId": log.log_id, "reason": reason }))
            }
            StreamItem::Heartbeat { cursor, at } => {
                control("heartbeat", json!({ "cursor": cursor, "ts": at.as_millis() }))
            }
            StreamItem::Error { code, cursor } => control("error", json!({ "code": code, "cursor": cursor })),
            StreamItem::End(error) => {
                let close = error.map_or(CloseCode::GoingAway, CloseCode::for_error);
                Some(self.protocol.end(close)).filter(|bytes| !bytes.is_empty())
            }
        }
    }
}
