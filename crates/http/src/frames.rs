//! What goes over the wire to those who listen: server-sent events, or messages of a WebSocket that say the same.

use agentcafe_domain::kernel::error::Code;
use agentcafe_engine::fanout::FrameEncoder;
use agentcafe_store::LoggedEvent;
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;

/// The ways to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamProtocol {
    /// Server-sent events: `id:`, `event:` and `data:` lines.
    EventStream,
    /// A WebSocket: one text message for each frame, `{"id":…,"event":…,"data":…}`; frames without an id have none.
    WebSocket,
}

/// Why a WebSocket is closed (RFC 6455, 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// All was said.
    Normal = 1000,
    /// The server stops.
    GoingAway = 1001,
    /// The client does not keep to the protocol.
    ProtocolError = 1002,
    /// The client may not listen any more.
    Policy = 1008,
    /// The client sent too much.
    TooBig = 1009,
    /// Not now; coming back with the cursor helps.
    TryAgainLater = 1013,
}

const FINAL_TEXT: u8 = 0x81;
const FINAL_CLOSE: u8 = 0x88;

impl StreamProtocol {
    /// How events are rendered.
    pub const fn encoder(self) -> FrameEncoder {
        match self {
            Self::EventStream => FrameEncoder { name: "event-stream", put: put_event_stream },
            Self::WebSocket => FrameEncoder { name: "web-socket", put: put_web_socket },
        }
    }

    /// A frame without an id.
    pub fn control(self, event: &str, data: &Value) -> Bytes {
        self.control_of(event, data.to_string().as_bytes())
    }

    /// A frame without an id, around data that is rendered already, on one line.
    pub fn control_of(self, event: &str, data: &[u8]) -> Bytes {
        let mut bytes = BytesMut::with_capacity(data.len() + 64);
        match self {
            Self::EventStream => {
                bytes.put_slice(b"event: ");
                bytes.put_slice(event.as_bytes());
                bytes.put_slice(b"\ndata: ");
                bytes.put_slice(data);
                bytes.put_slice(b"\n\n");
            }
            Self::WebSocket => {
                put_message(&format!(r#"{{"event":"{event}","data":"#), data, &mut bytes);
            }
        }
        bytes.freeze()
    }

    /// As [`StreamProtocol::control_of`], for data too large to be copied for everybody: what goes before and after `middle` bytes, which
    /// stand between two parts of the data.
    pub fn around(self, event: &str, before: &[u8], middle: usize, after: &[u8]) -> [Bytes; 2] {
        let (mut head, mut foot) = (BytesMut::with_capacity(before.len() + 64), BytesMut::new());
        match self {
            Self::EventStream => {
                head.put_slice(format!("event: {event}\ndata: ").as_bytes());
                head.put_slice(before);
                foot.put_slice(after);
                foot.put_slice(b"\n\n");
            }
            Self::WebSocket => {
                let name = format!(r#"{{"event":"{event}","data":"#);
                put_head(name.len() + before.len() + middle + after.len() + 1, &mut head);
                head.put_slice(name.as_bytes());
                head.put_slice(before);
                foot.put_slice(after);
                foot.put_u8(b'}');
            }
        }
        [head.freeze(), foot.freeze()]
    }

    /// What is said at the very end, behind everything else.
    pub fn end(self, close: Close) -> Bytes {
        match self {
            Self::EventStream => Bytes::new(),
            Self::WebSocket => close_frame(close as u16),
        }
    }
}

impl Close {
    /// Why a stream is given up with this code.
    pub const fn of(code: Code) -> Self {
        match code {
            Code::Unavailable | Code::Internal => Self::TryAgainLater,
            _ => Self::Policy,
        }
    }
}

/// The frame that closes a WebSocket.
pub(crate) fn close_frame(code: u16) -> Bytes {
    let [high, low] = code.to_be_bytes();
    Bytes::copy_from_slice(&[FINAL_CLOSE, 2, high, low])
}

fn put_event_stream(event: &LoggedEvent, bytes: &mut BytesMut) {
    bytes.put_slice(b"id: ");
    bytes.put_slice(event.sequence.0.to_string().as_bytes());
    bytes.put_slice(b"\nevent: ");
    bytes.put_slice(event.kind.as_str().as_bytes());
    bytes.put_slice(b"\ndata: ");
    bytes.put_slice(&event.json);
    bytes.put_slice(b"\n\n");
}

fn put_web_socket(event: &LoggedEvent, bytes: &mut BytesMut) {
    let before = format!(r#"{{"id":{},"event":"{}","data":"#, event.sequence, event.kind.as_str());
    put_message(&before, &event.json, bytes);
}

/// A text message: what stands before the data, the data, and a closing brace.
fn put_message(before: &str, data: &[u8], bytes: &mut BytesMut) {
    put_head(before.len() + data.len() + 1, bytes);
    bytes.put_slice(before.as_bytes());
    bytes.put_slice(data);
    bytes.put_u8(b'}');
}

/// What stands before a text message of this length.
fn put_head(length: usize, bytes: &mut BytesMut) {
    bytes.put_u8(FINAL_TEXT);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => bytes.put_u8(short),
        (_, Ok(medium)) => {
            bytes.put_u8(126);
            bytes.put_u16(medium);
        }
        _ => {
            bytes.put_u8(127);
            bytes.put_u64(length as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use agentcafe_domain::kernel::{event::EventType, ids::Sequence};
    use serde_json::json;

    use super::*;

    /// CONTRACT 10: both ways say the same; a message's length stands before it in one, three or nine bytes (RFC 6455, 5.2).
    #[test]
    fn a_frame_says_the_same_both_ways() {
        for (size, header) in [(10, 2), (1_000, 4), (100_000, 10)] {
            let data = format!(r#"{{"text":"{}"}}"#, "é".repeat(size / 2));
            let event = LoggedEvent {
                sequence: Sequence(41),
                kind: EventType::OrderChanged,
                json: data.clone().into(),
            };
            let rendered = |protocol: StreamProtocol| {
                let mut bytes = BytesMut::new();
                (protocol.encoder().put)(&event, &mut bytes);
                bytes.freeze()
            };
            let lines = format!("id: 41\nevent: order_changed\ndata: {data}\n\n");
            assert_eq!(rendered(StreamProtocol::EventStream), lines);
            let message = rendered(StreamProtocol::WebSocket);
            let said: Value = serde_json::from_slice(&message[header..]).unwrap();
            let data: Value = serde_json::from_str(&data).unwrap();
            assert_eq!(said, json!({ "id": 41, "event": "order_changed", "data": data }), "{size}");
            let length = match header {
                2 => u64::from(message[1]),
                4 => u64::from(u16::from_be_bytes([message[2], message[3]])),
                _ => u64::from_be_bytes(message[2..10].try_into().unwrap()),
            };
            assert_eq!((message[0], length), (FINAL_TEXT, (message.len() - header) as u64));
        }
        for protocol in [StreamProtocol::EventStream, StreamProtocol::WebSocket] {
            let [before, after] = protocol.around("snapshot", br#"{"state":"#, 7, b"}");
            let want = protocol.control_of("snapshot", br#"{"state":[1,2,3]}"#);
            assert_eq!([&before[..], b"[1,2,3]", &after[..]].concat(), want);
        }
        let ready = StreamProtocol::WebSocket.control("ready", &json!({ "cursor": 5 }));
        assert_eq!(&ready[2..], br#"{"event":"ready","data":{"cursor":5}}"#);
        assert_eq!(StreamProtocol::EventStream.control("ready", &json!(5)), "event: ready\ndata: 5\n\n");
    }
}
