//! Timeouts for slow clients.

use std::time::Duration;

use agentcafe_testkit::{eventually, json};
use tokio::time::Instant;

use crate::background_load::all_events;
use crate::large_events::post_large_says;
use crate::launch;
use crate::raw_connection::{RawConnection, say_over_the_wire};

/// The server's timeout of 30 s for a request's head, and of 30 s for its body.
const TIMEOUT: Duration = Duration::from_secs(30);
const OVER: Duration = Duration::from_secs(60);

/// An incomplete head ends the connection, an incomplete body is 400, neither before its timeout. Other clients are
/// served meanwhile, and the incomplete requests have no effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_time_out_without_affecting_others() {
    let server = launch().start().await;
    let client = server.client();
    let (head, body) = say_over_the_wire("slow", &json!({ "actorId": "Nova", "text": "too slow" }));
    let (mut half_head, mut half_body) =
        (RawConnection::open(server.address()).await, RawConnection::open(server.address()).await);
    let begun = Instant::now();
    half_head.send(&head.as_bytes()[..40]).await;
    half_body.send(format!("{head}{}", &body[..10]).as_bytes()).await;
    for number in 0..100 {
        let said =
            client.act("/v1/commands/say", json!({ "actorId": "Kai", "text": format!("{number}") })).await;
        assert_eq!(said.status, 202, "{}", said.text);
    }
    let wait = async |connection: &mut RawConnection| (connection.rest(OVER).await, begun.elapsed());
    let ((to_head, head_took), (to_body, body_took)) =
        tokio::join!(wait(&mut half_head), wait(&mut half_body));
    assert!(to_head.is_empty() || to_head.starts_with("HTTP/1.1 408"), "{to_head}");
    assert!(to_body.starts_with("HTTP/1.1 400") && to_body.contains("ERR_VALIDATION"), "{to_body}");
    for took in [head_took, body_took] {
        assert!(took > TIMEOUT - Duration::from_secs(2), "the timeout came after {took:?}");
    }
    let log = all_events(&client).await;
    assert!(log.iter().all(|event| event["actorId"] == "Kai"));
}

/// Kind: a default of the HTTP library as a promise. Load balancers keep idle connections for 60 s, so the server keeps them for longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connection_outlasts_that_of_a_load_balancer() {
    let server = launch().start().await;
    let mut connection = RawConnection::open(server.address()).await;
    connection.send(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(connection.answer().await.0, "HTTP/1.1 200 OK");
    let idle = Instant::now();
    assert_eq!(connection.rest(Duration::from_secs(120)).await, "");
    assert!(idle.elapsed() >= Duration::from_secs(74), "closed after {:?}", idle.elapsed());
}

/// Kind: a client that is gone without a word. The few bytes of heartbeats fit into the kernel's buffers for hours, and until the kernel
/// gives up, the actor of the stream stays present. Others: WebSockets, which share the sockets' options.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_of_a_client_that_takes_no_heartbeats_ends() {
    let server = launch().env("API_STREAM_HEARTBEAT_MS", 20).env("PRESENCE_SWEEP_MS", 500).start().await;
    let query = "tenantId=default&roomId=main&cursor=latest&heartbeat=true&viewerActorId=Nova&ttlMs=6000";
    let stalled = RawConnection::stream(server.address(), query).await;
    let client = server.client();
    let is_present = async || {
        let shown = client.get("/v1/presence?roomId=main&actorId=Nova").await;
        shown.data()["presence"]["isActive"] == true
    };
    eventually("the actor is present", OVER, async || is_present().await.then_some(())).await;
    let gone = async || (!is_present().await).then_some(());
    eventually("the stream has ended, and the presence with it", 4 * OVER, gone).await;
    drop(stalled);
}

/// A page of large events is sent as long as the client takes some of it within 30 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_reader_that_makes_progress_is_not_cut() {
    let server = launch().start().await;
    post_large_says(&server).await;
    let mut reader = RawConnection::open(server.address()).await;
    reader.send(b"GET /v1/events?limit=5000 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    let (begun, mut bytes) = (Instant::now(), 0);
    let mut reads = tokio::time::interval(Duration::from_secs(5));
    while begun.elapsed() < TIMEOUT + Duration::from_secs(10) {
        reads.tick().await;
        bytes += reader.some(256 << 10).await;
    }
    bytes += reader.rest(OVER).await.len();
    assert!(bytes > 3 << 20, "the page ended after {bytes} bytes");
}
