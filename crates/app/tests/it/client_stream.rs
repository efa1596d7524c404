//! The Rust client's event stream delivers every event once and in order, also across restarts of the server and lost
//! connections.

use std::time::Duration;

use agentcafe_client::{ApiClient, Backoff, EventStream, RequestError, Start, StreamOptions, StreamUpdate};
use agentcafe_domain::kernel::Sequence;
use agentcafe_testkit::{Server, json, steady_port};
use rustix::process::{Pid, Signal, kill_process};

use crate::{launch, log};

const DEADLINE: Duration = Duration::from_secs(60);

fn follow(server: &Server, options: StreamOptions) -> EventStream {
    EventStream::new(ApiClient::new(&server.url(), None).expect("the address of a server"), quick(options))
}

fn quick(options: StreamOptions) -> StreamOptions {
    let backoff = Backoff { min: Duration::from_millis(10), max: Duration::from_millis(100) };
    StreamOptions { backoff, ..options }
}

/// The first result of `wanted`; updates before it are dropped.
async fn until<T>(stream: &mut EventStream, mut wanted: impl FnMut(StreamUpdate) -> Option<T>) -> T {
    let found = tokio::time::timeout(DEADLINE, async {
        loop {
            if let Some(found) = wanted(stream.next().await) {
                return found;
            }
        }
    });
    found.await.expect("the update in time")
}

/// The sequences of the next events, at least `count`.
async fn sequences(stream: &mut EventStream, count: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    until(stream, |update| {
        if let StreamUpdate::Events(events) = update {
            seen.extend(events.iter().map(|event| event.sequence.0));
        }
        (seen.len() >= count).then_some(())
    })
    .await;
    seen
}

async fn say(server: &Server, count: usize) {
    let client = server.client();
    for number in 0..count {
        client.act("/v1/commands/say", json!({ "actorId": "Nova", "text": format!("said {number}") })).await;
    }
}

async fn head(server: &Server) -> u64 {
    log(&server.client()).await.len() as u64
}

/// A server that is killed and restarted leaves no gap.
#[tokio::test]
async fn client_stream_resumes_without_a_gap_after_the_server_is_killed() {
    let port = steady_port();
    let mut server = launch().env("API_PORT", port).start().await;
    say(&server, 300).await;
    let mut stream = follow(&server, StreamOptions::all(Start::After(Sequence::START)));
    let stored = head(&server).await;
    let mut seen = sequences(&mut stream, usize::try_from(stored).unwrap()).await;
    for _ in 0..3 {
        server.kill();
        let lost = until(&mut stream, |update| match update {
            StreamUpdate::Disconnected(error) => Some(error),
            _ => None,
        });
        assert!(matches!(lost.await, RequestError::Unreachable(_)));
        server.restart().await;
        say(&server, 20).await;
        let more = usize::try_from(head(&server).await).unwrap() - seen.len();
        seen.extend(sequences(&mut stream, more).await);
    }
    assert_eq!(seen, (1..=head(&server).await).collect::<Vec<_>>());
}

#[tokio::test]
async fn client_stream_next_is_cancel_safe() {
    let server = launch().start().await;
    let mut stream = follow(&server, StreamOptions::all(Start::After(Sequence::START)));
    let mut seen = Vec::new();
    say(&server, 5).await;
    let known = head(&server).await;
    let deadline = tokio::time::timeout(DEADLINE, async {
        while seen.len() < usize::try_from(known).unwrap() {
            tokio::select! {
                biased;
                update = stream.next() => if let StreamUpdate::Events(events) = update {
                    seen.extend(events.iter().map(|event| event.sequence.0));
                },
                () = tokio::task::yield_now() => {}
            }
        }
    });
    deadline.await.expect("the events in time");
    assert_eq!(seen, (1..=known).collect::<Vec<_>>());
}

/// For a server that hangs without closing the connection.
#[tokio::test]
async fn client_stream_gives_up_a_connection_without_data() {
    let server = launch().env("API_STREAM_HEARTBEAT_MS", 50).start().await;
    let idle_timeout = Duration::from_millis(500);
    let mut stream = follow(&server, StreamOptions { idle_timeout, ..StreamOptions::all(Start::Latest) });
    until(&mut stream, |update| matches!(update, StreamUpdate::Connected { .. }).then_some(())).await;
    let process = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    let lost = until(&mut stream, |update| match update {
        StreamUpdate::Disconnected(error) => Some(error),
        _ => None,
    });
    let lost = lost.await;
    kill_process(process, Signal::CONT).unwrap();
    assert_eq!(lost, RequestError::Unreachable("the server sent nothing, not even heartbeats".to_owned()));
    until(&mut stream, |update| matches!(update, StreamUpdate::Connected { .. }).then_some(())).await;
}

#[tokio::test]
async fn client_stream_starts_over_when_the_log_is_replaced() {
    let port = steady_port();
    let first = launch().env("API_PORT", port).start().await;
    say(&first, 10).await;
    let mut stream = follow(&first, StreamOptions::all(Start::After(Sequence::START)));
    sequences(&mut stream, usize::try_from(head(&first).await).unwrap()).await;
    drop(first);
    let second = launch().env("API_PORT", port).start().await;
    say(&second, 1).await;
    let other = until(&mut stream, |update| match update {
        StreamUpdate::LogReplaced { head, .. } => Some(head.0),
        _ => None,
    });
    let known = head(&second).await;
    assert_eq!(other.await, known);
    assert_eq!(
        sequences(&mut stream, usize::try_from(known).unwrap()).await,
        (1..=known).collect::<Vec<_>>()
    );
}

/// Without the right token, the stream reports it and retries.
#[tokio::test]
async fn client_stream_sends_the_token() {
    let server = launch().env("API_AUTH_TOKEN", "s3cret").start().await;
    for (token, opens) in [(None, false), (Some("wrong"), false), (Some("s3cret"), true)] {
        let api = ApiClient::from_stream_url(
            &format!("{}{}", server.url(), agentcafe_client::EVENT_STREAM_PATH),
            token,
        )
        .unwrap();
        let mut stream = EventStream::new(api, quick(StreamOptions::all(Start::Latest)));
        let opened = until(&mut stream, |update| match update {
            StreamUpdate::Connected { .. } => Some(true),
            StreamUpdate::Disconnected(error) => {
                assert_eq!(error, RequestError::Unauthorized);
                Some(false)
            }
            _ => None,
        });
        assert_eq!(opened.await, opens, "{token:?}");
    }
}
