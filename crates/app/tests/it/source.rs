//! The client that follows a café from outside: every event once and in order, whatever happens to server and connection.

use std::time::Duration;

use agentcafe_client::{Api, EventStream, Failure, News, Pauses, Start, Stream};
use agentcafe_domain::kernel::ids::Sequence;
use agentcafe_testkit::{Server, json, steady_port};
use rustix::process::{Pid, Signal, kill_process};

use crate::{launch, log};

const DEADLINE: Duration = Duration::from_secs(60);

fn follow(server: &Server, following: EventStream) -> Stream {
    Stream::new(Api::new(&server.url(), None).expect("the address of a server"), quick(following))
}

fn quick(following: EventStream) -> EventStream {
    let pauses = Pauses { first: Duration::from_millis(10), longest: Duration::from_millis(100) };
    EventStream { pauses, ..following }
}

/// The next news that `wanted` finds something in; what comes before is dropped.
async fn until<T>(stream: &mut Stream, mut wanted: impl FnMut(News) -> Option<T>) -> T {
    let found = tokio::time::timeout(DEADLINE, async {
        loop {
            if let Some(found) = wanted(stream.next().await) {
                return found;
            }
        }
    });
    found.await.expect("the news in time")
}

/// Sequences as they arrive, until so many are there.
async fn sequences(stream: &mut Stream, count: usize) -> Vec<u64> {
    let mut seen = Vec::new();
    until(stream, |news| {
        if let News::Events(events) = news {
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

/// DESIGN promise 3, issue 4: the backlog comes whole, and a server that is killed and comes back leaves no gap.
#[tokio::test]
async fn a_killed_server_leaves_no_gap() {
    let port = steady_port();
    let mut server = launch().env("API_PORT", port).start().await;
    say(&server, 300).await;
    let mut stream = follow(&server, EventStream::all(Start::After(Sequence::START)));
    let stored = head(&server).await;
    let mut seen = sequences(&mut stream, usize::try_from(stored).unwrap()).await;
    for _ in 0..3 {
        server.kill();
        let lost = until(&mut stream, |news| match news {
            News::Lost(failure) => Some(failure),
            _ => None,
        });
        assert!(matches!(lost.await, Failure::Unreachable(_)));
        server.restart().await;
        say(&server, 20).await;
        let more = usize::try_from(head(&server).await).unwrap() - seen.len();
        seen.extend(sequences(&mut stream, more).await);
    }
    assert_eq!(seen, (1..=head(&server).await).collect::<Vec<_>>());
}

/// A caller that waits for something else too may drop `next` at any moment.
#[tokio::test]
async fn nothing_is_lost_when_waiting_is_broken_off() {
    let server = launch().start().await;
    let mut stream = follow(&server, EventStream::all(Start::After(Sequence::START)));
    let mut seen = Vec::new();
    say(&server, 5).await;
    let known = head(&server).await;
    let deadline = tokio::time::timeout(DEADLINE, async {
        while seen.len() < usize::try_from(known).unwrap() {
            tokio::select! {
                biased;
                news = stream.next() => if let News::Events(events) = news {
                    seen.extend(events.iter().map(|event| event.sequence.0));
                },
                () = tokio::task::yield_now() => {}
            }
        }
    });
    deadline.await.expect("the events in time");
    assert_eq!(seen, (1..=known).collect::<Vec<_>>());
}

/// RULINGS M7: a server that hangs without closing anything is noticed, and left.
#[tokio::test]
async fn a_silent_server_counts_as_gone() {
    let server = launch().env("API_STREAM_HEARTBEAT_MS", 50).start().await;
    let silence = Duration::from_millis(500);
    let mut stream = follow(&server, EventStream { silence, ..EventStream::all(Start::Latest) });
    until(&mut stream, |news| matches!(news, News::Connected { .. }).then_some(())).await;
    let process = Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    let lost = until(&mut stream, |news| match news {
        News::Lost(failure) => Some(failure),
        _ => None,
    });
    let lost = lost.await;
    kill_process(process, Signal::CONT).unwrap();
    assert_eq!(lost, Failure::Unreachable("nothing was heard for too long".to_owned()));
    until(&mut stream, |news| matches!(news, News::Connected { .. }).then_some(())).await;
}

/// RULINGS M6: another log, which begins lower, is followed from its beginning.
#[tokio::test]
async fn another_log_is_noticed_and_followed_anew() {
    let port = steady_port();
    let first = launch().env("API_PORT", port).start().await;
    say(&first, 10).await;
    let mut stream = follow(&first, EventStream::all(Start::After(Sequence::START)));
    sequences(&mut stream, usize::try_from(head(&first).await).unwrap()).await;
    drop(first);
    let second = launch().env("API_PORT", port).start().await;
    say(&second, 1).await;
    let other = until(&mut stream, |news| match news {
        News::OtherLog { head } => Some(head.0),
        _ => None,
    });
    let known = head(&second).await;
    assert_eq!(other.await, known);
    assert_eq!(
        sequences(&mut stream, usize::try_from(known).unwrap()).await,
        (1..=known).collect::<Vec<_>>()
    );
}

/// RULINGS B6: the token goes along; without it, or with another, the stream says so and goes on trying.
#[tokio::test]
async fn the_token_opens_a_protected_stream() {
    let server = launch().env("API_AUTH_TOKEN", "s3cret").start().await;
    for (token, opens) in [(None, false), (Some("wrong"), false), (Some("s3cret"), true)] {
        let api = Api::at_stream(&format!("{}{}", server.url(), agentcafe_client::STREAM), token).unwrap();
        let mut stream = Stream::new(api, quick(EventStream::all(Start::Latest)));
        let opened = until(&mut stream, |news| match news {
            News::Connected { .. } => Some(true),
            News::Lost(failure) => {
                assert_eq!(failure, Failure::Unauthorized);
                Some(false)
            }
            _ => None,
        });
        assert_eq!(opened.await, opens, "{token:?}");
    }
}
