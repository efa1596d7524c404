//! Request bodies: what is accepted as JSON, the size limit, and bodies that end early.

use agentcafe_testkit::{Answer, Client, Method, fresh_key, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{cafe, log};

const MAX_BODY_BYTES: usize = 1 << 20;

async fn send(client: &Client, body: impl Into<Vec<u8>>) -> Answer {
    client.request(Method::POST, "/v1/commands/say").key(&fresh_key()).body(body.into()).send().await
}

/// The `Content-Type` header is ignored.
#[tokio::test]
async fn body_that_is_empty_is_an_empty_object() {
    let (_server, client) = cafe().await;
    for body in ["", " \r\n\t", "{}"] {
        assert_eq!(send(&client, body).await.error(400, "ERR_MISSING_FIELD")["field"], "actorId");
    }
    let request =
        client.request(Method::POST, "/v1/commands/say").key("k").body(r#"{"actorId":"Nova","text":"hi"}"#);
    assert_eq!(request.header("content-type", "text/plain").send().await.status, 202);
}

/// Also bodies that are nested too deeply, not UTF-8, or contain NUL characters. A refused body has no effect.
#[tokio::test]
async fn body_that_is_not_a_json_object_is_refused() {
    let (_server, client) = cafe().await;
    let nested = |open: &str, close: &str, levels| format!("{}{}", open.repeat(levels), close.repeat(levels));
    let valid = r#"{"actorId":"Nova","text":"hi"}"#.as_bytes();
    let bodies: Vec<Vec<u8>> = vec![
        b"null".into(),
        b"true".into(),
        b"7".into(),
        b"\"text\"".into(),
        b"[]".into(),
        [b"[", valid, b"]"].concat(),
        valid[..valid.len() - 1].into(),
        [valid, valid].concat(),
        b"{\"actorId\":\"Nova\",\"text\":\"\xff\xfe\"}".into(),
        b"{\"actorId\":\"Nova\",\"text\":\"\xed\xa0\x80\"}".into(),
        br#"{"actorId":"Nova","text":"\ud800"}"#.into(),
        br#"{"actorId":"Nova","text":"a\u0000b"}"#.into(),
        br#"{"actorId":"Nova","text":"hi","metadata":{"a":["\u0000"]}}"#.into(),
        br#"{"actorId":"Nova","text":"hi","metadata":{"\u0000":1}}"#.into(),
        br#"{'actorId':'Nova'}"#.into(),
        br#"{"actorId":"Nova","text":"hi","metadata":{"n":NaN}}"#.into(),
        br#"{"actorId":"Nova","text":"hi","metadata":{"n":1e999}}"#.into(),
        format!(r#"{{"actorId":"Nova","text":"hi","metadata":{{"a":{}}}}}"#, nested("[", "]", 63)).into(),
        format!(r#"{{"actorId":"Nova","text":"hi","metadata":{}}}"#, nested("[", "]", 100_000)).into(),
        nested("{\"a\":", "", 100_000).into(),
        b"\0\0\0\0".into(),
        b"\x1f\x8b\x08\x00not json".into(),
    ];
    for body in bodies {
        let answer = send(&client, body.clone()).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        assert_eq!(
            answer.json["error"]["code"], "ERR_VALIDATION",
            "{shown}: {} {}",
            answer.status, answer.text
        );
        assert_eq!(answer.status, 400, "{shown}");
    }
    assert!(log(&client).await.is_empty());
    let deep = format!(r#"{{"actorId":"Nova","text":"hi","metadata":{{"a":{}}}}}"#, nested("[", "]", 62));
    assert_eq!(send(&client, deep).await.status, 202, "64 levels are allowed");
}

/// Kind: what JSON allows is refused, or kept as something else. Also at the start of an import.
#[tokio::test]
async fn body_with_a_byte_order_mark_is_read_without_it() {
    let (_server, client) = cafe().await;
    let said =
        send(&client, [b"\xef\xbb\xbf", r#"{"actorId":"Nova","text":"hi"}"#.as_bytes()].concat()).await;
    assert_eq!(said.status, 202, "{}", said.text);
}

/// Integers beyond 64 bits, fractions and exponents: in the response, in the event and when read again.
#[tokio::test]
async fn body_numbers_are_kept_as_they_were_written() {
    const DATA: &str = r#"{"wei":18500000000000000001,"small":-0,"price":1.50,"many":[1e+2,0.1000000000000000055511151231257827]}"#;
    let (_server, client) = cafe().await;
    let body = format!(r#"{{"actorId":"Nova","objectType":"note","data":{DATA}}}"#);
    let made = client.request(Method::POST, "/v1/objects").key("k1").body(body.into_bytes()).send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.data()["object"]["objectId"].as_str().expect("an id").to_owned();
    let read = client.get(&format!("/v1/objects/{id}")).await;
    let event = client.get("/v1/events?types=shared_object_created").await;
    for answer in [made, read, event] {
        for number in DATA.split([':', ',', '[', ']', '{', '}']).filter(|part| part.parse::<f64>().is_ok()) {
            assert!(answer.text.contains(number), "{number} is not in {}", answer.text);
        }
    }
}

/// Two numbers that differ as written are two payloads.
#[tokio::test]
async fn idempotency_key_with_another_large_number_is_a_conflict() {
    let (_server, client) = cafe().await;
    let create = async |number: &str| {
        let body = format!(r#"{{"actorId":"Nova","objectType":"note","data":{{"n":{number}}}}}"#);
        client.request(Method::POST, "/v1/objects").key("k").body(body.into_bytes()).send().await
    };
    assert_eq!(create("100000000000000000001").await.status, 201);
    let _ = create("100000000000000000002").await.error(409, "ERR_IDEMPOTENCY_KEY_CONFLICT");
    assert_eq!(create("100000000000000000001").await.header("x-idempotent-replay"), Some("true"));
}

/// Metadata of a say is bounded as every object that is kept.
#[tokio::test]
async fn body_objects_over_64_kib_are_refused_on_every_route() {
    let (_server, client) = cafe().await;
    for path in ["/v1/commands/say", "/v1/conversations/messages", "/v1/objects", "/v1/tasks"] {
        let body = json!({
            "actorId": "Nova", "text": "hi", "toActorIds": ["Kai"], "objectType": "note", "title": "t",
            "metadata": { "a": "x".repeat(70_000) },
        });
        assert_eq!(
            client.clone().lenient().act(path, body).await.error(400, "ERR_OUT_OF_BOUNDS")["field"],
            "metadata",
            "{path}"
        );
    }
    assert!(log(&client).await.is_empty());
}

/// One byte more than 1 MiB is refused, with `Content-Length` and without.
#[tokio::test]
async fn body_over_one_mebibyte_is_413() {
    let (server, client) = cafe().await;
    let sized = |bytes: usize| {
        let body = r#"{"actorId":"Nova","text":"hi"}"#;
        format!("{body}{}", " ".repeat(bytes - body.len()))
    };
    assert_eq!(send(&client, sized(MAX_BODY_BYTES)).await.status, 202);
    let _ = send(&client, sized(MAX_BODY_BYTES + 1)).await.error(413, "ERR_PAYLOAD_TOO_LARGE");
    let _ = send(&client, vec![b' '; MAX_BODY_BYTES + 1]).await.error(413, "ERR_PAYLOAD_TOO_LARGE");
    let chunk = sized(MAX_BODY_BYTES + 1);
    let chunked = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{chunk}\r\n0\r\n\r\n", chunk.len());
    let answer = raw(server.address(), &chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("ERR_PAYLOAD_TOO_LARGE"), "{answer}");
    assert_eq!(client.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn body_shorter_than_its_content_length_has_no_effect() {
    let (server, client) = cafe().await;
    let whole = r#"{"actorId":"Nova","text":"hi"}"#;
    for announced in [whole.len() + 1, whole.len() + 1_000] {
        let answer = raw(server.address(), &format!("content-length: {announced}\r\n\r\n{whole}")).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let chunked = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{whole}\r\n", whole.len());
    let answer = raw(server.address(), &chunked).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(client.get("/readyz").await.status, 200);
    assert!(log(&client).await.is_empty());
}

/// Sends a `say` with these bytes as its last header and body, closes the sending half, and returns the response.
async fn raw(address: std::net::SocketAddr, rest: &str) -> String {
    let mut connection = TcpStream::connect(address).await.expect("the server listens");
    let head =
        "POST /v1/commands/say HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nidempotency-key: raw\r\n";
    // The server may respond and close before it has read everything.
    let _ = connection.write_all(format!("{head}{rest}").as_bytes()).await;
    let _ = connection.shutdown().await;
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn body_with_malformed_json_names_the_cause() {
    let (_server, client) = cafe().await;
    let answer = send(&client, "{\"actorId\": }").await;
    assert!(answer.error(400, "ERR_VALIDATION")["cause"].is_string());
    assert_eq!(json!(answer.header("x-correlation-id")), json!(null), "no trace was started");
}
