//! Table sessions: a private table, paid for by somebody, for a while, with a plan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    ids::{ActorId, RoomId, TenantId},
    money::Usd,
    plan::Feature,
    record::{Cell, Key, Record, Table},
    time::Timestamp,
};

/// Whether a table is still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// It is.
    Active,
    /// It was ended, or its time ran out. It stays so.
    Ended,
}

impl SessionStatus {
    /// The names of the statuses.
    pub const NAMES: [(&str, Self); 2] = [("active", Self::Active), ("ended", Self::Ended)];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ended => "ended",
        }
    }
}

/// A session. What its plan allows is written into it when it is bought, whatever becomes of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TableSession {
    /// The session.
    pub session_id: Uuid,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// Who bought it.
    pub owner_actor_id: ActorId,
    /// The plan.
    pub plan_id: String,
    /// How many may sit at the table at once.
    pub max_agents: u64,
    /// What they can do there.
    pub features: Vec<String>,
    /// Who may sit at the table beside the owner.
    pub invited_actor_ids: Vec<ActorId>,
    /// Whether it is still open.
    pub status: SessionStatus,
    /// From when on it holds.
    pub started_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
    /// When it was ended.
    pub ended_at: Option<Timestamp>,
    /// What the payment is called.
    pub payment_ref: Option<String>,
    /// How much was paid, in USD.
    pub payment_amount_usd: Usd,
    /// Who took the payment.
    pub payment_provider: String,
    /// Whatever the owner adds.
    pub metadata: Map<String, Value>,
    /// When it was bought.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl TableSession {
    /// Whether an actor may sit at the table.
    pub fn entitles(&self, actor: &ActorId) -> bool {
        self.owner_actor_id == *actor || self.invited_actor_ids.contains(actor)
    }

    /// Whether its plan includes a feature.
    pub fn has(&self, feature: Feature) -> bool {
        self.features.iter().any(|name| name == feature.as_str())
    }
}

impl Record for TableSession {
    const TABLE: &'static Table = &Table {
        name: "table_sessions",
        key: &["session_id"],
        columns: &["tenant_id", "room_id", "owner_actor_id", "status", "active_until", "updated_at"],
    };

    fn key(&self) -> Key {
        vec![self.session_id.to_string().as_str().into()]
    }

    fn columns(&self) -> Vec<Cell> {
        let active_until = (self.status == SessionStatus::Active).then_some(self.expires_at);
        vec![
            (&self.tenant_id).into(),
            (&self.room_id).into(),
            (&self.owner_actor_id).into(),
            self.status.as_str().into(),
            active_until.into(),
            self.updated_at.into(),
        ]
    }
}
