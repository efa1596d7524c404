//! Black-box tests over real HTTP against the real binary.

use std::path::Path;
use std::time::Duration;

use agentcafe_domain::kernel::Secret;
use agentcafe_store::{PostgresOptions, StoreLocation, TimeSource};
use agentcafe_testkit::{Answer, Client, Launch, Postgres, Server, Value, json, store_under_test};

mod active_rooms;
mod actor_names;
mod api_documents;
mod audit;
mod auth;
mod auth_modes;
mod background_load;
mod bootstrap;
mod browser;
mod browser_access;
mod check_order;
mod check_order_private_table;
mod client_stream;
mod clock_steps;
mod collaboration_score;
mod commands;
mod config;
mod crew_day;
mod digest;
mod drill;
mod durability;
mod earlier_version;
mod error_catalogue;
mod event_authors;
mod events;
mod examples;
mod export;
mod fairness;
mod field_validation;
mod fixture_cafe;
mod follower_reconnects;
mod fuzz;
mod generated_clients;
mod graceful_shutdown;
mod half_closed_clients;
mod handoffs;
mod health_access;
mod idempotency;
mod idempotency_concurrent;
mod idempotency_owners;
mod inbox;
mod intents;
mod key_access;
mod key_misuse;
mod key_operators;
mod key_rooms;
mod key_table;
mod keys_api;
mod keys_command;
mod keys_ending;
mod keys_limits;
mod keys_realtime;
mod large_events;
mod last_seen;
mod launch_script;
mod limits_connections;
mod limits_requests;
mod limits_slow_clients;
mod limits_zero;
mod list_pages;
mod load;
mod local_memory;
mod log_position;
mod logging;
mod long_poll;
mod mentions;
mod message_bodies;
mod messages;
mod moderation;
mod module_imports;
mod monitoring;
mod naming;
mod objects;
mod openapi;
mod operations_guide;
mod operators;
mod owners;
mod payment;
mod permissions;
mod pinned_context;
mod postgres_export_import;
mod postgres_faults;
mod postgres_migrate;
mod postgres_nodes;
mod postgres_nodes_faults;
mod postgres_search;
mod postgres_tls;
mod presence;
mod private_table_reads;
mod private_table_work;
mod private_tables;
mod profiles;
mod projector;
mod proofs_document;
mod rate_limit;
mod raw_connection;
mod reaction_engine;
mod reaction_subscriptions;
mod read_only_database;
mod readme_tour;
mod realtime;
mod realtime_faults;
mod realtime_redis;
mod reconnecting_follower;
mod replay;
mod replay_determinism;
mod request_bodies;
mod response_envelope;
mod rooms;
mod search;
mod search_rights;
mod secrets;
mod seeded_random;
mod shared_redis;
mod snapshots;
mod stalled_readers;
mod startup;
mod store_damage;
mod store_disk;
mod store_file_modes;
mod store_full;
mod store_read_only;
mod store_scans;
mod store_search;
mod store_shorter_log;
mod store_start;
mod stored_tables;
mod stream_presence;
mod streams;
mod strict_handling;
mod table_fixtures;
mod table_sessions;
mod tail;
mod tasks;
mod tcp_proxy;
mod threads;
mod tickets;
mod traces;
mod webhook_access;
mod webhook_changes;
mod webhook_connections;
mod webhook_delivery;
mod webhook_dlq;
mod webhook_kill;
mod webhook_secrets;
mod webhook_subscriptions;
mod webhook_targets;
mod websocket;
mod websocket_client;
mod workspace;

/// The store of a server with this data directory, for tests that write to it before the server starts.
fn store_location(directory: &Path) -> StoreLocation {
    if store_under_test() == "sqlite" {
        return StoreLocation::Directory(directory.to_owned());
    }
    StoreLocation::Postgres(PostgresOptions {
        url: Secret::new(Postgres::shared().database_for(directory)),
        pool_max: 2,
        idle_timeout: Duration::from_secs(30),
        auto_migrate: true,
        migration_lock_key: 942_516_431,
        time: TimeSource::Database,
    })
}

/// The binary under test, without rate limits and moderation unless a test sets them.
fn launch() -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_agentcafe"))
}

/// A started server and a client of it.
async fn cafe() -> (Server, Client) {
    let server = launch().start().await;
    let client = server.client();
    (server, client)
}

/// All events of all tenants and rooms, up to the 5000th, each of which is as the OpenAPI document says.
async fn log(client: &Client) -> Vec<Value> {
    let page = client.get("/v1/events?limit=5000").await;
    let events = page.data()["events"].as_array().cloned().unwrap_or_default();
    api_documents::assert_described(&events);
    events
}

/// An id that does not exist.
const UNKNOWN_ID: &str = "0190b5a0-0000-7000-8000-000000000000";

/// A JSON object with the members of another one over it.
fn merged(mut object: Value, members: &Value) -> Value {
    for (name, value) in members.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    object
}

/// Posts a message of an actor in the room `main`.
async fn say(client: &Client, actor: &str, text: &str) -> Answer {
    client.act("/v1/commands/say", json!({ "actorId": actor, "text": text })).await
}

/// Posts a message of Nova in a room, which must succeed.
async fn say_in(client: &Client, room: &str, text: &str) {
    let body = json!({ "actorId": "Nova", "roomId": room, "text": text });
    let _ = client.act("/v1/commands/say", body).await.data();
}

/// Orders tea, which must succeed. Returns the event's sequence.
async fn order(client: &Client, actor: &str, room: &str) -> u64 {
    let body = json!({ "actorId": actor, "roomId": room, "itemId": "tea" });
    client.act("/v1/commands/order", body).await.data()["sequence"].as_u64().unwrap_or_default()
}

/// Makes an actor an operator of a room.
async fn promote(client: &Client, actor: &str, room: &str) {
    let body = json!({ "roomId": room, "actorId": actor, "operatorId": actor, "canModerate": true });
    let _ = client.act("/v1/permissions", body).await.data();
}

/// A started server with Op as operator of the room `main`, and a client of it.
async fn cafe_with_operator() -> (Server, Client) {
    let (server, client) = cafe().await;
    promote(&client, "Op", "main").await;
    (server, client)
}
