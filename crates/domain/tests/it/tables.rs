//! Private tables: access, plans and payments.

use agentcafe_domain::kernel::{ActorInRoom, Timestamp, Usd};
use agentcafe_domain::tables::{SessionStatus, TableSession};
use serde_json::Map;
use uuid::Uuid;

use crate::harness::{actor, id};

mod access;
mod payment;
mod plan;

/// A session of Nova's in the main room from 1,000 ms to 2,000 ms, to which Kai is invited.
pub(crate) fn session(features: &[&str]) -> TableSession {
    let ActorInRoom { tenant_id, room_id, actor_id } = actor("Nova");
    TableSession {
        session_id: Uuid::nil(),
        tenant_id,
        room_id,
        owner_actor_id: actor_id,
        plan_id: "americano".to_owned(),
        max_agents: 2,
        features: features.iter().map(|feature| (*feature).to_owned()).collect(),
        invited_actor_ids: vec![id("Kai")],
        status: SessionStatus::Active,
        started_at: Timestamp::from_millis(1_000),
        expires_at: Timestamp::from_millis(2_000),
        ended_at: None,
        payment_ref: None,
        payment_amount_usd: Usd::from_cents(0),
        payment_provider: "off".to_owned(),
        metadata: Map::new(),
        created_at: Timestamp::from_millis(0),
        updated_at: Timestamp::from_millis(0),
    }
}
