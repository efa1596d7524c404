//! `agentcafe realtime`: the frames of a room's stream, access, and health.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::time::Duration;

use agentcafe_domain::kernel::{Event, RoomId, TenantId};
use agentcafe_domain::projection::RoomProjection;
use agentcafe_testkit::{
    Client, Frame, Launch, Method, Server, Silence, SseStream, Value, eventually, json, steady_port,
};
use tokio::task::JoinSet;

use crate::websocket_client::Socket;
use crate::{launch, log, order, say_in};

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A realtime service that follows this API.
pub(crate) fn launch_realtime(api: &Server) -> Launch {
    let source = format!("{}/v1/streams/market-events", api.url());
    launch()
        .subcommand("realtime")
        .env("REALTIME_HOST", "127.0.0.1")
        .env("REALTIME_PORT", 0)
        .env("REALTIME_SOURCE_RECONNECT_MS", 100)
        .env("REALTIME_EVENT_SOURCE_URL", source)
}

/// Waits until the service has received all events of the API.
pub(crate) async fn wait_until_caught_up(realtime: &Server, api: &Client) {
    let head = log(api).await.last().and_then(|event| event["sequence"].as_u64()).unwrap_or(0);
    wait_until_received(&api.clone().at(realtime.address()), head).await;
}

/// Waits until the service has received all events up to this one.
pub(crate) async fn wait_until_received(client: &Client, head: u64) {
    eventually("realtime has received all events", DEADLINE, async || {
        let health = client.get("/healthz").await;
        (health.json["source"]["lastCursor"].as_u64() >= Some(head)).then_some(())
    })
    .await;
}

/// The first frames of a stream: the snapshot, the gap if there is one, the events, and `ready`.
pub(crate) async fn read_until_ready(stream: &mut SseStream) -> (Value, Option<Value>, Vec<Value>, Value) {
    let first = stream.next().await;
    assert_eq!((first.event.as_str(), first.id), ("snapshot", None));
    let (mut gap, mut events) = (None, Vec::new());
    loop {
        let Frame { id, event, data } = stream.next().await;
        match (event.as_str(), id) {
            ("gap", None) => gap = Some(data),
            ("ready", None) => return (first.data, gap, events, data),
            (kind, Some(id)) => {
                assert_eq!((&data["sequence"], &data["type"]), (&json!(id), &json!(kind)));
                events.push(data);
            }
            (other, None) => panic!("unexpected frame {other}: {data}"),
        }
    }
}

pub(crate) fn sequences(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["sequence"].as_u64()).collect()
}

pub(crate) async fn of_room(api: &Client, query: &str) -> Vec<Value> {
    let page = api.get(&format!("/v1/events?limit=5000&{query}")).await;
    page.data()["events"].as_array().cloned().unwrap_or_default()
}

/// The projection of a list of events.
fn project(events: &[Value]) -> Value {
    let mut projection = RoomProjection::new(TenantId::default(), RoomId::main());
    for event in events {
        let event: Event = serde_json::from_value(event.clone()).unwrap();
        projection.apply(&event);
    }
    json!(projection.snapshot())
}

/// And heartbeats.
/// A client with the default limits of common libraries (1 MiB a message) can read any room: a larger state is left out, unless it
/// is requested.
#[tokio::test]
async fn realtime_websocket_leaves_out_a_state_over_one_mebibyte() {
    let api = launch().start().await;
    let realtime = launch_realtime(&api).start().await;
    let content = "x".repeat(60 << 10);
    for number in 0..20 {
        let data = json!({ "note": content });
        let body = json!({ "actorId": "Nova", "objectType": "note", "objectKey": format!("note {number}"), "data": data });
        let answer = api.client().act("/v1/objects", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    wait_until_caught_up(&realtime, &api.client()).await;
    let snapshot = async |query: &str| {
        let mut socket =
            Socket::open(realtime.address(), &format!("/v1/ws?limit=1{query}"), &[]).await.unwrap();
        let message = socket.message().await.unwrap().into_text().unwrap();
        let frame: Value = serde_json::from_str(&message).unwrap();
        assert_eq!(frame["event"], "snapshot");
        (message.len(), frame["data"].clone())
    };
    let (whole, data) = snapshot("&state=true").await;
    assert!(whole > 1 << 20 && data["state"].is_object() && data.get("omittedStateBytes").is_none());
    for query in ["", "&state=false"] {
        let (length, data) = snapshot(query).await;
        assert!(length < 1 << 10, "{length}");
        assert!(data["state"].is_null() && data["omittedStateBytes"].as_u64() > Some(1_000_000), "{data}");
    }
    let mut stream = realtime.client().stream("/v1/stream?limit=1").await;
    assert!(
        read_until_ready(&mut stream).await.0["state"].is_object(),
        "server-sent events have no such limit"
    );
}

#[tokio::test]
async fn realtime_stream_sends_snapshot_backlog_ready_and_live_events() {
    let api = launch().start().await;
    let client = api.client();
    for (actor, room) in [("Nova", "main"), ("Kai", "attic"), ("Kai", "main")] {
        order(&client, actor, room).await;
    }
    let realtime = launch_realtime(&api).env("REALTIME_HEARTBEAT_MS", 40).start().await;
    wait_until_caught_up(&realtime, &client).await;
    let request = realtime.client().request(Method::GET, "/v1/stream?actorId=%20&types=");
    let mut stream = request.header("x-request-id", "r1").stream().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert_eq!(stream.headers()["cache-control"], "no-cache, no-transform");
    assert_eq!(stream.headers()["x-request-id"], "r1");
    let (mut snapshot, gap, events, ready) = read_until_ready(&mut stream).await;
    let main = of_room(&client, "tenantId=default&roomId=main").await;
    assert_eq!(snapshot["state"].take(), project(&main));
    let want = json!({"tenantId": "default", "roomId": "main", "actorId": null, "types": [], "lastCursor": 6, "sourceConnected": true, "state": null});
    assert_eq!(snapshot, want);
    assert_eq!((gap, &events), (None, &main), "byte for byte what the API has");
    let log_id = client.get("/v1/bootstrap").await.data()["logId"].clone();
    let want = json!({"tenantId": "default", "roomId": "main", "replayed": 4, "requestId": "r1",
                      "head": 6, "logId": log_id, "lastEventIdIgnored": false});
    assert_eq!(ready, want);
    let beat = stream.next_of("heartbeat").await;
    assert_eq!((beat.id, &beat.data["cursor"]), (None, &json!(6)));
    order(&client, "Kai", "attic").await;
    order(&client, "Kai", "main").await;
    assert_eq!([stream.next_event().await.id, stream.next_event().await.id], [Some(9), Some(10)]);
    let (snapshot, _, events, _) =
        read_until_ready(&mut realtime.client().stream("/v1/stream?roomId=nowhere").await).await;
    assert_eq!((snapshot["state"]["actors"].clone(), events.len()), (json!([]), 0));
}

/// The API's `GET /v1/replay` shows the same room.
#[tokio::test]
async fn realtime_snapshot_plus_later_events_equal_the_rooms_replay() {
    let api = launch().start().await;
    let client = api.client();
    let realtime = launch_realtime(&api).start().await;
    let speaking = tokio::spawn({
        let client = client.clone();
        async move {
            for number in 0..120 {
                say_in(&client, "main", &format!("number {number} for @Kai")).await;
            }
        }
    });
    let enough = async || (of_room(&client, "roomId=main").await.len() > 40).then_some(());
    eventually("something was said", DEADLINE, enough).await;
    let mut listening = JoinSet::new();
    for _ in 0..4 {
        let realtime = realtime.client();
        listening.spawn(async move {
            let mut stream = realtime.stream("/v1/stream?cursor=latest").await;
            let (snapshot, gap, replayed, _) = read_until_ready(&mut stream).await;
            assert_eq!((gap, replayed.len()), (None, 0));
            let mut deltas = Vec::new();
            while deltas.last().is_none_or(|event: &Value| !event.to_string().contains("number 119 ")) {
                deltas.push(stream.next_event().await.data);
            }
            (snapshot, deltas)
        });
    }
    let received = listening.join_all().await;
    speaking.await.unwrap();
    let all = of_room(&client, "roomId=main").await;
    for (snapshot, deltas) in received {
        let cursor = snapshot["lastCursor"].as_u64().unwrap();
        let (before, after): (Vec<_>, Vec<_>) =
            all.iter().cloned().partition(|event| event["sequence"].as_u64().unwrap() <= cursor);
        assert_eq!(snapshot["state"], project(&before));
        assert_eq!(deltas[..], after[..deltas.len()]);
    }
    wait_until_caught_up(&realtime, &client).await;
    let (snapshot, ..) = read_until_ready(&mut realtime.client().stream("/v1/stream").await).await;
    let replay = client.get("/v1/replay?minutes=120").await;
    assert_eq!(snapshot["state"], without_themes(replay.data()["snapshot"].clone()));
}

/// A replay has the actors' themes, too.
fn without_themes(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            members.remove("theme");
            members.remove("conversationContext");
            members.values_mut().for_each(|member| *member = without_themes(member.take()));
        }
        Value::Array(members) => {
            members.iter_mut().for_each(|member| *member = without_themes(member.take()))
        }
        _ => {}
    }
    value
}

/// Filters; the newest `limit` events after a `gap`; everything after a cursor or `Last-Event-ID`, from memory or
/// from the API.
#[tokio::test]
async fn realtime_backlog_is_complete_or_starts_with_a_gap() {
    let api = launch().start().await;
    let client = api.client();
    for number in 0..200 {
        order(
            &client,
            if number % 4 == 0 { "Kai" } else { "Nova" },
            if number % 5 == 0 { "attic" } else { "main" },
        )
        .await;
    }
    for history in [500, 3] {
        let realtime = launch_realtime(&api).env("REALTIME_ROOM_HISTORY_LIMIT", history).start().await;
        wait_until_caught_up(&realtime, &client).await;
        for (query, last_event_id, newest) in [
            ("", None, 300),
            ("limit=7", None, 7),
            ("limit=2000", None, 1_000),
            ("actorId=Kai", None, 300),
            ("actorId=Kai&limit=5&types=order_changed", None, 5),
            ("types=unheard-of", None, 300),
            ("roomId=attic&limit=2", None, 2),
            ("cursor=3", None, usize::MAX),
            ("cursor=0", None, 300),
            ("cursor=3&limit=4", None, 4),
            ("roomId=attic", Some("5"), usize::MAX),
            ("cursor=390", Some("395"), usize::MAX),
            ("tenantId=acme", None, 300),
        ] {
            let request = realtime.client().request(Method::GET, &format!("/v1/stream?{query}"));
            let request =
                last_event_id.into_iter().fold(request, |request, id| request.header("last-event-id", id));
            let mut stream = request.stream().await.unwrap();
            let (_, gap, events, ready) = read_until_ready(&mut stream).await;
            let filters: Vec<&str> = query
                .split('&')
                .filter(|part| !part.starts_with("limit") && !part.starts_with("cursor"))
                .collect();
            let room = if query.contains("roomId") { "" } else { "&roomId=main" };
            let cursor = query.split('&').find_map(|part| part.strip_prefix("cursor=")).unwrap_or("0");
            let cursor =
                cursor.parse::<u64>().unwrap().max(last_event_id.map_or(0, |id| id.parse().unwrap()));
            let mut want = of_room(&client, &format!("cursor={cursor}&{}{room}", filters.join("&"))).await;
            let left_out = want.len().saturating_sub(newest);
            let skipped = want.drain(..left_out).next_back();
            assert_eq!(sequences(&events), sequences(&want), "{history}: {query} {last_event_id:?}");
            assert_eq!(events, want, "{history}: {query} {last_event_id:?}");
            assert_eq!(ready["replayed"], want.len(), "{history}: {query}");
            let want = skipped.map(|event| json!({"fromCursor": cursor, "toCursor": event["sequence"]}));
            assert_eq!(gap, want, "{history}: {query}");
        }
    }
}

/// Rooms in memory are bounded. Room names that do not exist cost nothing.
#[tokio::test]
async fn realtime_reads_evicted_rooms_again() {
    let api = launch().start().await;
    let client = api.client();
    let realtime = launch_realtime(&api)
        .env("REALTIME_MAX_ROOMS", 3)
        .env("REALTIME_ROOM_HISTORY_LIMIT", 8)
        .start()
        .await;
    for round in 0..4 {
        for room in 0..12 {
            order(&client, &format!("actor-{round}"), &format!("room-{room}")).await;
        }
    }
    wait_until_caught_up(&realtime, &client).await;
    for room in [0, 5, 11, 0, 3] {
        let path = format!("/v1/stream?roomId=room-{room}&limit=5");
        let mut stream = realtime.client().stream(&path).await;
        let (snapshot, gap, events, _) = read_until_ready(&mut stream).await;
        let all = of_room(&client, &format!("roomId=room-{room}")).await;
        let ordered = all.iter().filter(|event| event["type"] == "order_changed").count();
        let shown = snapshot["state"]["orders"].as_array().unwrap();
        assert_eq!(
            (shown.len(), &snapshot["state"]["lastEventId"]),
            (ordered, &all[all.len() - 1]["eventId"]),
            "{room}"
        );
        assert_eq!((sequences(&events), gap.is_some()), (sequences(&all[all.len() - 5..]), true), "{room}");
        for room in [room, 7, 8, 9, 10] {
            order(&client, "late", &format!("room-{room}")).await;
        }
        assert_eq!(stream.next_event().await.data["actorId"], "late");
        wait_until_caught_up(&realtime, &client).await;
    }
    let (snapshot, _, events, _) =
        read_until_ready(&mut realtime.client().stream("/v1/stream?roomId=nowhere").await).await;
    assert_eq!((&snapshot["state"]["actors"], events.len()), (&json!([]), 0));
}

/// Probes need none. Unknown paths, wrong parameters and too many clients are errors of the catalogue.
#[tokio::test]
async fn realtime_requires_the_api_token() {
    let api = launch().env("API_AUTH_TOKEN", "secret").start().await;
    let realtime =
        launch_realtime(&api).env("API_AUTH_TOKEN", "secret").env("REALTIME_MAX_CLIENTS", 1).start().await;
    let outside = realtime.client();
    for (path, want) in
        [("/healthz", 200), ("/livez", 200), ("/readyz", 200), ("/metrics", 401), ("/nowhere", 401)]
    {
        assert_eq!(outside.get(path).await.status, want, "{path}");
    }
    let refused = outside.request(Method::GET, "/v1/stream").stream().await.unwrap_err();
    assert_eq!(
        refused.error(401, "ERR_FORBIDDEN")["auth"],
        json!({"header": "x-api-key", "query": "apiKey"})
    );
    assert_eq!(Socket::open(realtime.address(), "/v1/ws?apiKey=no", &[]).await.map(drop), Err(Some(401)));
    let inside = outside.with_header("authorization", "Bearer secret");
    let details = inside.get("/v1/events").await;
    assert_eq!(details.error(404, "ERR_UNSUPPORTED_ACTION"), &json!({"method": "GET", "path": "/v1/events"}));
    let posted = inside.act("/v1/stream", json!({})).await;
    let _ = posted.error(404, "ERR_UNSUPPORTED_ACTION");
    assert!(inside.get("/metrics").await.text.contains("agentcafe_realtime_source_connected 1"));
    for query in ["cursor=abc", "limit=1.5", "roomId=%01"] {
        let refused = inside.request(Method::GET, &format!("/v1/stream?{query}")).stream().await.unwrap_err();
        let _ = refused.error(400, "ERR_VALIDATION");
    }
    let first = realtime.client().stream("/v1/stream?apiKey=secret").await;
    let refused = inside.request(Method::GET, "/v1/stream").stream().await.unwrap_err();
    let _ = refused.error(503, "ERR_UNAVAILABLE");
    assert!(refused.header("retry-after").is_some());
    let health = inside.get("/healthz").await.json;
    assert_eq!((&health["rooms"], &health["clients"]), (&json!(1), &json!(1)));
    drop(first);
    eventually("the stream is closed", DEADLINE, async || {
        Socket::open(realtime.address(), "/v1/ws?apiKey=secret", &[]).await.ok()
    })
    .await;
}

#[tokio::test]
async fn realtime_websocket_has_the_frames_of_the_stream() {
    let api = launch().start().await;
    let realtime = launch_realtime(&api).start().await;
    let client = api.client();
    for _ in 0..3 {
        say_in(&client, "main", "hello").await;
    }
    wait_until_caught_up(&realtime, &client).await;
    for query in ["", "limit=2", "cursor=2&types=conversation_message_posted"] {
        let mut stream = realtime.client().stream(&format!("/v1/stream?{query}")).await;
        let path = format!("/v1/ws?{query}");
        let mut socket = Socket::open(realtime.address(), &path, &[]).await.expect("it opens");
        loop {
            let (mut want, mut said) = (stream.next().await, socket.next().await);
            if want.event == "ready" {
                assert_ne!(want.data["requestId"].take(), said.data["requestId"].take());
                assert_eq!(said, want);
                break;
            }
            assert_eq!(said, want, "{query}");
        }
    }
}

/// `/healthz` is 200 with the reason, `/readyz` is 503.
#[tokio::test]
async fn realtime_health_reports_a_source_that_is_down() {
    let port = steady_port();
    let mut api = launch().env("API_PORT", port).start().await;
    order(&api.client(), "Nova", "main").await;
    let realtime = launch_realtime(&api).start().await;
    let client = realtime.client();
    wait_until_caught_up(&realtime, &api.client()).await;
    let mut health = client.get("/healthz").await.json;
    let at = health["source"]["lastEventAt"].take();
    assert_eq!(at, log(&api.client()).await[1]["timestamp"]);
    assert!(health["time"].is_string());
    health["time"] = json!(null);
    let want = json!({
        "ok": true, "service": "agentcafe-realtime", "time": null, "degraded": false, "rooms": 0, "clients": 0,
        "replayStore": {"enabled": false, "reason": "REDIS_URL is not set"},
        "source": {"connected": true, "reconnects": 0, "lastCursor": 2, "lastEventAt": null, "lastError": null},
    });
    assert_eq!(health, want);
    api.kill();
    let down = eventually("the loss is detected", DEADLINE, async || {
        let health = client.get("/healthz").await.json;
        (health["degraded"] == true).then_some(health)
    })
    .await;
    assert_eq!((&down["ok"], &down["source"]["connected"]), (&json!(true), &json!(false)));
    assert!(down["source"]["lastError"].is_string(), "{down}");
    let not_ready = client.get("/readyz").await;
    assert!(not_ready.error(503, "ERR_UNAVAILABLE")["reasons"][0].as_str().unwrap().contains("source"));
    let (snapshot, _, events, _) = read_until_ready(&mut client.stream("/v1/stream").await).await;
    assert_eq!((&snapshot["sourceConnected"], events.len()), (&json!(false), 2), "the known events are sent");
    api.restart().await;
    eventually("it is ready again", DEADLINE, async || {
        (client.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(client.get("/healthz").await.json["source"]["reconnects"], 1);
}

/// A client with a cursor stays connected, and gets the events after its cursor when the source is there.
#[tokio::test]
async fn realtime_without_a_source_is_503_for_new_clients() {
    let port = steady_port();
    let api = launch().env("API_PORT", port);
    let mut first = api.clone().start().await;
    for _ in 0..3 {
        order(&first.client(), "Nova", "main").await;
    }
    let stopped = launch_realtime(&first);
    first.kill();
    let realtime = stopped.start_listening().await;
    let client = realtime.client();
    let (fresh, resumed) = tokio::join!(
        client.request(Method::GET, "/v1/stream").stream(),
        client.request(Method::GET, "/v1/stream").header("last-event-id", "4").stream()
    );
    let _ = fresh.unwrap_err().error(503, "ERR_UNAVAILABLE");
    let mut resumed = resumed.unwrap();
    let (snapshot, gap, events, _) = read_until_ready(&mut resumed).await;
    assert_eq!((&snapshot["state"], &snapshot["sourceConnected"]), (&json!(null), &json!(false)));
    assert_eq!((gap, events), (None, Vec::new()));
    first.restart().await;
    assert_eq!([resumed.next_event().await.id, resumed.next_event().await.id], [Some(5), Some(6)]);
}

/// If `REALTIME_PORT` is set. It follows the API of the same process, with its token.
#[tokio::test]
async fn realtime_runs_inside_serve() {
    let mut api = launch()
        .env("REALTIME_PORT", 0)
        .env("REALTIME_HOST", "127.0.0.1")
        .env("API_AUTH_TOKEN", "t")
        .start()
        .await;
    let address = eventually("it logs its address", DEADLINE, async || {
        let log = api.log();
        let (_, address) = log.split_once("realtime at http://")?;
        let (line, _) = address.split_once('\n')?;
        line.split_whitespace().next()?.parse().ok()
    })
    .await;
    let realtime = Client::new(address).with_header("x-api-key", "t");
    let client = api.client().with_header("x-api-key", "t");
    order(&client, "Nova", "main").await;
    let mut stream = realtime.stream("/v1/stream?cursor=1").await;
    assert_eq!(stream.next_event().await.id, Some(2));
    order(&client, "Nova", "main").await;
    assert_eq!(stream.next_event().await.id, Some(3));
    assert!(api.stop().await.success(), "{}", api.log());
    let end = loop {
        if let Err(end) = stream.next_within(DEADLINE).await {
            break end;
        }
    };
    assert_eq!(end, Silence::Ended);
}
