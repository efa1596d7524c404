//! Clients that close their sending half, or whose upload is refused, get their response.

use std::net::SocketAddr;
use std::time::Duration;

use agentcafe_testkit::{eventually, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::raw_connection::{RawConnection, say_over_the_wire};
use crate::{launch, log};

const DEADLINE: Duration = Duration::from_secs(60);
const TOO_LARGE: usize = 20 << 20;

/// The connections that a server has not closed: established, or half-closed by the client.
fn open_connections(address: SocketAddr) -> usize {
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let port = format!(":{:04X}", address.port());
    let is_open = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        let is_local = fields.next().is_some_and(|local| local.ends_with(&port));
        is_local && fields.nth(1).is_some_and(|state| ["01", "08"].contains(&state))
    };
    sockets.lines().filter(is_open).count()
}

/// Kind: the end of a request is not the end of the client's interest (RFC 9112, 9.6). Other members: polls, HTTP/1.0.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_closed_client_gets_the_response() {
    let server = launch().start().await;
    let client = server.client();
    let mut poll = RawConnection::open(server.address()).await;
    poll.send(b"GET /v1/events/poll?cursor=latest&timeoutMs=2000 HTTP/1.0\r\nhost: localhost\r\n\r\n").await;
    poll.end_sending().await;
    assert!(poll.rest(DEADLINE).await.starts_with("HTTP/1.0 200 OK"));
    for number in 0..200 {
        let body = json!({ "actorId": "Nova", "text": format!("number {number}") });
        let (head, body) = say_over_the_wire(&format!("half-closed-{number}"), &body);
        let mut connection = RawConnection::open(server.address()).await;
        connection.send(format!("{head}{body}").as_bytes()).await;
        connection.end_sending().await;
        let answer = connection.rest(DEADLINE).await;
        assert!(answer.starts_with("HTTP/1.1 202"), "say {number}: {answer}");
    }
    assert!(log(&client).await.len() >= 200);
}

/// A reset ends the request. Of an event stream, which would not end by itself, a half-closed connection is the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_closed_client_that_is_gone_ends_its_request() {
    let server = launch().env("API_STREAM_HEARTBEAT_MS", 60_000).start().await;
    let before = open_connections(server.address());
    let mut poll = RawConnection::open(server.address()).await;
    poll.send(b"GET /v1/events/poll?cursor=latest&timeoutMs=30000 HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    poll.end_sending().await;
    let mut stream = RawConnection::stream(server.address(), "cursor=latest").await;
    assert!(stream.line().await.is_some());
    stream.end_sending().await;
    let began = Instant::now();
    let _ = stream.rest(DEADLINE).await;
    poll.reset();
    eventually("both connections end", DEADLINE, async || {
        (open_connections(server.address()) <= before).then_some(())
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(20), "the poll waited for its timeout");
}

/// The status line that a client reads after it has sent all of this.
async fn status_after(address: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut connection = TcpStream::connect(address).await.expect("the server listens");
    connection.write_all(head.as_bytes()).await.expect("the head is sent");
    connection.write_all(body).await.expect("the body is taken, although it is refused");
    let mut answer = Vec::new();
    let read = timeout(DEADLINE, connection.read_to_end(&mut answer)).await.expect("it ends");
    read.expect("the response is not lost");
    let answer = String::from_utf8(answer).expect("text");
    assert!(answer.contains("ERR_PAYLOAD_TOO_LARGE") && answer.contains("connection: close"), "{answer}");
    answer.lines().next().unwrap_or_default().to_owned()
}

/// Kind: a refusal is of no use if the client cannot read it. Other members: bodies without a length.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upload_that_is_too_large_gets_its_413() {
    let server = launch().start().await;
    let path = "POST /v1/snapshots/agent HTTP/1.1\r\nhost: localhost\r\nidempotency-key: large";
    let body = vec![b' '; TOO_LARGE];
    for _ in 0..20 {
        let head = format!("{path}\r\ncontent-length: {TOO_LARGE}\r\n\r\n");
        assert_eq!(status_after(server.address(), &head, &body).await, "HTTP/1.1 413 Payload Too Large");
    }
    let chunk = [format!("{TOO_LARGE:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    let head = format!("{path}\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(status_after(server.address(), &head, &chunk).await, "HTTP/1.1 413 Payload Too Large");
}

/// A client that waits for `100 Continue` sends none of a body that is refused by its length.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expect_continue_is_answered_by_the_length() {
    let server = launch().start().await;
    let head = |length: usize| {
        format!(
            "POST /v1/commands/say HTTP/1.1\r\nhost: localhost\r\nidempotency-key: expect\r\nexpect: 100-continue\r\n\
             content-length: {length}\r\n\r\n"
        )
    };
    let mut refused = RawConnection::open(server.address()).await;
    refused.send(head(TOO_LARGE).as_bytes()).await;
    assert_eq!(refused.answer().await.0, "HTTP/1.1 413 Payload Too Large");
    let body = json!({ "actorId": "Nova", "text": "hi" }).to_string();
    let mut accepted = RawConnection::open(server.address()).await;
    accepted.send(head(body.len()).as_bytes()).await;
    assert_eq!(accepted.answer().await.0, "HTTP/1.1 100 Continue");
    accepted.send(body.as_bytes()).await;
    assert_eq!(accepted.answer().await.0, "HTTP/1.1 202 Accepted");
}
