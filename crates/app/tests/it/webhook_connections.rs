//! Webhook connections: what a receiver that ends its connections costs.

use agentcafe_testkit::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::webhook_delivery::{message_subscription, recorded};
use crate::webhook_subscriptions::subscribe;
use crate::{cafe, say_in};

/// The `webhook-id` of the next request on a connection; none if there is none.
async fn next_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let value = |name| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if bytes.len() >= end + 4 + value("content-length:")?.parse::<usize>().ok()? {
                return value("webhook-id:").map(str::to_owned);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// A receiver that answers so many requests of each connection, and ends it without an answer to the next. Returns its URL, and the
/// `webhook-id` of each request.
async fn receiver_that_ends_connections(answers: usize) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let (sender, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut answered = 0;
                while let Some(id) = next_request(&mut stream).await {
                    let _ = sender.send(id);
                    if answered == answers {
                        return;
                    }
                    answered += 1;
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                }
            });
        }
    });
    (url, received)
}

/// A reused connection that the receiver has given up is no failure of the receiver: the request is repeated over a new one, and
/// both are one attempt.
#[tokio::test]
async fn webhook_is_sent_again_when_a_reused_connection_ends() {
    let (_server, client) = cafe().await;
    let (url, mut received) = receiver_that_ends_connections(1).await;
    let mut subscription = message_subscription(url);
    subscription["maxRetries"] = json!(0);
    subscribe(&client, subscription).await;
    for number in 1..=3 {
        say_in(&client, "main", &format!("message {number}")).await;
        let attempts = recorded(&client, "", number).await;
        assert_eq!(
            (&attempts[0]["success"], &attempts[0]["attempt"]),
            (&json!(true), &json!(1)),
            "{attempts:?}"
        );
        assert_eq!(attempts.len(), number);
    }
    let mut ids = Vec::new();
    while let Ok(id) = received.try_recv() {
        ids.push(id);
    }
    assert_eq!(ids.len(), 4, "the second is sent twice: {ids:?}");
    assert_eq!(ids[1], ids[2]);
}

/// A new connection that ends is a failed attempt.
#[tokio::test]
async fn webhook_is_sent_once_over_a_new_connection() {
    let (_server, client) = cafe().await;
    let (url, mut received) = receiver_that_ends_connections(0).await;
    let mut subscription = message_subscription(url);
    subscription["maxRetries"] = json!(0);
    subscribe(&client, subscription).await;
    say_in(&client, "main", "hello").await;
    let attempts = recorded(&client, "", 1).await;
    assert_eq!(attempts[0]["error"], "the target gave no valid answer", "{attempts:?}");
    assert!(received.recv().await.is_some());
    assert!(received.try_recv().is_err(), "it was sent again");
}
