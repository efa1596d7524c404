//! The frames of event streams: server-sent events, or WebSocket messages with the same content.

use agentcafe_domain::kernel::Code;
use agentcafe_eventlog::{FrameEncoder, LoggedEvent};
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// The protocols of event streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamProtocol {
    /// Server-sent events: `id:`, `event:` and `data:` lines.
    EventStream,
    /// WebSocket: one text message per frame, `{"id":…,"event":…,"data":…}`; control frames have no `id`.
    WebSocket,
}

/// Status codes that close a WebSocket (RFC 6455, 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// The stream is complete.
    Normal = 1000,
    /// The server stops.
    GoingAway = 1001,
    /// The client violated the protocol.
    ProtocolError = 1002,
    /// The client is not permitted to read on.
    Policy = 1008,
    /// The client sent too large a message.
    TooBig = 1009,
    /// A temporary failure; reconnecting with the cursor resumes.
    TryAgainLater = 1013,
}

const FINAL_CLOSE: u8 = 0x88;

impl StreamProtocol {
    /// Renders events.
    pub const fn encoder(self) -> FrameEncoder {
        match self {
            Self::EventStream => FrameEncoder { name: "event-stream", encode: put_event_stream },
            Self::WebSocket => FrameEncoder { name: "web-socket", encode: put_web_socket },
        }
    }

    /// A control frame: one without an id.
    pub fn control(self, event: &str, data: &Value) -> Bytes {
        self.control_around(event, data.to_string().as_bytes(), 0, b"").concat().into()
    }

    /// As [`StreamProtocol::control`], for data too large to be copied for every client: the head and the tail of a frame whose
    /// data is `before`, then `middle` bytes that the caller sends in between, then `after`.
    pub fn control_around(self, event: &str, before: &[u8], middle: usize, after: &[u8]) -> [Bytes; 2] {
        let (mut head, mut tail) = (BytesMut::with_capacity(before.len() + 64), BytesMut::new());
        match self {
            Self::EventStream => {
                head.put_slice(format!("event: {event}\ndata: ").as_bytes());
                head.put_slice(before);
                tail.put_slice(after);
                tail.put_slice(b"\n\n");
            }
            Self::WebSocket => {
                let name = format!(r#"{{"event":"{event}","data":"#);
                put_head(name.len() + before.len() + middle + after.len() + 1, &mut head);
                head.put_slice(name.as_bytes());
                head.put_slice(before);
                tail.put_slice(after);
                tail.put_u8(b'}');
            }
        }
        [head.freeze(), tail.freeze()]
    }

    /// The bytes that end the stream, after its last frame.
    pub fn end(self, close: CloseCode) -> Bytes {
        match self {
            Self::EventStream => Bytes::new(),
            Self::WebSocket => close_frame(close as u16),
        }
    }
}

impl CloseCode {
    /// The close code for a stream that ends with an error.
    pub const fn for_error(code: Code) -> Self {
        match code {
            Code::Unavailable | Code::Internal | Code::DataLoss => Self::TryAgainLater,
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
    put_head(before.len() + event.json.len() + 1, bytes);
    bytes.put_slice(before.as_bytes());
    bytes.put_slice(&event.json);
    bytes.put_u8(b'}');
}

/// The header of a text message with a payload of this many bytes.
fn put_head(length: usize, bytes: &mut BytesMut) {
    let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
    header.format(length as u64, &mut bytes.writer()).expect("writing to memory does not fail");
}
