//! A cursor that is not of the log: every path says so, with the log's head and id.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use agentcafe_testkit::{Client, Frame, Method, Server, Silence, Value, json};
use tokio::task::JoinSet;

use crate::realtime::{DEADLINE, launch_realtime, wait_until_caught_up};
use crate::websocket_client::{End, Socket};
use crate::{cafe, order, say};

const STREAM: &str = "/v1/streams/market-events";
const PAGES: [&str; 4] = ["/v1/events", "/v1/timeline", "/v1/mentions", "/v1/events/poll?timeoutMs=0"];

fn with(path: &str, query: &str) -> String {
    format!("{path}{}{query}", if path.contains('?') { '&' } else { '?' })
}

/// The log as bootstrap shows it.
async fn position(client: &Client) -> (u64, Value) {
    let bootstrap = client.get("/v1/bootstrap").await;
    let data = bootstrap.data();
    assert_eq!(data["head"], data["cursor"]);
    (data["head"].as_u64().unwrap(), data["logId"].clone())
}

/// A stream of events, over either protocol.
enum Connection {
    Stream(Box<agentcafe_testkit::SseStream>),
    Socket(Box<Socket>),
}

impl Connection {
    async fn open(server: &Server, path: &str, last_event_id: Option<&str>) -> Self {
        if path.starts_with("/v1/ws") {
            let headers: Vec<_> = last_event_id.into_iter().map(|id| ("last-event-id", id)).collect();
            return Self::Socket(Box::new(Socket::open(server.address(), path, &headers).await.unwrap()));
        }
        let request = server.client().request(Method::GET, path);
        let request =
            last_event_id.into_iter().fold(request, |request, id| request.header("last-event-id", id));
        Self::Stream(Box::new(
            request.stream().await.unwrap_or_else(|refused| panic!("{path}: {}", refused.text)),
        ))
    }

    /// The next frame; none after the end.
    async fn next(&mut self) -> Option<Frame> {
        match self {
            Self::Stream(stream) => match stream.next_within(DEADLINE).await {
                Err(Silence::Ended) => None,
                frame => Some(frame.unwrap()),
            },
            Self::Socket(socket) => match socket.try_next().await {
                Err(end) => {
                    assert_eq!(end, End::Closed(Some(1008)));
                    None
                }
                frame => Some(frame.unwrap()),
            },
        }
    }
}

/// A cursor beyond the head was echoed, and one below 0 read the whole log.
#[tokio::test]
async fn pages_and_polls_refuse_a_cursor_of_another_log() {
    let (_server, client) = cafe().await;
    order(&client, "Nova", "main").await;
    let (head, log_id) = position(&client).await;
    let id = log_id.as_str().unwrap();
    for path in PAGES {
        for query in
            ["cursor=1000".to_owned(), format!("cursor={}", head + 1), "cursor=1&logId=other".to_owned()]
        {
            let refused = client.get(&with(path, &query)).await;
            assert_eq!(
                *refused.error(409, "ERR_CURSOR_AHEAD"),
                json!({ "head": head, "logId": log_id }),
                "{path} {query}"
            );
        }
        for query in [format!("cursor={head}&logId={id}"), format!("cursor={head}"), "logId=other".to_owned()]
        {
            let page = client.get(&with(path, &query)).await;
            let data = page.data();
            assert_eq!((&data["head"], &data["logId"]), (&json!(head), &log_id), "{path} {query}");
        }
        let _ = client.get(&with(path, "cursor=-1")).await.error(400, "ERR_VALIDATION");
    }
    // Newest first, a page ends before its cursor.
    let next = client.get(&format!("/v1/timeline?order=desc&cursor={}", head + 1)).await;
    assert_eq!(next.data()["events"].as_array().unwrap().len() as u64, head);
    let _ = client
        .get(&format!("/v1/timeline?order=desc&cursor={}", head + 2))
        .await
        .error(409, "ERR_CURSOR_AHEAD");
}

/// Such a stream was silent for ever. An `EventSource` has no other way to learn of it than a frame.
#[tokio::test]
async fn streams_reset_a_cursor_of_another_log() {
    let (api, client) = cafe().await;
    order(&client, "Nova", "main").await;
    let realtime = launch_realtime(&api).start().await;
    wait_until_caught_up(&realtime, &client).await;
    let (head, log_id) = position(&client).await;
    let cases = [
        ("cursor=1000", None, "cursor_ahead"),
        ("", Some("1000"), "cursor_ahead"),
        ("cursor=latest", Some("18446744073709551615"), "cursor_ahead"),
        ("cursor=1&logId=other", None, "other_log"),
        ("logId=other", Some("1"), "other_log"),
    ];
    for (server, path) in [(&api, STREAM), (&api, "/v1/ws"), (&realtime, "/v1/stream"), (&realtime, "/v1/ws")]
    {
        for (query, last_event_id, reason) in cases {
            let what = format!("{path} {query} {last_event_id:?}");
            let mut stream = Connection::open(server, &format!("{path}?{query}"), last_event_id).await;
            let reset = Frame {
                id: None,
                event: "reset".into(),
                data: json!({"head": head, "logId": log_id, "reason": reason}),
            };
            assert_eq!(stream.next().await.unwrap(), reset, "{what}");
            assert_eq!(stream.next().await, None, "{what}");
        }
        // The right log, and the newest cursor.
        let query = format!("{path}?cursor={head}&logId={}", log_id.as_str().unwrap());
        let mut stream = Connection::open(server, &query, None).await;
        assert_ne!(stream.next().await.unwrap().event, "reset", "{query}");
    }
}

/// With `onReset=latest`, the stream goes on with what is appended from then on.
#[tokio::test]
async fn streams_continue_at_the_head_after_a_reset() {
    let (api, client) = cafe().await;
    order(&client, "Nova", "main").await;
    let realtime = launch_realtime(&api).start().await;
    wait_until_caught_up(&realtime, &client).await;
    for (server, path) in [(&api, STREAM), (&api, "/v1/ws"), (&realtime, "/v1/stream"), (&realtime, "/v1/ws")]
    {
        wait_until_caught_up(&realtime, &client).await;
        let mut stream = Connection::open(server, &format!("{path}?cursor=1000&onReset=latest"), None).await;
        assert_eq!(stream.next().await.unwrap().event, "reset", "{path}");
        while stream.next().await.unwrap().event != "ready" {}
        let sequence = order(&client, "Nova", "main").await;
        while stream.next().await.unwrap().id != Some(sequence) {}
    }
    let _ = client.get(&format!("{STREAM}?onReset=never")).await.error(400, "ERR_INVALID_ENUM");
}

/// A `Last-Event-ID` of another server at the same address was a 400, which ends an `EventSource` for good.
#[tokio::test]
async fn streams_ignore_a_foreign_last_event_id() {
    let (api, client) = cafe().await;
    order(&client, "Nova", "main").await;
    let realtime = launch_realtime(&api).start().await;
    wait_until_caught_up(&realtime, &client).await;
    for (server, path) in [(&api, STREAM), (&api, "/v1/ws"), (&realtime, "/v1/stream"), (&realtime, "/v1/ws")]
    {
        for (foreign, is_ignored) in
            [("7f3a-uuid", true), ("99999999999999999999", true), ("-1", true), ("1", false)]
        {
            let mut stream = Connection::open(server, &format!("{path}?cursor=1"), Some(foreign)).await;
            let ready = loop {
                let frame = stream.next().await.unwrap();
                if frame.event == "ready" {
                    break frame.data;
                }
            };
            assert_eq!(ready["lastEventIdIgnored"], is_ignored, "{path} {foreign}");
            if path == STREAM {
                assert_eq!((&ready["cursor"], stream.next().await.unwrap().id), (&json!(1), Some(2)));
            }
        }
        let _ = server.client().get(&with(path, "cursor=-1")).await.error(400, "ERR_VALIDATION");
    }
}

/// On several nodes, the one that is asked may not have seen the newest event yet.
#[tokio::test]
async fn cursor_just_handed_out_is_never_ahead() {
    let (_server, client) = cafe().await;
    let mut agents = JoinSet::new();
    for number in 0..4 {
        let client = client.clone();
        agents.spawn(async move {
            for _ in 0..25 {
                let said = say(&client, &format!("a{number}"), "on").await;
                let cursor = said.data()["sequence"].as_u64().unwrap();
                for path in PAGES {
                    let page = client.get(&with(path, &format!("cursor={cursor}"))).await;
                    let next = page.data()["nextCursor"].as_u64().unwrap();
                    assert!(
                        page.data()["head"].as_u64().unwrap() >= next.max(cursor),
                        "{path}: {}",
                        page.text
                    );
                    let _ = client.get(&with(path, &format!("cursor={next}"))).await.data();
                }
                let mut stream = client.stream(&format!("{STREAM}?cursor={cursor}")).await;
                assert_eq!(stream.next().await.event, "ready");
            }
        });
    }
    while let Some(done) = agents.join_next().await {
        done.unwrap();
    }
}
