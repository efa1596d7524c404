//! `agentcafe load fanout`: finds events that are lost, repeated or out of order, and reports no others.

use std::sync::Arc;

use agentcafe_testkit::Frame;
use tokio::net::TcpStream;

use super::*;
use crate::realtime::launch_realtime;

/// The arguments of a short run on this server.
fn arguments(url: &str) -> Vec<&str> {
    ["load", "fanout", "--url", url, "--duration-ms", "1000", "--subscribers", "5", "--rate", "60"].into()
}

/// Every subscriber receives exactly the log, and each delivery is measured.
#[tokio::test(flavor = "multi_thread")]
async fn load_fanout_passes_on_the_api() {
    let (server, _client) = cafe().await;
    let url = server.url();
    let thresholds = ["--max-p99-ms", "20000", "--min-per-second", "50"];
    let result = run(&[arguments(&url), thresholds.to_vec()].concat(), &[]).await;
    assert!(result.passed && result.stderr.is_empty(), "{}", result.stderr);
    let (write, fanout) = (&result.report["write"], &result.report["fanout"]);
    let (says, logged) = (write["count"].as_u64().unwrap(), fanout["logged"].as_u64().unwrap());
    assert!(says >= 10 && logged >= says, "{}", result.report);
    assert_eq!(fanout["delivered"].as_u64(), Some(5 * logged));
    assert_eq!(fanout["count"].as_u64(), Some(5 * says), "each delivery of a message is measured");
    assert_eq!((&fanout["ready"], &fanout["ended"]), (&5.into(), &0.into()));

    let strict = ["--max-p99-ms", "0", "--min-per-second", "1000000"];
    let result = run(&[arguments(&url), strict.to_vec()].concat(), &[]).await;
    assert!(!result.passed);
    assert_eq!(result.failed_checks(), ["delivery_p99", "deliveries_per_second"]);
}

/// The streams may be those of a realtime service.
#[tokio::test(flavor = "multi_thread")]
async fn load_fanout_passes_on_a_realtime_service() {
    let (server, _client) = cafe().await;
    let realtime = launch_realtime(&server).start().await;
    let (url, streams) = (server.url(), realtime.url());
    let there = vec!["--stream-url", streams.as_str(), "--stream-path", "/v1/stream"];
    let result = run(&[arguments(&url), there].concat(), &[]).await;
    assert!(result.passed && result.stderr.is_empty(), "{} {}", result.stderr, result.report);
    let fanout = &result.report["fanout"];
    assert!(fanout["logged"].as_u64() >= Some(10), "{fanout}");
    assert_eq!(fanout["delivered"].as_u64(), fanout["logged"].as_u64().map(|logged| 5 * logged));
}

/// Events that were in the room before the run do not count.
#[tokio::test(flavor = "multi_thread")]
async fn load_fanout_ignores_earlier_events_of_the_room() {
    let (server, _client) = cafe().await;
    let url = server.url();
    let room = ["--tenant", "a & b", "--room", "the attic"];
    for _ in 0..2 {
        let result = run(&[arguments(&url), room.to_vec()].concat(), &[]).await;
        assert!(result.passed, "{} {}", result.stderr, result.report);
        assert_eq!(result.report["config"]["roomId"], "the attic");
    }
}

/// A change to the first frames of a stream.
type Fault = fn(Vec<Frame>) -> Vec<Frame>;

/// A proxy of the streams of `client`'s server that injects a fault into the first events of each.
async fn faulty_proxy(client: Client, fault: Fault) -> String {
    let (listener, url) = listen().await;
    let client = Arc::new(client);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(forward(stream, Arc::clone(&client), fault));
        }
    });
    url
}

/// Forwards one stream until the reader closes it.
async fn forward(mut reader: TcpStream, client: Arc<Client>, fault: Fault) {
    let mut request = vec![0; 4096];
    let length = reader.read(&mut request).await.expect("a request");
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let mut stream = client.stream(request.split(' ').nth(1).expect("a path")).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    reader.write_all(head.as_bytes()).await.expect("the reader waits");
    let mut held = Vec::new();
    let mut is_done = false;
    while let Ok(frame) = stream.next_within(DEADLINE).await {
        let frames = match frame.id {
            Some(_) if !is_done && held.len() < 7 => {
                held.push(frame);
                continue;
            }
            Some(_) if !is_done => {
                is_done = true;
                held.push(frame);
                fault(std::mem::take(&mut held))
            }
            _ => vec![frame],
        };
        let wire: String = frames.iter().map(encode).collect();
        if reader.write_all(wire.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn encode(frame: &Frame) -> String {
    let id = frame.id.map_or_else(String::new, |id| format!("id: {id}\n"));
    format!("{id}event: {}\ndata: {}\n\n", frame.event, frame.data)
}

/// Lost, repeated and reordered events are counted, and each fails its checks.
#[tokio::test(flavor = "multi_thread")]
async fn load_fanout_finds_faults_of_a_stream() {
    let (server, client) = cafe().await;
    let url = server.url();
    let cases: [(Fault, &[&str], [u64; 3]); 4] = [
        (|frames| frames, &[], [0, 0, 0]),
        (
            |mut frames| {
                frames.remove(3);
                frames
            },
            &["events_lost", "subscribers_with_another_log"],
            [5, 0, 0],
        ),
        (
            |mut frames| {
                frames.insert(3, frames[2].clone());
                frames
            },
            &["events_repeated", "subscribers_with_another_log"],
            [0, 5, 0],
        ),
        (
            |mut frames| {
                frames.swap(3, 4);
                frames
            },
            &["events_lost", "events_out_of_order", "subscribers_with_another_log"],
            [5, 0, 5],
        ),
    ];
    for (fault, failed, counts) in cases {
        let streams = faulty_proxy(client.clone(), fault).await;
        let result = run(&[arguments(&url), vec!["--stream-url", &streams]].concat(), &[]).await;
        assert_eq!(result.failed_checks(), failed, "{}", result.report);
        assert_eq!(result.passed, failed.is_empty());
        let fanout = &result.report["fanout"];
        let actual = ["lost", "repeated", "outOfOrder"].map(|name| fanout[name].as_u64().unwrap());
        assert_eq!(actual, counts, "{fanout}");
        assert_eq!(result.report["config"]["streamUrl"], streams.as_str());
    }
}

/// When the server is killed, the ended streams are counted, and figures that depend on the log are missing.
#[tokio::test(flavor = "multi_thread")]
async fn load_fanout_counts_streams_ended_by_a_kill() {
    let (mut server, client) = cafe().await;
    let url = server.url();
    let arguments = ["load", "fanout", "--url", &url, "--duration-ms", "3000", "--subscribers", "5"];
    let child = start(&arguments, &[]);
    let has_begun = async || (crate::log(&client).await.len() > 20).then_some(());
    eventually("says are sent", DEADLINE, has_begun).await;
    server.kill();
    let result = end_of(child).await;
    let fanout = &result.report["fanout"];
    assert!(!result.passed);
    assert_eq!((&fanout["ready"], &fanout["ended"]), (&5.into(), &5.into()), "{fanout}");
    assert!(fanout["delivered"].as_u64() > Some(0) && fanout["lost"].is_null(), "{fanout}");
    for check in ["streams_ended", "write_error_rate", "events_lost"] {
        assert!(result.failed_checks().contains(&check), "{check}: {}", result.report["gate"]);
    }
    assert!(result.stderr.contains("could not be compared with the log"), "{}", result.stderr);
}

/// Refused streams are reported with the reason; then no say is sent.
#[tokio::test(flavor = "multi_thread")]
async fn load_fanout_reports_why_streams_are_refused() {
    let cases = [
        ("API_STREAM_MAX_CLIENTS", 3, "(API_STREAM_MAX_CLIENTS)"),
        ("API_RATE_LIMIT_PER_MIN", 4, "rate limit of 4 a minute"),
    ];
    for (setting, value, reason) in cases {
        let server = launch().env(setting, value).start().await;
        let url = server.url();
        let result = run(&arguments(&url), &[]).await;
        assert!(!result.passed && result.stderr.contains(reason), "{setting}: {}", result.stderr);
        assert!(result.failed_checks().contains(&"subscribers_ready"), "{}", result.report);
        assert_eq!(result.report["write"]["total"], 0);
    }
}
