//! SIGTERM: streams end cleanly, requests in progress are answered, nothing accepted is lost, and no client delays
//! the exit beyond the timeout.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use agentcafe_testkit::{Method, Server, Silence, eventually, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::background_load::{all_events, assert_logged, head_of_log, repeat_says, say_until_disconnected};
use crate::large_events::post_large_says;
use crate::launch;
use crate::raw_connection::{RawConnection, say_over_the_wire};

/// Deadline of a stop with well-behaved clients: less than the server's timeout of 10 s for others.
const STOP_DEADLINE: Duration = Duration::from_secs(9);
/// Deadline of a stop with stalled clients: the server's timeout of 10 s, and a margin.
const STALLED_STOP_DEADLINE: Duration = Duration::from_secs(20);
const END_DEADLINE: Duration = Duration::from_secs(60);

async fn assert_stops(server: &mut Server, within: Duration) {
    let started = Instant::now();
    let status = server.wait().await;
    assert!(status.success(), "{status:?}, its log:\n{}", server.log());
    assert!(started.elapsed() < within, "it took {:?}, its log:\n{}", started.elapsed(), server.log());
}

/// Says, streams and a long poll are in progress. Streams end with the terminal chunk, the poll returns, every
/// acknowledged say is there after the restart, and the exit code is 0.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_under_load_loses_nothing() {
    let mut server = launch().start().await;
    let client = server.client();
    let mut streams = Vec::new();
    for query in ["", "roomId=room-1", "roomId=nobody-is-here"] {
        streams.push(client.stream(&format!("/v1/streams/market-events?{query}")).await);
    }
    let poll = client.request(Method::GET, "/v1/events/poll?roomId=nobody-is-here&timeoutMs=30000");
    let poll = tokio::spawn(poll.try_send());
    let (acknowledged, mut speakers) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for speaker in 0..16 {
        let (address, acknowledged) = (server.address(), Arc::clone(&acknowledged));
        speakers.spawn(async move { say_until_disconnected(address, speaker, "stop", acknowledged).await });
    }
    let enough = async || (acknowledged.load(std::sync::atomic::Ordering::SeqCst) > 200).then_some(());
    eventually("the load is accepted", END_DEADLINE, enough).await;
    server.terminate();
    let mut last_sent = 0;
    for (mut stream, expects_events) in streams.into_iter().zip([true, true, false]) {
        let (mut events, mut last) = (0, 0);
        let end = loop {
            match stream.next_within(END_DEADLINE).await {
                Ok(frame) if frame.id.is_some() => {
                    (events, last) = (events + 1, frame.id.unwrap_or(0).max(last))
                }
                Ok(_) => {}
                Err(silence) => break silence,
            }
        };
        assert_eq!(end, Silence::Ended, "a stream was cut without its end");
        assert_eq!(events > 0, expects_events);
        last_sent = last.max(last_sent);
    }
    let polled = poll.await.expect("no panic").expect("the poll is answered");
    assert_eq!((polled.status, &polled.data()["count"]), (200, &json!(0)));
    assert_stops(&mut server, STOP_DEADLINE).await;
    let said = speakers.join_all().await.into_iter().flatten().collect::<Vec<_>>();
    server.restart().await;
    let client = server.client();
    assert_logged(&client, &said).await;
    assert!(
        all_events(&client).await.len() as u64 >= last_sent,
        "a stream sent an event that is not in the log"
    );
    assert_logged(&client, &repeat_says(&client, said).await).await;
}

/// A request that has arrived in part is completed, answered, and there after the restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_answers_a_request_in_progress() {
    let mut server = launch().start().await;
    let mut stream = server.client().stream("/v1/streams/market-events").await;
    let (head, body) = say_over_the_wire("under-way", &json!({ "actorId": "Nova", "text": "just in time" }));
    let mut connection = RawConnection::open(server.address()).await;
    let head = head.replace("host: localhost", "host: localhost\r\nexpect: 100-continue");
    connection.send(head.as_bytes()).await;
    assert_eq!(connection.answer().await.0, "HTTP/1.1 100 Continue", "the server waits for the body now");
    connection.send(&body.as_bytes()[..5]).await;
    server.terminate();
    while stream.next_within(END_DEADLINE).await.is_ok() {}
    connection.send(&body.as_bytes()[5..]).await;
    let answer = connection.rest(END_DEADLINE).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_stops(&mut server, STOP_DEADLINE).await;
    server.restart().await;
    let log = all_events(&server.client()).await;
    assert_eq!(log[0]["payload"]["conversation"]["text"], "just in time");
}

/// Clients that do not read their stream, or have sent half a body, half a head, or nothing. The server exits within
/// its timeout, with code 0.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_does_not_wait_for_stalled_clients() {
    let mut server = launch().start().await;
    let mut stalled = vec![RawConnection::stream(server.address(), "cursor=0").await];
    post_large_says(&server).await;
    let (head, body) = say_over_the_wire("half", &json!({ "actorId": "Nova", "text": "half a body" }));
    for half in [format!("{head}{}", &body[..7]), head[..30].to_owned(), String::new()] {
        let mut connection = RawConnection::open(server.address()).await;
        connection.send(half.as_bytes()).await;
        stalled.push(connection);
    }
    assert_eq!(server.client().get("/livez").await.status, 200);
    let before = head_of_log(&server.client()).await;
    server.terminate();
    assert_stops(&mut server, STALLED_STOP_DEADLINE).await;
    drop(stalled);
    server.restart().await;
    assert_eq!(head_of_log(&server.client()).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_ignores_a_second_sigterm() {
    let mut server = launch().start().await;
    let client = server.client();
    let said = client.act("/v1/commands/say", json!({ "actorId": "Nova", "text": "hi" })).await;
    server.terminate();
    server.terminate();
    assert_stops(&mut server, STOP_DEADLINE).await;
    server.restart().await;
    let log = all_events(&server.client()).await;
    assert_eq!(log[0]["eventId"], said.data()["eventId"]);
}

#[tokio::test]
async fn shutdown_works_after_stderr_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_agentcafe"))
        .env("AGENTCAFE_DATA_DIR", directory.path())
        .env("API_PORT", "0")
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = std::io::BufReader::new(process.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("listening on") {
        line.clear();
        assert_ne!(
            std::io::BufRead::read_line(&mut log, &mut line).unwrap(),
            0,
            "it exited before it listened"
        );
    }
    drop(log);
    let id = rustix::process::Pid::from_child(&process);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let status =
        eventually("the server has stopped", END_DEADLINE, async || process.try_wait().unwrap()).await;
    assert!(status.success(), "{status}");
}
