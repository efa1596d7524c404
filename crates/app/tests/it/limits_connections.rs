//! Connections beyond the limit of open files wait; connected clients are still served.

use std::time::Duration;

use agentcafe_testkit::{Client, Method, eventually, json};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::launch;
use crate::raw_connection::{RawConnection, say_over_the_wire};

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
