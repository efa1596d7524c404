//! Limits of connections: open files, and connections of an address.

use std::time::Duration;

use agentcafe_testkit::{Client, Method, Receiver, Server, eventually, json};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::launch;
use crate::launch_script::launch_after;
use crate::raw_connection::{RawConnection, say_over_the_wire};
use crate::webhook_delivery::{message_subscription, recorded};
use crate::webhook_subscriptions::subscribe;

const DEADLINE: Duration = Duration::from_secs(60);

/// Streams and the store keep working. When descriptors are free again, new clients are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_descriptor_exhaustion_does_not_affect_connected_clients() {
    let server = launch().start().await;
    let mut stream = server.client().stream("/v1/streams/market-events?cursor=latest").await;
    assert_eq!(stream.next().await.event, "ready");
    let mut connected = RawConnection::open(server.address()).await;
    connected.send(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(connected.answer().await.0, "HTTP/1.1 200 OK");
    let pid = Pid::from_raw(server.pid().cast_signed());
    let few = Rlimit { current: Some(64), maximum: Some(64) };
    prlimit(pid, Resource::Nofile, few).expect("the limit of a child can be set");
    let mut idle = Vec::new();
    for _ in 0..120 {
        idle.push(RawConnection::open(server.address()).await);
    }
    let complained = async || server.log().contains("could not be accepted").then_some(());
    eventually("the server runs out of files", DEADLINE, complained).await;
    for number in 0..20 {
        let body = json!({ "actorId": "Nova", "text": format!("number {number}") });
        let (head, body) = say_over_the_wire(&format!("key-{number}"), &body);
        connected.send(format!("{head}{body}").as_bytes()).await;
        let (status, answer) = connected.answer().await;
        assert_eq!(status, "HTTP/1.1 202 Accepted", "{answer}");
        let received = stream.next_of("conversation_message_posted").await;
        assert!(answer.contains(received.data["eventId"].as_str().expect("an id")), "{answer}");
    }
    let complaints = server.log().matches("could not be accepted").count();
    assert!(complaints < 2_000, "{complaints} lines in the log: it does not pause between attempts");
    drop(idle);
    let served = async || {
        let answer = Client::new(server.address()).request(Method::GET, "/readyz").try_send().await;
        answer.is_ok_and(|answer| answer.status == 200).then_some(())
    };
    eventually("new clients are served again", DEADLINE, served).await;
}

/// The statuses of this many requests for a stream, and those that were accepted.
async fn open_streams(server: &Server, count: usize) -> (Vec<String>, Vec<RawConnection>) {
    let (mut statuses, mut accepted) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let mut stream = RawConnection::stream(server.address(), "cursor=latest").await;
        let status =
            stream.line().await.map_or_else(String::new, |line| String::from_utf8_lossy(&line).into_owned());
        if status.contains("200 OK") {
            accepted.push(stream);
        }
        statuses.push(status);
    }
    (statuses, accepted)
}

/// Kind: a promise that a default of the system breaks. The soft limit of open files is for programs that use `select`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soft_limit_of_open_files_is_raised() {
    let (_script, launch) = launch_after("ulimit -S -n 256");
    let server = launch.start().await;
    let (statuses, accepted) = open_streams(&server, 400).await;
    assert_eq!(accepted.len(), 400, "{statuses:?}");
    let said = server.client().act("/v1/commands/say", json!({ "actorId": "Nova", "text": "hi" })).await;
    assert_eq!(said.status, 202);
}

/// Where it cannot be raised, further streams get 503, and other requests are answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_beyond_the_open_files_are_503() {
    let (_script, launch) = launch_after("ulimit -n 256");
    let server = launch.start().await;
    let (statuses, accepted) = open_streams(&server, 400).await;
    let refused = statuses.iter().filter(|status| status.contains("503 Service Unavailable")).count();
    assert!(accepted.len() >= 100 && refused == 400 - accepted.len(), "{statuses:?}");
    for number in 0..20 {
        let client = Client::new(server.address());
        assert_eq!(client.get("/livez").await.status, 200);
        let said =
            client.act("/v1/commands/say", json!({ "actorId": "Nova", "text": format!("{number}") })).await;
        assert_eq!(said.status, 202);
    }
    drop(accepted);
    eventually("streams are accepted again", DEADLINE, async || {
        (open_streams(&server, 1).await.1.len() == 1).then_some(())
    })
    .await;
}

/// Loopback too: a client is not trusted more because it is near.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_an_address_are_limited() {
    let server = launch().env("MAX_CONNECTIONS_PER_ADDRESS", 8).start().await;
    let accepted = eventually("the connections of the start are closed", DEADLINE, async || {
        Some(open_streams(&server, 8).await.1).filter(|accepted| accepted.len() == 8)
    })
    .await;
    let mut refused = RawConnection::open(server.address()).await;
    assert!(
        refused.rest(DEADLINE).await.starts_with("HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n")
    );
    drop(accepted);
    eventually("others are accepted again", DEADLINE, async || {
        (open_streams(&server, 1).await.1.len() == 1).then_some(())
    })
    .await;
}

/// Kind: a lack of our own is booked on others. Other members: names and root certificates, which are read from files. The delivery waits until there are descriptors, and its first attempt succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_webhook_waits_for_file_descriptors() {
    let server = launch().env("AGENTCAFE_LOG", "info,agentcafe_dispatcher=debug").start().await;
    let (client, receiver) = (server.client(), Receiver::start().await);
    let _ = subscribe(&client, message_subscription(receiver.url("/hook"))).await;
    let mut connected = RawConnection::open(server.address()).await;
    connected.send(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(connected.answer().await.0, "HTTP/1.1 200 OK");
    let pid = Pid::from_raw(server.pid().cast_signed());
    let limit = |files| {
        let limit = Rlimit { current: Some(files), maximum: Some(4_096) };
        prlimit(pid, Resource::Nofile, limit).expect("the limit of a child can be set");
    };
    limit(3);
    let (head, body) = say_over_the_wire("no-files", &json!({ "actorId": "Nova", "text": "hi" }));
    connected.send(format!("{head}{body}").as_bytes()).await;
    assert_eq!(connected.answer().await.0, "HTTP/1.1 202 Accepted");
    let waits = async || (server.log().matches("no resources for a connection").count() >= 3).then_some(());
    eventually("the server tries to connect", DEADLINE, waits).await;
    limit(4_096);
    assert_eq!(receiver.wait("/hook", 1).await.len(), 1);
    let recorded = recorded(&client, "", 1).await;
    assert_eq!(
        (recorded.len(), &recorded[0]["attempt"], &recorded[0]["success"]),
        (1, &json!(1), &json!(true))
    );
}
