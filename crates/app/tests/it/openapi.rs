//! The OpenAPI document describes every route, field, error and example, and matches the server's behaviour;
//! Schemathesis checks it, too.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::fmt::Write as _;
use std::fs;

use agentcafe_testkit::{Client, Method, SHARED_TOKEN, Server, Value, json};

use crate::fixture_cafe::{Names, create_one_of_everything, named};
use crate::generated_clients::python_tool;
use crate::monitoring::documented;
use crate::{cafe, launch};

/// An operation's path with the example values of its parameters, or ids that exist, and its query.
pub(crate) fn example_path(path: &str, operation: &Value, names: &Names) -> String {
    let (mut filled, mut query) = (path.to_owned(), Vec::new());
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let (name, example) = (parameter["name"].as_str().unwrap(), &parameter["example"]);
        let text = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
        match parameter["in"].as_str() {
            Some("path") => {
                let id = named(names, path, name).unwrap_or(&text);
                filled = filled.replace(&format!("{{{name}}}"), id);
            }
            Some("query") if !example.is_null() => query.push(format!("{name}={}", text.replace(' ', "%20"))),
            _ => {}
        }
    }
    if query.is_empty() { filled } else { format!("{filled}?{}", query.join("&")) }
}

/// A server with one of everything, a client with its shared token, and the ids of what there is. Without the token, a server with
/// an API key refuses everybody.
async fn cafe_with_everything() -> (Server, Client, Names) {
    let server = launch().with_shared_token().env("WEBHOOK_ALLOW_PRIVATE_TARGETS", true).start().await;
    let client = server.client().with_token(SHARED_TOKEN);
    let mut names = create_one_of_everything(&client).await;
    names.push(("/v1/keys", "keyId", client.make_key(json!({ "kind": "viewer" })).await.id));
    (server, client, names)
}

/// Requests that delete something run last.
#[tokio::test]
async fn openapi_request_examples_are_accepted() {
    let (_server, client, names) = cafe_with_everything().await;
    let (deletions, others): (Vec<_>, Vec<_>) =
        documented(&client).await.into_iter().partition(|(method, ..)| method == "delete");
    for (method, path, operation) in others.into_iter().chain(deletions) {
        let what = format!("{method} {path}");
        let filled = example_path(&path, &operation, &names);
        assert!(!filled.contains(['{', ' ']), "{what}: {filled}");
        let is_stream = operation["responses"]["200"]["content"].get("text/event-stream").is_some();
        if is_stream {
            drop(client.stream(&filled).await);
            continue;
        }
        let mut request = client.request(method.to_uppercase().parse::<Method>().unwrap(), &filled);
        if method != "get" {
            request = request.key(&format!("example of {what}"));
        }
        if operation["requestBody"].is_object() {
            let example = &operation["requestBody"]["content"]["application/json"]["examples"]["request"];
            let mut body = example["value"].clone();
            assert!(body.is_object(), "{what} has no example");
            if path == "/v1/tickets/redeem" {
                let opens = json!({ "path": body["path"], "query": body["query"] });
                body["ticket"] = client.act("/v1/tickets", opens).await.data()["ticket"].clone();
            }
            request = request.json(&body);
        }
        let answer = request.send().await;
        assert!((200..300).contains(&answer.status), "{what}: {} {}", answer.status, answer.text);
    }
}

/// What a reference stands for.
fn resolved<'a>(document: &'a Value, reference: &Value) -> &'a Value {
    document.pointer(reference["$ref"].as_str().unwrap().strip_prefix('#').unwrap()).unwrap()
}

/// Each error of each route, in the envelope, under a code that the response lists.
#[tokio::test]
async fn openapi_has_an_example_of_every_error() {
    let (_server, client) = cafe().await;
    let document = client.get("/openapi.json").await.json;
    for (method, path, operation) in documented(&client).await {
        for (status, response) in operation["responses"].as_object().unwrap() {
            if status.starts_with('2') {
                continue;
            }
            let what = format!("{method} {path}: {status}");
            let response = resolved(&document, response);
            let codes = response["description"].as_str().unwrap();
            let examples = response["content"]["application/json"]["examples"].as_object().unwrap();
            assert_eq!(examples.len(), codes.split(", ").count(), "{what}");
            for example in examples.values() {
                let error = &resolved(&document, example)["value"]["error"];
                assert!(codes.contains(error["code"].as_str().unwrap()), "{what}: {error}");
                assert!(error["message"].is_string() && error["details"].is_object(), "{what}: {error}");
            }
        }
    }
}

/// Once, and referred to by every operation that reads names.
#[tokio::test]
async fn openapi_describes_how_unknown_names_are_handled() {
    let (_server, client) = cafe().await;
    let components = client.get("/openapi.json").await.json["components"].clone();
    assert_eq!(components["parameters"]["Prefer"]["name"], "Prefer");
    assert!(components["headers"]["Warnings"]["description"].is_string());
    for (method, path, operation) in documented(&client).await {
        let parameters = operation["parameters"].as_array().unwrap();
        let is_described = parameters.iter().any(|parameter| parameter["name"] == "Prefer");
        assert_eq!(is_described, path.starts_with("/v1/"), "{method} {path}");
        let responses = operation["responses"].as_object().unwrap().iter();
        for (status, response) in responses.filter(|(status, _)| status.starts_with('2')) {
            let header = &response["headers"]["x-agentcafe-warnings"]["$ref"];
            assert_eq!(header == "#/components/headers/Warnings", is_described, "{method} {path} {status}");
        }
    }
}

/// Finds properties of schemas without a description.
fn without_description(schema: &Value, schema_name: &str, found: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            for (name, property) in members.get("properties").and_then(Value::as_object).into_iter().flatten()
            {
                if property.is_object() && property["description"].as_str().is_none_or(str::is_empty) {
                    found.push(format!("{schema_name}: {name}"));
                }
            }
            members.values().for_each(|member| without_description(member, schema_name, found));
        }
        Value::Array(members) => {
            members.iter().for_each(|member| without_description(member, schema_name, found))
        }
        _ => {}
    }
}

/// By its declaration, or by the doc comment of the struct's field.
#[tokio::test]
async fn openapi_describes_every_field() {
    let (_server, client) = cafe().await;
    let document = client.get("/openapi.json").await.json;
    let mut found = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        without_description(schema, name, &mut found);
    }
    for (method, path, operation) in documented(&client).await {
        without_description(&operation, &format!("{method} {path}"), &mut found);
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if parameter["description"].as_str().is_none_or(str::is_empty) {
                found.push(format!("{method} {path}: {}", parameter["name"]));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Whether a value has the type that a schema allows, and is within its bounds.
fn is_allowed(value: &Value, schema: &Value) -> bool {
    if let Some(choices) = schema["anyOf"].as_array() {
        return choices.iter().any(|choice| is_allowed(value, choice));
    }
    if let Some(allowed) = schema["enum"].as_array() {
        return allowed.contains(value);
    }
    let has_type = |name: &Value| match name.as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => false,
    };
    let within = |bound: &str, is_within: fn(i64, i64) -> bool| {
        value.as_i64().zip(schema[bound].as_i64()).is_none_or(|(value, bound)| is_within(value, bound))
    };
    let types = schema["type"].as_array();
    types.map_or_else(|| has_type(&schema["type"]), |names| names.iter().any(has_type))
        && within("minimum", |value, min| value >= min)
        && within("maximum", |value, max| value <= max)
}

/// Every field of a query and of a body has an example that its schema allows, but for cursors and ids that only the server makes.
#[tokio::test]
async fn openapi_examples_of_fields_match_their_schemas() {
    let (_server, client) = cafe().await;
    for (method, path, operation) in documented(&client).await {
        let body = &operation["requestBody"]["content"]["application/json"]["schema"]["properties"];
        let in_body = body.as_object().into_iter().flatten();
        let in_body = in_body.map(|(name, schema)| (name.as_str(), schema, &schema["examples"][0]));
        let in_query = operation["parameters"].as_array().into_iter().flatten();
        let in_query = in_query.filter(|parameter| parameter["in"] == "query").map(|parameter| {
            let (schema, example) = (&parameter["schema"], &parameter["example"]);
            let example = if example.is_null() { &schema["examples"][0] } else { example };
            (parameter["name"].as_str().unwrap(), schema, example)
        });
        for (name, schema, example) in in_query.chain(in_body) {
            let is_sound = if example.is_null() {
                ["cursor", "logId"].contains(&name)
            } else {
                is_allowed(example, schema)
            };
            assert!(is_sound, "{name} of {method} {path}: {example} {schema}");
        }
    }
}

/// The content of `schemathesis.toml`, with ids that exist for each path.
async fn settings(client: &Client, names: &Names) -> String {
    let mut text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemathesis.toml")).unwrap();
    let mut paths: Vec<_> = documented(client).await.into_iter().map(|(_, path, _)| path).collect();
    paths.dedup();
    for path in paths {
        for name in path.split(['{', '}']).skip(1).step_by(2) {
            if let Some(id) = named(names, &path, name) {
                write!(text, "\n[[operations]]\ninclude-path = \"{path}\"\nparameters = {{ \"path.{name}\" = \"{id}\" }}\n")
                    .unwrap();
            }
        }
    }
    text
}

/// It sends valid and invalid requests, and finds no 500, and no status, content type or body that the document
/// lacks. A missing tool is a failure: `./test.sh` installs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openapi_passes_schemathesis() {
    let (server, client, names) = cafe_with_everything().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("schemathesis.toml");
    fs::write(&file, settings(&client, &names).await).unwrap();
    let mut command = python_tool("schemathesis");
    command.arg("--config-file").arg(file).arg("run").arg(format!("{}/openapi.json", server.url()));
    command.arg("--header").arg(format!("x-api-key: {SHARED_TOKEN}"));
    // Schemathesis writes its findings to the working directory.
    command.current_dir(directory.path()).env_remove("SCHEMATHESIS_HOOKS");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaint}");
    assert!(said.contains("passed") && !said.contains(" 0 generated"), "{said}");
}
