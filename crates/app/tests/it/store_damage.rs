//! A damaged store: readers learn which events are damaged, `verify` names them, and nothing is written to files that are gone.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agentcafe_testkit::{Client, Postgres, Receiver, Redis, Server, eventually, json};

use crate::background_load::head_of_log;
use crate::projector::{CURSOR, launch_projector};
use crate::realtime::{launch_realtime, wait_until_received};
use crate::store_full::assert_not_ready;
use crate::webhook_subscriptions::subscribe;
use crate::websocket_client::Socket;
use crate::{launch, order};

const DEADLINE: Duration = Duration::from_secs(30);
const MARK: &str = "pl4nted-before-the-damage";

/// Says something between ten other events, and returns its sequence.
async fn say_between(client: &Client) -> u64 {
    for _ in 0..5 {
        order(client, "Nova", "main").await;
    }
    let said = client.act("/v1/commands/say", json!({ "actorId": "Nova", "text": MARK })).await;
    for _ in 0..5 {
        order(client, "Nova", "main").await;
    }
    said.data()["sequence"].as_u64().unwrap()
}

/// Checks that every way to read the log says that this event is damaged, and shows all others.
async fn assert_damage_is_told(server: &Server, damaged: u64) {
    let client = server.client();
    let head = client.get("/v1/bootstrap").await.data()["head"].as_u64().unwrap();
    let range = json!({ "fromCursor": damaged - 1, "toCursor": damaged });
    for path in ["/v1/events?limit=1000", "/v1/events?roomId=main", "/v1/timeline?order=desc&limit=1000"] {
        let details = client.get(path).await.error(500, "ERR_DATA_LOSS").clone();
        assert_eq!(
            (&details["fromCursor"], &details["toCursor"]),
            (&range["fromCursor"], &range["toCursor"])
        );
    }
    let poll = async |cursor: u64| client.get(&format!("/v1/events/poll?cursor={cursor}&timeoutMs=0")).await;
    let first = poll(0).await;
    assert_eq!(
        (first.data()["count"].as_u64(), &first.data()["nextCursor"]),
        (Some(damaged - 1), &json!(damaged - 1))
    );
    let details = poll(damaged - 1).await.error(500, "ERR_DATA_LOSS").clone();
    assert_eq!(details["toCursor"], damaged);
    assert_eq!(poll(damaged).await.data()["events"][0]["sequence"], damaged + 1);

    let mut seen = Vec::new();
    let mut stream = client.stream("/v1/streams/market-events?cursor=0").await;
    let mut socket = Socket::open(server.address(), "/v1/ws?cursor=0", &[]).await.unwrap();
    let mut gaps = 0;
    while seen.len() + gaps < usize::try_from(head).unwrap() {
        let frame = stream.next().await;
        if frame.event == "gap" {
            assert_eq!(
                frame.data,
                json!({ "fromCursor": damaged - 1, "toCursor": damaged, "damaged": true })
            );
            assert_eq!(seen.last(), Some(&(damaged - 1)), "the gap comes in its place");
            gaps += 1;
        }
        seen.extend(frame.id);
    }
    assert_eq!((seen.len() as u64, gaps), (head - 1, 1));
    loop {
        let frame = socket.next().await;
        if frame.event == "gap" {
            assert_eq!(frame.data["damaged"], true);
            break;
        }
        assert!(frame.id.is_none_or(|id| id < damaged), "{frame:?}");
    }
}

/// What `verify` prints of a store, which it says is damaged.
fn verify(variable: &str, value: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_agentcafe"))
        .arg("verify")
        .env_remove("DATABASE_URL")
        .env(variable, value)
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

/// A server whose log has one damaged event among others; and the sequence of that event.
async fn server_with_a_damaged_event(prepare: impl AsyncFnOnce(&Client)) -> (Server, u64) {
    let mut server = launch().start().await;
    prepare(&server.client()).await;
    let damaged = say_between(&server.client()).await;
    assert!(server.stop().await.success());
    overwrite(server.data_dir(), |bytes, at| bytes[at] ^= 1);
    (server, damaged)
}

/// Changes bytes of a database file where it holds a text.
fn overwrite(directory: &Path, change: impl FnOnce(&mut [u8], usize)) {
    let file = directory.join("agentcafe.db");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(MARK.len()).position(|window| window == MARK.as_bytes()).expect("the event's row");
    change(&mut bytes, at);
    fs::write(file, bytes).unwrap();
}

/// Damaged pages went unnoticed, or left events out of a 200. Kind: stored bytes that are not those that were written. Others: a
/// row with the content of another, rows that the database cannot read (below), PostgreSQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_with_a_flipped_bit_in_an_event_says_which_one() {
    let (mut server, damaged) = server_with_a_damaged_event(async |_| ()).await;
    server.restart().await;
    assert_damage_is_told(&server, damaged).await;
    let said = verify("AGENTCAFE_DATA_DIR", server.data_dir().to_str().unwrap());
    assert!(said.contains(&format!("event {damaged}: ")) && said.matches("event ").count() == 1, "{said}");
}

/// A page that the database cannot read at all: the events on it are told as damaged, the others are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_with_an_unreadable_page_says_which_events_are_on_it() {
    const PAGE: usize = 8_192;
    let mut server = launch().start().await;
    let client = server.client();
    for _ in 0..40 {
        order(&client, "Nova", "main").await;
    }
    let damaged = say_between(&client).await;
    for _ in 0..40 {
        order(&client, "Nova", "main").await;
    }
    assert!(server.stop().await.success());
    overwrite(server.data_dir(), |bytes, at| bytes[at / PAGE * PAGE..][..64].fill(0xaa));
    server.restart().await;
    let client = server.client();
    let head = client.get("/v1/bootstrap").await.data()["head"].as_u64().unwrap();
    let _ = client.get("/v1/events?limit=1000").await.error(500, "ERR_DATA_LOSS");
    let mut stream = client.stream("/v1/streams/market-events?cursor=0&roomId=main").await;
    let (mut last, mut lost) = (0, Vec::new());
    while last < head {
        let frame = stream.next().await;
        if frame.event == "gap" {
            let [from, to] = ["fromCursor", "toCursor"].map(|name| frame.data[name].as_u64().unwrap());
            assert!(from >= last && frame.data["damaged"] == true, "{frame:?}");
            lost.extend(from + 1..=to);
            last = to;
        }
        if let Some(id) = frame.id {
            assert_eq!(id, last + 1, "an event is left out");
            last = id;
        }
    }
    assert!(lost.contains(&damaged) && lost.len() < 40, "{lost:?}");
    let said = verify("AGENTCAFE_DATA_DIR", server.data_dir().to_str().unwrap());
    assert!(said.contains("are damaged"), "{said}");
}

/// The same in PostgreSQL, where the row has the content of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_row_with_the_content_of_another_is_told_as_damaged() {
    let url = Postgres::shared().database();
    let mut server = launch().data_dir("/nowhere").env("DATABASE_URL", &url).start().await;
    let damaged = say_between(&server.client()).await;
    let swap = format!(
        "UPDATE events SET json = (SELECT json FROM events WHERE sequence = {0} - 1) WHERE sequence = {0} RETURNING 1",
        damaged
    );
    let _ = Postgres::query(&url, &swap);
    server.restart().await;
    assert_damage_is_told(&server, damaged).await;
    let said = verify("DATABASE_URL", &url);
    assert!(said.contains(&format!("event {damaged}: ")), "{said}");
}

/// Says were acknowledged and lost, and the server was ready. Kind: a server that does not notice that it cannot keep what it
/// acknowledges. Others: a deleted write-ahead log, a database that was replaced, a table that is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_without_its_files_refuses_says_and_is_not_ready() {
    type Loss = fn(&Path);
    let losses: [(&str, Loss); 4] = [
        ("deleted", |directory| fs::remove_file(directory.join("agentcafe.db")).unwrap()),
        ("without WAL", |directory| fs::remove_file(directory.join("agentcafe.db-wal")).unwrap()),
        ("replaced", |directory| {
            let file = directory.join("agentcafe.db");
            fs::copy(&file, directory.join("copy")).unwrap();
            fs::rename(directory.join("copy"), file).unwrap();
        }),
        ("tampered with", |directory| {
            let connection = rusqlite::Connection::open(directory.join("agentcafe.db")).unwrap();
            connection.execute_batch("ALTER TABLE events RENAME TO gone").unwrap();
        }),
    ];
    for (name, lose) in losses {
        let mut server = launch().start().await;
        let client = server.client();
        order(&client, "Nova", "main").await;
        lose(server.data_dir());
        let said = client.act("/v1/commands/say", json!({ "actorId": "Nova", "text": name })).await;
        let _ = said.error(503, "ERR_UNAVAILABLE");
        assert_not_ready(&client).await;
        server.kill();
    }
}

/// A commit that failed is no longer counted when nothing fails for a while: a server without requests gets them again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_is_ready_again_after_a_failed_commit() {
    let server = launch().start().await;
    let client = server.client();
    order(&client, "Nova", "main").await;
    let rename = |sql: &str| {
        let connection = rusqlite::Connection::open(server.data_dir().join("agentcafe.db")).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    rename("ALTER TABLE events RENAME TO gone");
    let said = client.act("/v1/commands/say", json!({ "actorId": "Nova", "text": "x" })).await;
    let _ = said.error(503, "ERR_UNAVAILABLE");
    rename("ALTER TABLE gone RENAME TO events");
    assert_not_ready(&client).await;
    let ready = async || (client.get("/readyz").await.status == 200).then_some(());
    eventually("ready again", DEADLINE, ready).await;
}

/// Kind: a copy of the log that hides what its source lacks. A room in the memory of realtime went on as if nothing was missing.
/// Others: the read models of the projector, which go on behind the damage; webhooks (below).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_damage_is_told_by_realtime_and_passed_by_the_projector() {
    let (mut server, damaged) = server_with_a_damaged_event(async |_| ()).await;
    server.restart().await;
    let client = server.client();
    let (head, redis) = (head_of_log(&client).await, Redis::start());
    let projector = launch_projector(&server, &redis).start().await;
    let realtime = launch_realtime(&server).start().await;
    let passed = head.to_string();
    let caught_up = async || (redis.ask(&["GET", CURSOR]) == passed).then_some(());
    eventually("the projector passes the damage", DEADLINE, caught_up).await;
    assert_eq!(projector.log().matches("events are damaged").count(), 1, "{}", projector.log());
    wait_until_received(&realtime.client(), head).await;

    let gap = json!({ "fromCursor": damaged - 1, "toCursor": damaged, "damaged": true });
    let mut stream = client.clone().at(realtime.address()).stream("/v1/stream?roomId=main&cursor=1").await;
    let mut socket = Socket::open(realtime.address(), "/v1/ws?roomId=main&cursor=1", &[]).await.unwrap();
    let (mut of_stream, mut of_socket) = (Vec::new(), Vec::new());
    for (frames, over_socket) in [(&mut of_stream, false), (&mut of_socket, true)] {
        let mut last = 1;
        while last < head {
            let frame = if over_socket { socket.next().await } else { stream.next().await };
            if frame.event == "gap" {
                assert_eq!((last, &frame.data), (damaged - 1, &gap), "the gap comes in its place");
                last = damaged;
            }
            if let Some(id) = frame.id {
                assert_eq!(id, last + 1, "an event is left out");
                last = id;
                frames.push(id);
            }
        }
    }
    assert_eq!((of_stream.len() as u64, &of_socket), (head - 2, &of_stream));
    // What happens from now on arrives as ever.
    order(&client, "Nova", "main").await;
    assert_eq!(stream.next_event().await.id, Some(head + 1));
    assert_eq!(realtime.log().matches("the source skipped events").count(), 1, "{}", realtime.log());
}

/// A webhook that is behind the damage gets what follows it; what it does not get is logged, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_damage_is_logged_and_passed_by_webhooks() {
    let receiver = Receiver::start().await;
    let (mut server, damaged) = server_with_a_damaged_event(async |client| {
        subscribe(client, json!({ "targetUrl": receiver.url("/hook") })).await;
    })
    .await;
    let before = receiver.received("/hook").len();
    let connection = rusqlite::Connection::open(server.data_dir().join("agentcafe.db")).unwrap();
    let back = "UPDATE webhook_progress SET json = CAST(json_set(CAST(json AS TEXT), '$.cursor', 0) AS BLOB)";
    assert_eq!(connection.execute(back, []).unwrap(), 1);
    drop(connection);
    server.restart().await;
    let head = head_of_log(&server.client()).await;
    let others = usize::try_from(head - 1).unwrap();
    let received = receiver.wait("/hook", before + others).await;
    let sequences = received[before..].iter().map(|request| request.event()["sequence"].as_u64().unwrap());
    assert_eq!(sequences.collect::<Vec<_>>(), (1..=head).filter(|at| *at != damaged).collect::<Vec<_>>());
    order(&server.client(), "Nova", "main").await;
    receiver.wait("/hook", before + others + 1).await;
    assert_eq!(server.log().matches("a webhook does not get events").count(), 1, "{}", server.log());
}
