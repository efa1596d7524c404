//! Private tables that tests put into a store directly, without a payment.

use std::path::Path;
use std::sync::Arc;

use agentcafe_domain::kernel::{
    ActorId, Command, CommandContext, CommandError, CorrelationId, Query, Reply, RoomId, Rules, Success,
    TenantId, Usd,
};
use agentcafe_domain::permissions::RoomOverride;
use agentcafe_domain::rooms::{Room, RoomType};
use agentcafe_domain::tables::{SessionStatus, TableSession};
use agentcafe_engine::clock::{RandomIds, SystemClock};
use agentcafe_store::{Envelope, Store, StoreOptions};
use serde_json::Map;

/// Nova's private table in the default tenant, with an active session.
pub(crate) struct StoredTable {
    /// The room.
    pub(crate) room: &'static str,
    /// The features of its plan.
    pub(crate) features: Vec<&'static str>,
    /// Actors who are invited.
    pub(crate) guests: &'static [&'static str],
    /// How long its session lasts, in milliseconds.
    pub(crate) open_for_ms: i64,
    /// Whether an operator has paused it.
    pub(crate) is_paused: bool,
}

fn actor(name: &str) -> ActorId {
    ActorId::parse(name).expect("an actor")
}

impl Command for StoredTable {
    fn reads(&self) -> Vec<Query> {
        Vec::new()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let (tenant_id, room_id) = (TenantId::default(), RoomId::parse(self.room).expect("a room"));
        let now = ctx.now;
        ctx.put(&Room {
            room_type: RoomType::PrivateTable,
            owner_actor_id: Some(actor("Nova")),
            updated_at: Some(now),
            ..Room::without_record(tenant_id.clone(), room_id.clone())
        });
        let session_id = ctx.fresh_id();
        ctx.put(&TableSession {
            session_id,
            tenant_id: tenant_id.clone(),
            room_id: room_id.clone(),
            owner_actor_id: actor("Nova"),
            plan_id: "americano".to_owned(),
            max_agents: 8,
            features: self.features.iter().map(|name| (*name).to_owned()).collect(),
            invited_actor_ids: self.guests.iter().copied().map(actor).collect(),
            status: SessionStatus::Active,
            started_at: now,
            expires_at: now.plus_ms(self.open_for_ms),
            ended_at: None,
            payment_ref: None,
            payment_amount_usd: Usd::from_cents(0),
            payment_provider: "off".to_owned(),
            metadata: Map::new(),
            created_at: now,
            updated_at: now,
        });
        if self.is_paused {
            ctx.put(&RoomOverride {
                tenant_id,
                room_id,
                room_paused: true,
                paused_by: None,
                pause_reason: None,
                paused_at: None,
                resumed_at: None,
                muted_actors: Default::default(),
                metadata: Map::new(),
                created_at: now,
                updated_at: now,
            });
        }
        Ok(Reply::new(Success::Ok, &()))
    }
}

/// Puts tables into the store of servers with this data directory.
pub(crate) async fn store_tables(directory: &Path, tables: Vec<StoredTable>) {
    let (store, closing) = Store::open(StoreOptions {
        location: crate::store_location(directory),
        accept_shorter_log: false,
        rules: Rules::default(),
        clock: Arc::new(SystemClock::of_this_boot()),
        ids: Box::new(RandomIds::default()),
        shared_windows: None,
        on_commit: Box::new(|_| {}),
    })
    .expect("a new store");
    for table in tables {
        let correlation_id = CorrelationId::parse("tables").expect("an id");
        let envelope = Envelope { command: Arc::new(table), correlation_id, request: None, outcome: None };
        store.submit(envelope).await.expect("the store accepts writes");
    }
    drop(store);
    tokio::task::spawn_blocking(move || closing.wait()).await.expect("the store closes");
}
