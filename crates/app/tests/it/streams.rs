//! Event streams: ready, backlog, live events, gaps, heartbeats, limits.

use std::time::Duration;

use agentcafe_testkit::{Client, Frame, Method, SseStream, Value, eventually, json};

use crate::{cafe, launch, log, order};

const STREAM: &str = "/v1/streams/market-events";

async fn ids(stream: &mut SseStream, count: usize) -> Vec<u64> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.extend(stream.next_event().await.id);
    }
    ids
}

async fn opened(client: &Client, query: &str, last_event_id: Option<&str>) -> SseStream {
    let request = client.request(Method::GET, &format!("{STREAM}?{query}"));
    let request = last_event_id.into_iter().fold(request, |request, id| request.header("last-event-id", id));
    request.stream().await.unwrap_or_else(|refused| panic!("{query}: {}", refused.text))
}

/// The frame has the filters and the log's head, and no id.
#[tokio::test]
async fn stream_starts_with_ready() {
    let (_server, client) = cafe().await;
    order(&client, "Nova", "main").await;
    let mut stream =
        client.stream(&format!("{STREAM}?roomId=main&cursor=1&types=order_changed,%20other")).await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert_eq!(stream.headers()["cache-control"], "no-cache, no-transform");
    assert!(stream.headers().contains_key("x-request-id"));
    let log_id = client.get("/v1/bootstrap").await.data()["logId"].clone();
    let data = json!({"tenantId": null, "roomId": "main", "actorId": null, "cursor": 1, "types": ["order_changed", "other"],
                      "head": 2, "logId": log_id, "lastEventIdIgnored": false});
    assert_eq!(stream.next().await, Frame { id: None, event: "ready".into(), data });
    let mut alias = client.stream("/v1/events/stream?tenantId=t&actorId=a").await;
    let data = json!({"tenantId": "t", "roomId": null, "actorId": "a", "cursor": 0, "types": [],
                      "head": 2, "logId": log_id, "lastEventIdIgnored": false});
    assert_eq!(alias.next().await.data, data);
}

/// Each event once and in order; a frame has its sequence as `id`, its type as `event`, and the event as `data`.
#[tokio::test]
async fn stream_without_a_cursor_sends_the_whole_log_then_live_events() {
    let (_server, client) = cafe().await;
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let client = client.clone();
            tokio::spawn(async move {
                for _ in 0..100 {
                    order(&client, &format!("a{writer}"), "main").await;
                }
            })
        })
        .collect();
    let mut stream = client.stream(STREAM).await;
    let mut frames = Vec::new();
    while frames.len() < 300 * 2 {
        frames.push(stream.next_event().await);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let events = log(&client).await;
    assert_eq!(frames.len(), events.len());
    for (frame, event) in frames.iter().zip(&events) {
        assert_eq!(
            (frame.id, frame.event.as_str()),
            (event["sequence"].as_u64(), event["type"].as_str().unwrap())
        );
        assert_eq!(&frame.data, event);
    }
    let mut late = client.stream(STREAM).await;
    assert_eq!(ids(&mut late, 600).await, (1..=600).collect::<Vec<_>>(), "all of the backlog, by default");
}

/// Or after `cursor`, whichever is later. `cursor=latest` starts with live events, and resumes at `Last-Event-ID`
/// when a browser reconnects.
#[tokio::test]
async fn stream_resumes_after_last_event_id() {
    let (_server, client) = cafe().await;
    for _ in 0..4 {
        order(&client, "Nova", "main").await;
    }
    let cases = [
        ("", None, 0),
        ("cursor=3", None, 3),
        ("cursor=3", Some("5"), 5),
        ("cursor=6", Some("5"), 6),
        ("", Some(" 5 "), 5),
        ("cursor=", Some(""), 0),
        ("cursor=latest", None, 8),
        ("cursor=latest", Some("6"), 6),
    ];
    for (query, last_event_id, cursor) in cases {
        let mut stream = opened(&client, query, last_event_id).await;
        assert_eq!(stream.next().await.data["cursor"], cursor, "{query} {last_event_id:?}");
        if cursor < 8 {
            assert_eq!(ids(&mut stream, 1).await, [cursor + 1], "{query} {last_event_id:?}");
        }
    }
    let mut live = client.stream(&format!("{STREAM}?cursor=latest")).await;
    let _ = live.next().await;
    order(&client, "Nova", "main").await;
    assert_eq!(ids(&mut live, 2).await, [9, 10]);
}

#[tokio::test]
async fn stream_with_invalid_parameters_is_refused() {
    let (_server, client) = cafe().await;
    for query in ["cursor=abc", "cursor=-1", "cursor=1.5", "limit=abc", "cursor=newest", "roomId=%01"] {
        let refused = client.request(Method::GET, &format!("{STREAM}?{query}")).stream().await.unwrap_err();
        let _ = refused.error(400, "ERR_VALIDATION");
    }
}

/// A filter that is not given matches everything.
#[tokio::test]
async fn stream_filters_match_exactly_in_backlog_and_live() {
    let (_server, client) = cafe().await;
    let queries = [
        "",
        "roomId=main",
        "actorId=Kai",
        "tenantId=acme",
        "types=order_changed",
        "roomId=main&actorId=Kai&types=order_changed,x",
    ];
    let fill = async || {
        for (actor, room) in [("Nova", "main"), ("Kai", "main"), ("Kai", "attic")] {
            order(&client, actor, room).await;
        }
        let _ = client
            .act("/v1/commands/order", json!({"actorId": "Kai", "tenantId": "acme", "itemId": "tea"}))
            .await
            .data();
    };
    fill().await;
    let mut streams = Vec::new();
    for query in queries {
        streams.push(client.stream(&format!("{STREAM}?{query}")).await);
    }
    fill().await;
    let events = log(&client).await;
    for (query, stream) in queries.iter().zip(&mut streams) {
        let page = client.get(&format!("/v1/events?limit=5000&{query}")).await;
        let want: Vec<u64> = page.data()["events"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|event| event["sequence"].as_u64())
            .collect();
        assert!(!want.is_empty() && want.len() <= events.len());
        assert_eq!(ids(stream, want.len()).await, want, "{query}");
    }
}

/// Live events follow. If nothing is skipped, there is no `gap`.
#[tokio::test]
async fn stream_limit_skips_backlog_with_a_gap_frame() {
    let server = launch().env("API_STREAM_HEARTBEAT_MS", 20).start().await;
    let client = server.client();
    for _ in 0..5 {
        order(&client, "Nova", "main").await;
    }
    let cases = [
        ("limit=3", vec![1, 2, 3], Some(3)),
        ("limit=2&cursor=4", vec![5, 6], Some(6)),
        ("limit=2&types=order_changed", vec![1, 3], Some(3)),
        ("limit=0", vec![1], Some(1)),
        ("limit=10", (1..=10).collect(), None),
        ("limit=5&types=order_changed", vec![1, 3, 5, 7, 9], None),
        ("limit=1&cursor=latest", vec![], None),
    ];
    for (query, want, gap_from) in cases {
        let mut stream = client.stream(&format!("{STREAM}?{query}")).await;
        assert_eq!(stream.next().await.event, "ready");
        let (sent, gaps) = until_quiet(&mut stream, 10).await;
        assert_eq!(sent, want, "{query}");
        let gap = gap_from.map(|from| json!({"fromCursor": from, "toCursor": 10}));
        assert_eq!(gaps, Vec::from_iter(gap), "{query}");
    }
    let mut stream = client.stream(&format!("{STREAM}?limit=1")).await;
    assert_eq!(stream.next_of("gap").await.id, None);
    order(&client, "Nova", "main").await;
    assert_eq!(ids(&mut stream, 2).await, [11, 12], "live after the gap");
}

/// The events and gaps before a heartbeat with a cursor of at least `head`.
async fn until_quiet(stream: &mut SseStream, head: u64) -> (Vec<u64>, Vec<Value>) {
    let (mut sent, mut gaps) = (Vec::new(), Vec::new());
    loop {
        let frame = stream.next().await;
        match frame.event.as_str() {
            "heartbeat" if frame.data["cursor"] == head => return (sent, gaps),
            "heartbeat" => {}
            "gap" => gaps.push(frame.data),
            _ => sent.extend(frame.id),
        }
    }
}

/// A client that returns with it misses nothing.
#[tokio::test]
async fn stream_heartbeat_cursor_moves_past_filtered_events() {
    let server = launch().env("API_STREAM_HEARTBEAT_MS", 50).start().await;
    let client = server.client();
    let mut stream = client.stream(&format!("{STREAM}?roomId=attic")).await;
    let first = stream.next_of("heartbeat").await;
    assert_eq!((first.id, &first.data["cursor"]), (None, &json!(0)));
    assert!(first.data["ts"].as_i64().unwrap() > 1_700_000_000_000, "epoch milliseconds: {first:?}");
    for _ in 0..3 {
        order(&client, "Nova", "main").await;
    }
    let cursor = loop {
        let beat = stream.next_of("heartbeat").await;
        if beat.data["cursor"] == 6 {
            break 6;
        }
    };
    order(&client, "Nova", "attic").await;
    assert_eq!(ids(&mut stream, 1).await, [cursor + 1]);
    let mut resumed = client.stream(&format!("{STREAM}?roomId=attic&cursor={cursor}")).await;
    assert_eq!(ids(&mut resumed, 1).await, [cursor + 1]);
}

/// A stream that ends makes room for another. A limit of 0 allows none.
#[tokio::test]
async fn stream_over_the_limit_is_503_with_retry_after() {
    let server = launch().env("API_STREAM_MAX_CLIENTS", 2).start().await;
    let client = Client::new(server.address());
    let first = client.stream(STREAM).await;
    let _second = client.stream("/v1/events/stream").await;
    let refused = client.request(Method::GET, STREAM).stream().await.unwrap_err();
    let _ = refused.error(503, "ERR_UNAVAILABLE");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(client.get("/v1/events").await.status, 200, "everything else works");
    drop(first);
    let _ = client.request(Method::HEAD, STREAM).send().await;
    eventually("a stream is available again", Duration::from_secs(60), async || {
        client.request(Method::GET, STREAM).stream().await.ok()
    })
    .await;
    let none = launch().env("API_STREAM_MAX_CLIENTS", 0).start().await;
    let refused = none.client().request(Method::GET, STREAM).stream().await.unwrap_err();
    let _ = refused.error(503, "ERR_UNAVAILABLE");
}
