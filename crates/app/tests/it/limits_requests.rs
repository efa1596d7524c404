//! Limits of request heads, bodies and pages: past them there is a clear error, and memory stays bounded.

use std::time::Duration;

use agentcafe_testkit::{Client, json};

use crate::background_load::{all_events, read_pages};
use crate::large_events::post_large_says;
use crate::launch;
use crate::raw_connection::{RawConnection, say_over_the_wire};
use crate::stalled_readers::peak_kib;

const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// Sends bytes, closes the sending half, and returns the response.
async fn exchange(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut connection = RawConnection::open(address).await;
    // The server may have responded and closed before it has read everything.
    let _ = connection.try_send(bytes).await;
    connection.rest(ANSWER_DEADLINE).await
}

/// For a long target and for long headers, with the status for each; the server keeps running.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_head_that_is_too_long_is_refused() {
    let server = launch().start().await;
    let long = "x".repeat(200_000);
    let cases = [
        (format!("GET /v1/events?types={long} HTTP/1.1\r\nhost: localhost\r\n\r\n"), "HTTP/1.1 4"),
        (format!("GET /v1/events HTTP/1.1\r\nhost: localhost\r\nx-long: {long}\r\n\r\n"), "HTTP/1.1 431"),
        (
            format!("GET /v1/events HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x-many: 1\r\n".repeat(5_000)),
            "HTTP/1.1 431",
        ),
        ("not http at all\r\n\r\n".to_owned(), "HTTP/1.1 400"),
    ];
    for (request, want) in cases {
        let answer = exchange(server.address(), request.as_bytes()).await;
        assert!(answer.starts_with(want), "{}: {answer}", &request[..40.min(request.len())]);
    }
    assert_eq!(server.client().get("/livez").await.status, 200);
}

/// The response comes before the client has sent everything; the memory of the server does not grow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunked_body_without_end_is_413_at_the_limit() {
    let server = launch().start().await;
    let before = server.rss_kib();
    let mut endless = Vec::new();
    for number in 0..20 {
        let address = server.address();
        endless.push(tokio::spawn(async move {
            let mut connection = RawConnection::open(address).await;
            let head = format!(
                "POST /v1/commands/say HTTP/1.1\r\nhost: localhost\r\nidempotency-key: endless-{number}\r\n\
                 transfer-encoding: chunked\r\n\r\n"
            );
            connection.send(head.as_bytes()).await;
            let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
            for _ in 0..1_000 {
                if connection.try_send(chunk.as_bytes()).await.is_err() {
                    break;
                }
            }
            connection.rest(ANSWER_DEADLINE).await
        }));
    }
    for answer in endless {
        let answer = answer.await.expect("the endless are cut off");
        // The response may be lost with the connection, which is closed while the client still sends.
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    }
    let grown = server.rss_kib().saturating_sub(before);
    assert!(grown < 50 << 10, "20 endless bodies cost {grown} KiB");
    assert_eq!(all_events(&server.client()).await.len(), 0);
}

/// With the connection closed or half closed, with `Content-Length` and with chunks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_that_breaks_off_has_no_effect() {
    let server = launch().start().await;
    let (head, body) = say_over_the_wire("cut", &json!({ "actorId": "Nova", "text": "cut off" }));
    let chunked = "POST /v1/commands/say HTTP/1.1\r\nhost: localhost\r\nidempotency-key: c\r\ntransfer-encoding: chunked\r\n\r\n";
    let starts =
        [head.clone(), format!("{head}{}", &body[..20]), format!("{chunked}14\r\n{}", &body[..20]), {
            format!("{chunked}{:x}\r\n{body}\r\n", body.len())
        }];
    for start in starts {
        let mut connection = RawConnection::open(server.address()).await;
        connection.send(start.as_bytes()).await;
        drop(connection);
        let mut connection = RawConnection::open(server.address()).await;
        connection.send(start.as_bytes()).await;
        connection.end_sending().await;
        let answer = connection.rest(ANSWER_DEADLINE).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let client = server.client();
    let said = client.post("/v1/commands/say", "cut", json!({ "actorId": "Nova", "text": "cut off" })).await;
    assert_eq!(said.data()["sequence"], 1, "the key was free and nothing had happened");
}

/// Clients that read the largest pages of a log of 56 MB at the same time do not make the server hold it in memory;
/// they get all events by cursor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_of_large_events_is_bounded_in_bytes() {
    const MAX_GROWTH_KIB: u64 = 120 << 10;
    let server = launch().start().await;
    post_large_says(&server).await;
    let before = server.rss_kib();
    let count = read_pages(&server.client(), "", 20).await.len();
    let read = async || {
        let client = Client::new(server.address());
        assert_eq!(read_pages(&client, "", 5_000).await.len(), count);
    };
    let (_, most) = peak_kib(&server, async { tokio::join!(read(), read(), read(), read()) }).await;
    let grown = most.saturating_sub(before);
    assert!(grown < MAX_GROWTH_KIB, "four clients that read pages made {before} KiB grow by {grown} KiB");
}
