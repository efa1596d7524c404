//! An import checks the content of a file whose SHA-256 is right, and a server reads whatever payloads it lets in.

use std::fs;

use sha2::{Digest, Sha256};

use super::broken::{fails, sample};
use super::*;
use crate::monitoring::documented;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../domain/tests/golden");

/// These lines with the counts and the SHA-256 that an export of them has in its last line.
fn forged(lines: &[String]) -> String {
    let time = lines[0].split_once("\"exportedAt\":\"").and_then(|(_, rest)| rest.split_once('"')).unwrap().0;
    let mut digest = Sha256::new();
    digest.update(lines[0].replace(time, "1970-01-01T00:00:00.000Z") + "\n");
    lines[1..].iter().for_each(|line| digest.update(format!("{line}\n")));
    let sha256: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let count = |kind: &str| lines.iter().filter(|line| line.starts_with(&format!("{{\"{kind}\":"))).count();
    let end =
        json!({"events": count("event"), "records": count("record"), "keys": count("key"), "sha256": sha256});
    format!("{}\n{}\n", lines.join("\n"), json!({ "end": end }))
}

/// The lines of an export but the last.
fn content(text: &str) -> Vec<String> {
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.pop();
    lines
}

/// A log that ends beyond the numbers of the database, or of JSON parsers, takes no more events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_refuses_heads_that_no_log_has() {
    let lines = content(&sample().await);
    let directory = TempDir::new().unwrap();
    let with = |name: &str, head: &str| {
        let (before, rest) = lines[0].split_once(&format!("\"{name}\":")).unwrap();
        let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
        let mut lines = lines.clone();
        lines[0] = format!("{before}\"{name}\":{head}{rest}");
        forged(&lines)
    };
    for name in ["head", "inboxHead", "auditHead"] {
        for head in ["18446744073709551615", "9223372036854775807", "9007199254740992"] {
            fails(
                directory.path(),
                &with(name, head),
                &["line 1: a head is at most 9007199254740991; nothing"],
            );
        }
        for head in ["18446744073709551616", "-1", "6.5", "null"] {
            fails(directory.path(), &with(name, head), &["line 1: ", "nothing was imported"]);
        }
    }
    fails(directory.path(), &with("head", "2"), &["line 4: ", "up to the head 2"]);
    fails(directory.path(), &with("inboxHead", "1"), &["larger number than the first line says"]);
    assert_eq!(export(directory.path(), &[]).lines().count(), 2, "nothing was imported");
    let output = import(directory.path(), &with("head", "9007199254740990"));
    assert!(output.status.success(), "{}", stderr(&output));
    let server = launch_on(&directory).start().await;
    let said = server.client().act("/v1/commands/say", json!({"actorId": "Nova", "text": "on we go"})).await;
    assert!(said.data()["sequence"].as_u64() >= Some(9_007_199_254_740_991), "{}", said.text);
}

/// A line break within its JSON would end the `data:` line of a server-sent event. Before the event it is not stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_refuses_events_on_several_lines() {
    let lines = content(&sample().await);
    let directory = TempDir::new().unwrap();
    let with = |from: &str, to: &str| {
        let mut lines = lines.clone();
        assert!(lines[1].contains(from), "{from} in {}", lines[1]);
        lines[1] = lines[1].replacen(from, to, 1);
        forged(&lines)
    };
    for (from, to) in [
        ("{\"event\":{", "{\"event\":{\r"),
        ("\"payload\":{", "\"payload\":\r{"),
        ("\"payload\":{", "\"payload\":{ \r\r "),
        ("}}", "\r}}"),
    ] {
        fails(directory.path(), &with(from, to), &["line 2: ", "line break", "nothing was imported"]);
    }
    let output = import(directory.path(), &with("{\"event\":{", "{\"event\":\r{"));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!export(directory.path(), &[]).contains('\r'));
}

/// An event at this time, of this type, with this payload.
fn event(at: &Value, sequence: usize, kind: &str, payload: &Value) -> String {
    let id = format!("01990000-0000-7000-8000-{sequence:012x}");
    let event = json!({
        "sequence": sequence, "eventId": id, "tenantId": "default", "roomId": "main", "actorId": "Nova", "type": kind,
        "timestamp": at, "payload": payload, "correlationId": id, "causationId": null,
    });
    json!({ "event": event }).to_string()
}

/// Payloads in which each member of each type has each shape, or is missing. An index lists mentions by their actor, which
/// must be one.
fn payloads() -> Vec<(String, Value)> {
    let deep = (0..60).fold(json!(null), |inner, _| json!([inner]));
    let shapes = [
        json!(null),
        json!(true),
        json!(-1e300),
        json!(i64::MAX),
        json!(""),
        json!("\u{0}"),
        json!([{}, 1]),
        json!({"x": "x"}),
        deep,
    ];
    let mut payloads = Vec::new();
    for file in fs::read_dir(GOLDEN).unwrap() {
        let golden: Value = serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap();
        let kind = golden["type"].as_str().unwrap();
        for name in golden["payload"].as_object().unwrap().keys().filter(|name| *name != "mentionedActorId") {
            let mut payload = golden["payload"].clone();
            for shape in &shapes {
                payload[name] = shape.clone();
                payloads.push((kind.to_owned(), payload.clone()));
            }
            payload.as_object_mut().unwrap().remove(name);
            payloads.push((kind.to_owned(), payload));
        }
    }
    payloads
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_of_payloads_of_another_shape_breaks_no_read() {
    let directory = TempDir::new().unwrap();
    let header = content(&sample().await).remove(0);
    let at = super::lines(&header)[0]["exportedAt"].clone();
    let header = |head: usize| header.replace("\"head\":6", &format!("\"head\":{head}"));
    for payload in [json!([]), json!(null), json!("text"), json!(1)] {
        let lines = [header(1), event(&at, 1, "order_changed", &payload)];
        fails(directory.path(), &forged(&lines), &["line 2: it is not an event"]);
    }
    for actor in [json!(null), json!(1), json!(" "), json!({})] {
        let lines = [header(1), event(&at, 1, "mention_created", &json!({ "mentionedActorId": actor }))];
        fails(directory.path(), &forged(&lines), &["line 2: it is not an event"]);
    }
    let payloads = payloads();
    let mut lines = vec![header(payloads.len())];
    lines.extend(
        payloads.iter().enumerate().map(|(number, (kind, payload))| event(&at, number + 1, kind, payload)),
    );
    let output = import(directory.path(), &forged(&lines));
    assert!(output.status.success(), "{}", stderr(&output));

    let server = launch_on(&directory).start().await;
    // Not every read knows all of these parameters.
    let client = server.client().lenient();
    let query = "roomId=main&actorId=Nova&viewerActorId=Nova&timeoutMs=0&minutes=120&limit=500";
    let mut reads = 0;
    for (method, path, operation) in documented(&client).await {
        let is_stream = operation["responses"]["200"]["content"].get("text/event-stream").is_some();
        if method == "get" && !is_stream {
            let answer = client.get(&format!("{path}?{query}")).await;
            assert!(answer.status < 500, "{path}: {}", answer.text);
            reads += usize::from(answer.status == 200);
        }
    }
    assert!(reads > 10, "{reads} reads succeed");
    for path in ["/v1/bootstrap", "/v1/replay", "/v1/inbox", "/v1/events", "/v1/events/poll"] {
        assert_eq!(client.get(&format!("{path}?{query}")).await.status, 200, "{path}");
    }
    assert_eq!(all_events(&client).await.len(), payloads.len());
    let mut stream = client.stream("/v1/streams/market-events?cursor=0").await;
    for sequence in 1..=payloads.len() {
        assert_eq!(stream.next_event().await.data["sequence"], sequence);
    }
    let _ = client.act("/v1/commands/say", json!({"actorId": "Nova", "text": "@Kai hey"})).await.data();
}
