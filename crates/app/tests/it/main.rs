//! Black-box tests over real HTTP against the real binary.

use std::path::Path;
use std::time::Duration;

use agentcafe_domain::kernel::Secret;
use agentcafe_store::{PostgresOptions, StoreLocation, TimeSource};
use agentcafe_testkit::{Client, Launch, Postgres, Server, Value, store_under_test};

mod audit;
mod auth;
mod background_load;
mod bootstrap;
mod check_order;
mod check_order_private_table;
mod client_stream;
mod collaboration_score;
mod commands;
mod config;
mod drill;
mod durability;
mod earlier_version;
mod error_catalogue;
mod events;
mod examples;
mod export;
mod field_validation;
mod fixture_cafe;
mod follower_reconnects;
mod fuzz;
mod graceful_shutdown;
mod handoffs;
mod idempotency;
mod idempotency_concurrent;
mod inbox;
mod intents;
mod large_events;
mod last_seen;
mod limits_connections;
mod limits_requests;
mod limits_slow_clients;
mod limits_zero;
mod list_pages;
mod load;
mod local_memory;
mod long_poll;
mod messages;
mod moderation;
mod module_imports;
mod monitoring;
mod naming;
mod objects;
mod openapi;
mod operations_guide;
mod operators;
mod payment;
mod permissions;
mod pinned_context;
mod postgres_export_import;
mod postgres_faults;
mod postgres_migrate;
mod postgres_nodes;
mod postgres_nodes_faults;
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
mod secrets;
mod seeded_random;
mod shared_redis;
mod snapshots;
mod stalled_readers;
mod startup;
mod store_disk;
mod store_full;
mod store_read_only;
mod store_start;
mod streams;
mod table_fixtures;
mod table_sessions;
mod tasks;
mod traces;
mod webhook_access;
mod webhook_changes;
mod webhook_delivery;
mod webhook_dlq;
mod webhook_kill;
mod webhook_subscriptions;
mod webhook_targets;
mod websocket;
mod websocket_client;
mod workspace;

/// The store of a server with this data directory, for tests that write to it before the server starts.
fn place_of(directory: &Path) -> StoreLocation {
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

/// How the binary under test is started: without limits unless a test asks for them.
fn launch() -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_agentcafe"))
}

/// A started server and a client of it.
async fn cafe() -> (Server, Client) {
    let server = launch().start().await;
    let client = server.client();
    (server, client)
}

/// All events of all tenants and rooms, up to the 5000th.
async fn log(client: &Client) -> Vec<Value> {
    let page = client.get("/v1/events?limit=5000").await;
    page.data()["events"].as_array().cloned().unwrap_or_default()
}
