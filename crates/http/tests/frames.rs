//! The frames of event streams.

use agentcafe_domain::kernel::{EventType, Sequence};
use agentcafe_eventlog::LoggedEvent;
use agentcafe_http::StreamProtocol;
use bytes::BytesMut;
use serde_json::{Value, json};

const FINAL_TEXT: u8 = 0x81;

/// A WebSocket message has the content of the server-sent event. Its length takes one, three or nine bytes (RFC 6455, 5.2).
#[test]
fn frames_of_both_protocols_have_the_same_content() {
    for (size, header) in [(10, 2), (1_000, 4), (100_000, 10)] {
        let data = format!(r#"{{"text":"{}"}}"#, "é".repeat(size / 2));
        let event =
            LoggedEvent { sequence: Sequence(41), kind: EventType::OrderChanged, json: data.clone().into() };
        let rendered = |protocol: StreamProtocol| {
            let mut bytes = BytesMut::new();
            (protocol.encoder().encode)(&event, &mut bytes);
            bytes.freeze()
        };
        let lines = format!("id: 41\nevent: order_changed\ndata: {data}\n\n");
        assert_eq!(rendered(StreamProtocol::EventStream), lines);
        let message = rendered(StreamProtocol::WebSocket);
        let content: Value = serde_json::from_slice(&message[header..]).unwrap();
        let data: Value = serde_json::from_str(&data).unwrap();
        assert_eq!(content, json!({ "id": 41, "event": "order_changed", "data": data }), "{size}");
        let length = match header {
            2 => u64::from(message[1]),
            4 => u64::from(u16::from_be_bytes([message[2], message[3]])),
            _ => u64::from_be_bytes(message[2..10].try_into().unwrap()),
        };
        assert_eq!((message[0], length), (FINAL_TEXT, (message.len() - header) as u64));
    }
}

#[test]
fn control_frame_is_the_same_in_one_piece_and_around_its_data() {
    for protocol in [StreamProtocol::EventStream, StreamProtocol::WebSocket] {
        let [before, after] = protocol.control_around("snapshot", br#"{"state":"#, 7, b"}");
        let want = protocol.control("snapshot", &json!({ "state": [1, 2, 3] }));
        assert_eq!([&before[..], b"[1,2,3]", &after[..]].concat(), want);
    }
    let ready = StreamProtocol::WebSocket.control("ready", &json!({ "cursor": 5 }));
    assert_eq!(&ready[2..], br#"{"event":"ready","data":{"cursor":5}}"#);
    assert_eq!(StreamProtocol::EventStream.control("ready", &json!(5)), "event: ready\ndata: 5\n\n");
}
