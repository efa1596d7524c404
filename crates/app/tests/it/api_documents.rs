//! The documents of the API are the committed ones, and describe the events and the frames that the server sends.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::sync::LazyLock;

use agentcafe_testkit::{Client, Frame, Method, SHARED_TOKEN, Server, Value, json};
use jsonschema::Validator;

use crate::fixture_cafe::create_one_of_everything;
use crate::realtime::{launch_realtime, wait_until_caught_up};
use crate::websocket_client::Socket;
use crate::{cafe, launch, log, order};

/// A document as it is committed.
fn committed(name: &str) -> Value {
    let path = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

async fn assert_is_committed(name: &str) {
    let (_server, client) = cafe().await;
    let served = client.get(&format!("/{name}")).await.json;
    assert!(
        served == committed(name),
        "docs/{name} is not what the server describes. Renew it from a server with default settings:\n\
         curl -s http://127.0.0.1:3850/{name} | python3 -m json.tool --indent 2 --no-ensure-ascii > docs/{name}"
    );
}

#[tokio::test]
async fn openapi_document_is_committed() {
    assert_is_committed("openapi.json").await;
}

#[tokio::test]
async fn asyncapi_document_is_committed() {
    assert_is_committed("asyncapi.json").await;
}

/// A validator of the schema at a place of a document.
fn validator(document: &Value, reference: &str) -> Validator {
    let schema = json!({ "$ref": reference, "components": document["components"] });
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

/// What is wrong with a value.
fn faults(validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// What is wrong with an event, by the schema that the document has for its type.
fn faults_of_event(event: &Value) -> Vec<String> {
    static BY_TYPE: LazyLock<HashMap<String, Validator>> = LazyLock::new(|| {
        let document = committed("openapi.json");
        let mapping = &document["components"]["schemas"]["Event"]["discriminator"]["mapping"];
        let of_type = |(kind, reference): (&String, &Value)| {
            (kind.clone(), validator(&document, reference.as_str().unwrap()))
        };
        mapping.as_object().unwrap().iter().map(of_type).collect()
    });
    let kind = event["type"].as_str().unwrap_or_default();
    BY_TYPE.get(kind).map_or_else(|| vec![format!("no schema for {kind}")], |schema| faults(schema, event))
}

/// Panics unless each event is as the OpenAPI document says.
pub(crate) fn assert_described(events: &[Value]) {
    for event in events {
        let faults = faults_of_event(event);
        assert!(faults.is_empty(), "{faults:#?} in {event:#}");
    }
}

/// Every event of a café with one of everything, a reaction among them. Other tests check theirs whenever they read the log.
#[tokio::test]
async fn openapi_event_schemas_hold_for_stored_events() {
    let server = launch().env("WEBHOOK_ALLOW_PRIVATE_TARGETS", true).start().await;
    let client = server.client();
    let rule = json!({"targetActorId": "Bo", "triggerEventTypes": ["order_changed"], "actionType": "order",
                      "actionPayload": {"itemId": "tea"}});
    let _ = client.act("/v1/reactions/subscriptions", rule).await.data();
    let _ = create_one_of_everything(&client).await;
    order(&client, "Nova", "main").await;
    let reacted = "/v1/events/poll?roomId=main&authorId=Bo&types=order_changed&cursor=0";
    assert!(client.get(reacted).await.data()["events"][0]["payload"]["reaction"].is_object());
    let events = log(&client).await;
    assert_described(&events);
    for mut event in events {
        event["payload"] = json!({});
        assert!(!faults_of_event(&event).is_empty(), "{event} without its members");
    }
}

/// The messages of a channel, by name: the name of the frame, and the validator of its payload.
fn messages(channel: &str) -> HashMap<String, (Value, Validator)> {
    let document = committed("asyncapi.json");
    let messages = document["channels"][channel]["messages"].as_object().unwrap();
    let message = |(name, message): (&String, &Value)| {
        let reference = format!("{}/payload", message["$ref"].as_str().unwrap());
        let frame = document.pointer(&reference[1..]).unwrap()["properties"]["event"]["const"].clone();
        (name.clone(), (frame, validator(&document, &reference)))
    };
    messages.iter().map(message).collect()
}

/// Checks a frame, and answers the name of its message.
fn check_frame(messages: &HashMap<String, (Value, Validator)>, frame: Frame) -> String {
    let Frame { id, event, data } = frame;
    let mut frame = json!({ "event": event, "data": data });
    if let Some(id) = id {
        frame["id"] = id.into();
    }
    let of_frame = messages.iter().find(|(_, (name, _))| *name == event);
    let event = "event".to_owned();
    let (name, (_, schema)) = of_frame.unwrap_or_else(|| (&event, &messages["event"]));
    let faults = faults(schema, &frame);
    assert!(faults.is_empty(), "{faults:#?} in {frame:#}");
    name.clone()
}

/// Reads streams and sockets of a server until each message but `error` has come.
async fn check_channels(server: &Server, client: &Client, [stream, socket]: [(&str, &str); 2]) {
    for (channel, path) in [stream, socket] {
        let messages = messages(channel);
        let mut missing: BTreeSet<String> =
            messages.keys().filter(|name| *name != "error").cloned().collect();
        for (query, last) in [("cursor=999", "reset"), ("limit=1&types=order_changed", "heartbeat")] {
            let path = format!("{path}?roomId=main&{query}");
            let mut name = String::new();
            if path.starts_with("/v1/ws") {
                let token = [("x-api-key", SHARED_TOKEN)];
                let mut socket = Socket::open(server.address(), &path, &token).await.unwrap();
                while name != last {
                    name = check_frame(&messages, socket.next().await);
                    missing.remove(&name);
                }
            } else {
                let mut stream = client.stream(&path).await;
                while name != last {
                    name = check_frame(&messages, stream.next().await);
                    missing.remove(&name);
                }
            }
        }
        assert!(missing.is_empty(), "{channel}: {missing:?}");
    }
}

/// Of the API and of realtime.
#[tokio::test]
async fn asyncapi_messages_describe_the_frames_of_streams_and_sockets() {
    let server = launch().with_shared_token().env("API_STREAM_HEARTBEAT_MS", 40).start().await;
    let client = server.client().with_token(SHARED_TOKEN);
    order(&client, "Nova", "main").await;
    order(&client, "Kai", "main").await;
    let api = [("events", "/v1/streams/market-events"), ("eventSocket", "/v1/ws")];
    check_channels(&server, &client, api).await;
    let realtime =
        launch_realtime(&server).with_shared_token().env("REALTIME_HEARTBEAT_MS", 40).start().await;
    wait_until_caught_up(&realtime, &client).await;
    let of_realtime = realtime.client().with_token(SHARED_TOKEN);
    check_channels(&realtime, &of_realtime, [("room", "/v1/stream"), ("roomSocket", "/v1/ws")]).await;
    let key = client.make_key(json!({ "kind": "viewer" })).await;
    let mut stream = key.client.stream("/v1/events/stream?cursor=latest&roomId=main").await;
    let revoke = client.request(Method::DELETE, &format!("/v1/keys/{}", key.id)).key("revoke");
    assert_eq!(revoke.send().await.status, 200);
    let messages = messages("events");
    while check_frame(&messages, stream.next().await) != "error" {}
}
