//! `agentcafe load fanout`: what is lost, doubled or out of order is found, and nothing else is.

use std::sync::Arc;

use agentcafe_testkit::Frame;
use tokio::net::TcpStream;

use super::*;
use crate::realtime::beside;

/// Nothing but a start of a run, on this server.
fn arguments(url: &str) -> Vec<&str> {
    ["load", "fanout", "--url", url, "--duration-ms", "1000", "--subscribers", "5", "--rate", "60"].into()
}

/// The issue: everybody receives exactly the log, in order, and how long it took is measured.
#[tokio::test(flavor = "multi_thread")]
async fn a_sound_stream_loses_nothing() {
    let (server, _client) = cafe().await;
    let url = server.url();
    let thresholds = ["--max-p99-ms", "20000", "--min-per-second", "50"];
    let ran = run(&[arguments(&url), thresholds.to_vec()].concat(), &[]).await;
    assert!(ran.passed && ran.said.is_empty(), "{}", ran.said);
    let (write, fanout) = (&ran.report["write"], &ran.report["fanout"]);
    let (said, logged) = (write["count"].as_u64().unwrap(), fanout["logged"].as_u64().unwrap());
    assert!(said >= 10 && logged >= said, "{}", ran.report);
    assert_eq!(fanout["delivered"].as_u64(), Some(5 * logged));
    assert_eq!(fanout["count"].as_u64(), Some(5 * said), "each delivery of a say is timed");
    assert_eq!((&fanout["ready"], &fanout["ended"]), (&5.into(), &0.into()));

    let strict = ["--max-p99-ms", "0", "--min-per-second", "1000000"];
    let ran = run(&[arguments(&url), strict.to_vec()].concat(), &[]).await;
    assert!(!ran.passed);
    assert_eq!(ran.failed_checks(), ["delivery_p99", "deliveries_per_second"]);
}

/// The issue: also at a realtime service.
#[tokio::test(flavor = "multi_thread")]
async fn a_realtime_service_loses_nothing() {
    let (server, _client) = cafe().await;
    let realtime = beside(&server).start().await;
    let (url, streams) = (server.url(), realtime.url());
    let there = vec!["--stream-url", streams.as_str(), "--stream-path", "/v1/stream"];
    let ran = run(&[arguments(&url), there].concat(), &[]).await;
    assert!(ran.passed && ran.said.is_empty(), "{} {}", ran.said, ran.report);
    let fanout = &ran.report["fanout"];
    assert!(fanout["logged"].as_u64() >= Some(10), "{fanout}");
    assert_eq!(fanout["delivered"].as_u64(), fanout["logged"].as_u64().map(|logged| 5 * logged));
}

/// A room that others use can be listened to as well: what was in it before is not counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_with_a_past_is_measured_from_now_on() {
    let (server, _client) = cafe().await;
    let url = server.url();
    let room = ["--tenant", "a & b", "--room", "the attic"];
    for _ in 0..2 {
        let ran = run(&[arguments(&url), room.to_vec()].concat(), &[]).await;
        assert!(ran.passed, "{} {}", ran.said, ran.report);
        assert_eq!(ran.report["config"]["roomId"], "the attic");
    }
}

/// What is done to the frames of a stream.
type Fault = fn(Vec<Frame>) -> Vec<Frame>;

/// A service that passes on the streams of `client`'s server, with a fault in the first events of each.
async fn faulty(client: Client, fault: Fault) -> String {
    let (listener, url) = listen().await;
    let client = Arc::new(client);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(pass_on(stream, Arc::clone(&client), fault));
        }
    });
    url
}

/// Ends when the reader has gone.
async fn pass_on(mut reader: TcpStream, client: Arc<Client>, fault: Fault) {
    let mut request = vec![0; 4096];
    let length = reader.read(&mut request).await.expect("a request");
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let mut stream = client.stream(request.split(' ').nth(1).expect("a path")).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    reader.write_all(head.as_bytes()).await.expect("the reader waits");
    let mut held = Vec::new();
    let mut is_done = false;
    while let Ok(frame) = stream.next_within(PATIENCE).await {
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
        let wire: String = frames.iter().map(on_the_wire).collect();
        if reader.write_all(wire.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn on_the_wire(frame: &Frame) -> String {
    let id = frame.id.map_or_else(String::new, |id| format!("id: {id}\n"));
    format!("{id}event: {}\ndata: {}\n\n", frame.event, frame.data)
}

/// The issue: loss, doubles and order are checked, also at another service than the API.
#[tokio::test(flavor = "multi_thread")]
async fn faults_of_a_stream_are_found() {
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
    for (fault, failed, numbers) in cases {
        let streams = faulty(client.clone(), fault).await;
        let ran = run(&[arguments(&url), vec!["--stream-url", &streams]].concat(), &[]).await;
        assert_eq!(ran.failed_checks(), failed, "{}", ran.report);
        assert_eq!(ran.passed, failed.is_empty());
        let fanout = &ran.report["fanout"];
        let found = ["lost", "repeated", "outOfOrder"].map(|name| fanout[name].as_u64().unwrap());
        assert_eq!(found, numbers, "{fanout}");
        assert_eq!(ran.report["config"]["streamUrl"], streams.as_str());
    }
}

/// The issue: when the server is killed meanwhile, the streams that ended are counted and nothing is claimed of the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_meanwhile_ends_the_streams() {
    let (mut server, client) = cafe().await;
    let url = server.url();
    let arguments = ["load", "fanout", "--url", &url, "--duration-ms", "3000", "--subscribers", "5"];
    let child = start(&arguments, &[]);
    let spoken = async || (crate::log(&client).await.len() > 20).then_some(());
    eventually("somebody speaks", PATIENCE, spoken).await;
    server.kill();
    let ran = end_of(child).await;
    let fanout = &ran.report["fanout"];
    assert!(!ran.passed);
    assert_eq!((&fanout["ready"], &fanout["ended"]), (&5.into(), &5.into()), "{fanout}");
    assert!(fanout["delivered"].as_u64() > Some(0) && fanout["lost"].is_null(), "{fanout}");
    for check in ["streams_ended", "write_error_rate", "events_lost"] {
        assert!(ran.failed_checks().contains(&check), "{check}: {}", ran.report["gate"]);
    }
    assert!(ran.said.contains("could not be compared with the log"), "{}", ran.said);
}

/// The issue: streams that are refused are told, with the reason; nothing is said then.
#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_refused_are_told() {
    let cases = [
        ("API_STREAM_MAX_CLIENTS", 3, "(API_STREAM_MAX_CLIENTS)"),
        ("API_RATE_LIMIT_PER_MIN", 4, "rate limit of 4 a minute"),
    ];
    for (setting, value, reason) in cases {
        let server = launch().env(setting, value).start().await;
        let url = server.url();
        let ran = run(&arguments(&url), &[]).await;
        assert!(!ran.passed && ran.said.contains(reason), "{setting}: {}", ran.said);
        assert!(ran.failed_checks().contains(&"subscribers_ready"), "{}", ran.report);
        assert_eq!(ran.report["write"]["total"], 0);
    }
}
