//! Secrets of webhooks, and keys in their URLs, at rest: encrypted, and of use only with their key.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::fs;
use std::path::Path;

use agentcafe_testkit::{Client, Launch, Method, Postgres, Receiver, Value, fresh_key, json};
use tempfile::TempDir;

use crate::export::{export, import_to_new_directory};
use crate::launch;
use crate::store_start::fails;
use crate::webhook_delivery::{assert_signed, message_subscription};

const SECRET: &str = "secret-pl4nted-that-signs";

async fn subscribe(client: &Client, receiver: &Receiver) -> String {
    let mut body = message_subscription(receiver.url("/hook"));
    body["secret"] = SECRET.into();
    let made = client.act("/v1/subscriptions", body).await;
    made.data()["subscription"]["id"].as_str().unwrap().to_owned()
}

/// Says something, and checks that its delivery, the one with this number, is signed with the secret.
async fn assert_delivered(client: &Client, receiver: &Receiver, count: usize, secret: &str) {
    let said = client.act("/v1/commands/say", json!({ "actorId": "Nova", "text": "hello" })).await;
    assert_eq!(said.status, 202, "{}", said.text);
    assert_signed(receiver.wait("/hook", count).await.last().unwrap(), secret);
}

/// Checks that no file in a data directory has the secret.
fn assert_not_in_files(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let found = fs::read(&path).unwrap().windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "{} shows the secret", path.display());
    }
}

fn key_file(directory: &Path, keys: &[char]) -> String {
    let path = directory.join("keys");
    let lines = keys.iter().map(|digit| digit.to_string().repeat(64) + "\n");
    fs::write(&path, lines.collect::<String>()).unwrap();
    path.display().to_string()
}

/// Whoever read the database file had the secrets. Kind: secrets at rest. Others: API keys and tickets, of which only hashes
/// are stored; payments, whose proofs are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_files_have_no_webhook_secret() {
    let receiver = Receiver::start().await;
    let mut server = launch().start().await;
    let id = subscribe(&server.client(), &receiver).await;
    assert_delivered(&server.client(), &receiver, 1, SECRET).await;
    assert_not_in_files(server.data_dir());
    server.restart().await;
    let client = server.client();
    assert_delivered(&client, &receiver, 2, SECRET).await;
    let change = client.request(Method::PATCH, &format!("/v1/subscriptions/{id}")).key(&fresh_key());
    assert_eq!(change.json(&json!({ "secret": "another-secret" })).send().await.status, 200);
    assert_delivered(&client, &receiver, 3, "another-secret").await;

    // Without its key, or with another, the server does not start: it would sign wrongly.
    assert!(server.stop().await.success());
    let file = server.data_dir().join("agentcafe.key");
    let key = fs::read(&file).unwrap();
    let again = || launch().data_dir(server.data_dir());
    fs::remove_file(&file).unwrap();
    fails(again(), &["cannot be decrypted", "webhook_secrets"]).await;
    assert!(!file.exists(), "no new key hides that the old one is missing");
    let other = TempDir::new().unwrap();
    let wrong = key_file(other.path(), &['a']);
    fails(again().env("AGENTCAFE_SECRET_KEY_FILE", &wrong), &["cannot be decrypted"]).await;
    fs::write(&wrong, "too short").unwrap();
    fails(again().env("AGENTCAFE_SECRET_KEY_FILE", &wrong), &["64 hexadecimal digits"]).await;
    fails(again().env("AGENTCAFE_SECRET_KEY_FILE", "/nowhere/key"), &["/nowhere/key"]).await;
    fs::write(&file, key).unwrap();
    let server = again().start().await;
    assert_delivered(&server.client(), &receiver, 4, "another-secret").await;
}

/// A secret that an earlier version stored as it is, and one under a key that is replaced, are encrypted at the start.
async fn assert_rotates(launch: impl Fn() -> Launch, stored: impl Fn() -> String) {
    let (receiver, directory) = (Receiver::start().await, TempDir::new().unwrap());
    let mut server = launch().start().await;
    let _ = subscribe(&server.client(), &receiver).await;
    assert!(server.stop().await.success());
    for (count, keys) in [vec!['a'], vec!['b', 'a'], vec!['b']].iter().enumerate() {
        let before = stored();
        let launch = launch().env("AGENTCAFE_SECRET_KEY_FILE", key_file(directory.path(), keys));
        let mut server = launch.start().await;
        assert_delivered(&server.client(), &receiver, count + 1, SECRET).await;
        assert!(server.stop().await.success());
        assert!(!stored().contains(SECRET) && (stored() != before) == (count < 2), "{keys:?}: {}", stored());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_webhook_secrets_are_encrypted_and_their_key_is_rotated() {
    let url = Postgres::shared().database();
    let launch = || launch().data_dir("/nowhere").env("DATABASE_URL", &url);
    assert_rotates(launch, || Postgres::query(&url, "SELECT json FROM webhook_secrets")).await;
    fails(launch(), &["cannot be decrypted"]).await;
}

/// Likewise in the embedded database, whose files keep nothing of it, nor of the key in a target.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_secret_of_an_earlier_version_is_encrypted_at_the_start() {
    let receiver = Receiver::start().await;
    let mut server = launch().start().await;
    let id = subscribe(&server.client(), &receiver).await;
    assert!(server.stop().await.success());
    let target = format!("/hook?key={SECRET}");
    let connection = rusqlite::Connection::open(server.data_dir().join("agentcafe.db")).unwrap();
    let plain = format!(
        "UPDATE webhook_secrets SET json = CAST(json_object('subscriptionId', subscription_id, 'secret', '{SECRET}') AS BLOB);
         UPDATE webhook_subscriptions SET json = CAST(json_set(CAST(json AS TEXT), '$.targetUrl', '{}') AS BLOB)",
        receiver.url(&target)
    );
    connection.execute_batch(&plain).unwrap();
    drop(connection);
    server.restart().await;
    let client = server.client();
    let said = client.act("/v1/commands/say", json!({ "actorId": "Nova", "text": "hello" })).await;
    assert_eq!(said.status, 202, "{}", said.text);
    assert_signed(&receiver.wait(&target, 1).await[0], SECRET);
    let shown = client.get(&format!("/v1/subscriptions/{id}")).await.data()["subscription"].clone();
    assert_eq!(shown["targetUrl"], receiver.url("/hook?key=***"));
    assert!(server.stop().await.success());
    assert_not_in_files(server.data_dir());
}

/// Kind: credentials in what is moved or shown. An export has neither the secret nor the key in the URL; with both the imported
/// webhook delivers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhook_url_is_exported_without_its_key() {
    let (receiver, server) = (Receiver::start().await, launch().start().await);
    let target = format!("/hook?key={SECRET}&room=main");
    let mut body = message_subscription(receiver.url(&target));
    body["secret"] = SECRET.into();
    let made = server.client().act("/v1/subscriptions", body).await;
    let (id, shown) = (made.data()["subscription"]["id"].clone(), receiver.url("/hook?key=***&room=***"));
    assert_eq!(made.data()["subscription"]["targetUrl"], shown);
    let exported = export(server.data_dir(), &[]);
    assert!(exported.contains(&shown) && !exported.contains(SECRET), "{exported}");
    let copy = import_to_new_directory(&exported);
    let server = launch().data_dir(copy.path()).start().await;
    let client = server.client();
    let path = format!("/v1/subscriptions/{}", id.as_str().unwrap());
    let change =
        async |body: Value| client.request(Method::PATCH, &path).key(&fresh_key()).json(&body).send().await;
    for (body, field) in [
        (json!({ "enabled": true }), "secret"),
        (json!({ "enabled": true, "secret": SECRET }), "targetUrl"),
        (json!({ "enabled": true, "secret": SECRET, "targetUrl": shown }), "targetUrl"),
    ] {
        assert_eq!(change(body).await.error(400, "ERR_VALIDATION")["field"], field);
    }
    let whole = json!({ "enabled": true, "secret": SECRET, "targetUrl": receiver.url(&target) });
    let _ = change(whole).await.data();
    // What was shown changes nothing.
    let _ = change(json!({ "targetUrl": shown })).await.data();
    let said = client.act("/v1/commands/say", json!({ "actorId": "Nova", "text": "hello" })).await;
    assert_eq!(said.status, 202, "{}", said.text);
    assert_signed(&receiver.wait(&target, 1).await[0], SECRET);
}
