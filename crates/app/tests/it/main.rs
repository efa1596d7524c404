//! Black-box tests over real HTTP against the real binary.

use std::path::Path;
use std::time::Duration;

use agentcafe_domain::kernel::Secret;
use agentcafe_store::{PostgresOptions, StoreLocation, TimeSource};
use agentcafe_testkit::{Client, Launch, Postgres, Server, Value, store_under_test};

mod audit;
mod auth;
mod bodies;
mod bootstrap;
mod catalogue;
mod client_stream;
mod commands;
mod config;
mod drill;
mod earlier_version;
mod envelope;
mod events;
mod examples;
mod export;
mod fields;
mod furnished;
mod handoffs;
mod hostile;
mod idempotency;
mod imports;
mod inbox;
mod intents;
mod last_seen;
mod limits_connections;
mod limits_requests;
mod limits_timeout;
mod limits_zero;
mod load;
mod logging;
mod memory;
mod moderation;
mod naming;
mod objects;
mod openapi;
mod operations;
mod operations_guide;
mod operators;
mod order_at_tables;
mod order_of_checks;
mod pages;
mod payment;
mod permissions;
mod pins;
mod poll;
mod postgres_faults;
mod postgres_migrate;
mod postgres_move;
mod postgres_nodes;
mod postgres_nodes_faults;
mod postgres_tls;
mod presence;
mod private_tables;
mod private_work;
mod profiles;
mod projector;
mod promise_chance;
mod promise_copies;
mod promise_follower;
mod promise_following;
mod promise_kill;
mod promise_large_events;
mod promise_load;
mod promise_raw;
mod promise_stalled_reader;
mod promise_stop;
mod proofs;
mod rate_limit;
mod reaction_engine;
mod reactions;
mod read_gate;
mod readme;
mod realtime;
mod realtime_promises;
mod realtime_redis;
mod replay;
mod replaying;
mod rooms;
mod score;
mod secrets;
mod shared_redis;
mod snapshots;
mod socket;
mod speech;
mod start;
mod store_disk;
mod store_full;
mod store_read_only;
mod store_start;
mod streams;
mod table_sessions;
mod tables;
mod tasks;
mod traces;
mod unwritable;
mod web_socket;
mod webhook_access;
mod webhook_delivery;
mod webhook_dlq;
mod webhook_fields;
mod webhook_kill;
mod webhook_switch;
mod webhook_targets;
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
