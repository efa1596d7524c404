//! Event streams: how they are read, and how what subscribers receive is compared with the log.

use std::time::Duration;

use agentcafe_load::fanout::Differences;
use agentcafe_load::http::ProtocolError;
use agentcafe_load::stats::Stopwatch;
use agentcafe_load::subscriber::{ReceivedEvents, SequenceSet, SseField, SseReader, Subscribers, WaitResult};
use agentcafe_load::target::Target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const STREAM: &str = "event: ready\ndata: {\"head\":5}\n\n: note\nid: 6\nevent: said\ndata: {\"a\":\"id: 9\"}\n\n\
                      id:7\r\ndata:  x\r\n\r\nevent: heartbeat\ndata: {}\n\n";

const FIELDS: [&str; 13] = [
    "event ready",
    "data {\"head\":5}",
    "end",
    "id 6",
    "event said",
    "data {\"a\":\"id: 9\"}",
    "end",
    "id 7",
    "data x",
    "end",
    "event heartbeat",
    "data {}",
    "end",
];

fn fields(reads: &[&[u8]]) -> Result<Vec<String>, ProtocolError> {
    let mut reader = SseReader::default();
    let mut fields = Vec::new();
    for read in reads {
        reader.feed(read, |field| {
            fields.push(match field {
                SseField::Id(id) => format!("id {id}"),
                SseField::Event(name) => format!("event {}", String::from_utf8_lossy(name)),
                SseField::Data(data) => format!("data {}", String::from_utf8_lossy(data)),
                SseField::End => "end".to_owned(),
            });
        })?;
    }
    Ok(fields)
}

fn check(wire: &[u8]) {
    for at in 0..=wire.len() {
        let (before, after) = wire.split_at(at);
        assert_eq!(fields(&[before, after]).unwrap(), FIELDS, "split at {at}");
    }
    let bytes: Vec<&[u8]> = wire.chunks(1).collect();
    assert_eq!(fields(&bytes).unwrap(), FIELDS);
}

#[test]
fn sse_reader_ignores_how_reads_and_chunks_split_a_stream() {
    check(format!("HTTP/1.1 200 OK\r\n\r\n{STREAM}").as_bytes());
    for chunk_bytes in [1, 2, 3, 7, 40, 1000] {
        let mut wire = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for chunk in STREAM.as_bytes().chunks(chunk_bytes) {
            wire.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        check(&wire);
    }
}

#[test]
fn sse_reader_refuses_other_responses() {
    let endless = format!("HTTP/1.1 200 OK\r\n\r\ndata: {}", "x".repeat(2 * 1024 * 1024));
    let cases = [
        "HTTP/1.1 429 Too Many\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nid: six\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        &endless,
    ];
    for wire in cases {
        assert!(fields(&[wire.as_bytes()]).is_err(), "{}", &wire[..wire.len().min(100)]);
    }
}

/// A server of one stream, which consists of what is sent here and ends when the sender is dropped.
async fn stream_server() -> (mpsc::UnboundedSender<String>, Target) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::from(listener.local_addr().unwrap());
    let (sender, mut frames) = mpsc::unbounded_channel::<String>();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0, "a request");
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nevent: ready\ndata: {}\n\n").await.unwrap();
        while let Some(frame) = frames.recv().await {
            stream.write_all(frame.as_bytes()).await.unwrap();
        }
    });
    (sender, target)
}

async fn wait_until(subscribers: &Subscribers, condition: impl Fn(&ReceivedEvents) -> bool) -> WaitResult {
    subscribers.wait_until("", Duration::from_secs(30), &(), condition).await
}

#[tokio::test]
async fn subscribers_count_repeats_and_disorder_apart() {
    let (frames, target) = stream_server().await;
    let subscribers = Subscribers::subscribe(&target, "/", 1, 1, Stopwatch::start());
    let ids = [3, 5, 5, 4, 6].map(|id| format!("id: {id}\n\n")).concat();
    frames.send(format!("{ids}\n")).unwrap();
    drop(frames);
    assert_eq!(wait_until(&subscribers, |_| false).await, WaitResult::StreamEnded);
    let (received, _) = subscribers.close();
    assert_eq!((received[0].repeated, received[0].out_of_order), (1, 1));
    let mut expected = SequenceSet::default();
    for id in [3, 5, 6] {
        assert!(expected.add(id));
    }
    assert_eq!(received[0].sequences, expected);
}

#[tokio::test]
async fn subscribers_measure_only_messages_sent_in_the_window() {
    let (frames, target) = stream_server().await;
    let stopwatch = Stopwatch::start();
    let subscribers = Subscribers::subscribe(&target, "/", 1, 1, stopwatch);
    assert_eq!(wait_until(&subscribers, |received| received.is_ready).await, WaitResult::Reached);
    subscribers.start_measuring();
    let inside_us = stopwatch.elapsed_us();
    while stopwatch.elapsed_us() == inside_us {}
    subscribers.stop_measuring();
    let far_us = inside_us + 1_000_000_000;
    for (id, text) in [
        (1, format!("t={inside_us:013} x")),
        (2, "hello".to_owned()),
        (3, "t=0000000000000 x".to_owned()),
        (4, format!("t={far_us:013} x")),
    ] {
        frames.send(format!("id: {id}\ndata: {{\"payload\":{{\"text\":\"{text}\"}}}}\n\n")).unwrap();
    }
    assert_eq!(wait_until(&subscribers, |received| received.sequences.count == 4).await, WaitResult::Reached);
    let (_, latencies) = subscribers.close();
    assert_eq!(latencies.count(), 1);
}

fn received(sequences: &[u64]) -> ReceivedEvents {
    let mut received = ReceivedEvents::default();
    for sequence in sequences {
        received.sequences.add(*sequence);
    }
    received
}

#[test]
fn differences_compares_each_subscriber_with_the_log() {
    let log = [3, 5, 9, 12];
    let cases: [(&[u64], u64, u64); 7] = [
        (&[3, 5, 9], 0, 0),
        (&[3, 5, 9, 12], 0, 0),
        (&[3, 9], 1, 1),
        (&[3, 9, 12], 1, 1),
        (&[], 3, 1),
        (&[3, 5, 8], 0, 1),
        (&[3, 4, 5, 9], 0, 1),
    ];
    for (sequences, lost, subscribers) in cases {
        let actual = Differences::between(&[received(sequences)], &log, 9);
        assert_eq!(actual, Differences { lost, subscribers, ..Differences::default() }, "{sequences:?}");
    }
    let mut doubled = received(&[3, 5, 9]);
    (doubled.repeated, doubled.out_of_order) = (2, 1);
    let actual = Differences::between(&[doubled, received(&[3, 5, 9])], &log, 9);
    assert_eq!(actual, Differences { lost: 0, repeated: 2, out_of_order: 1, subscribers: 1 });
    assert_eq!(Differences::between(&[received(&[])], &[], 0), Differences::default());
}
