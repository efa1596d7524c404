//! Table sessions: a private table that was paid for, for a time, with a plan.

pub mod access;
pub mod change;
pub mod end;
pub mod open;
pub mod payment;
pub mod plan;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::kernel::{
    ActorId, Code, DomainError, Field, Key, RoomId, Secret, TenantId, Timestamp, Usd, payloads, record,
    rule_set, wire_enum,
};
use crate::tables::payment::PaymentMode;
use crate::tables::plan::{Catalogue, Feature};

/// How private tables are sold.
#[derive(Clone, Debug, PartialEq)]
pub struct PrivateTableRules {
    /// How they are paid for.
    pub payment: PaymentMode,
    /// What it costs to make a room private.
    pub price: Usd,
    /// The plans of sessions.
    pub plans: Catalogue,
    /// Whether only those at a private table may read what happens there.
    pub gates_reads: bool,
}

impl Default for PrivateTableRules {
    fn default() -> Self {
        Self {
            payment: PaymentMode::Stub { proof: Some(Secret::new(payment::DEFAULT_STUB_PROOF)) },
            price: Usd::from_cents(350),
            plans: Catalogue::default(),
            gates_reads: false,
        }
    }
}
rule_set!(PrivateTableRules);

/// How many actors may be invited for each seat.
const INVITED_PER_SEAT: u64 = 4;
/// How many invitations are read at all: more than any plan allows.
const MAX_LISTED: usize = 256;

wire_enum! {
    /// Whether a table is still open.
    #[derive(JsonSchema)]
    pub enum SessionStatus {
        /// It is.
        Active = "active",
        /// It was ended, or its time ran out. It stays so.
        Ended = "ended",
    }
}

/// A session. What its plan includes is copied into it when it is bought, so that later changes of the plan do not matter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TableSession {
    /// The session.
    pub session_id: Uuid,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// The actor that bought it.
    pub owner_actor_id: ActorId,
    /// The plan.
    pub plan_id: String,
    /// How many may sit at the table at once.
    pub max_agents: u64,
    /// What they can do there.
    pub features: Vec<String>,
    /// The actors that may sit at the table beside the owner.
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
    /// The provider of the payment.
    pub payment_provider: String,
    /// Whatever the owner adds.
    pub metadata: Map<String, Value>,
    /// When it was bought.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A session as callers other than its owner and admins see it: without its payment.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionWithoutPayment {
    /// The session.
    session_id: Uuid,
    tenant_id: TenantId,
    room_id: RoomId,
    /// The actor that bought the session.
    owner_actor_id: ActorId,
    /// The plan that was bought.
    plan_id: String,
    /// The number of seats at the table.
    max_agents: u64,
    /// The features that the plan includes.
    features: Vec<String>,
    /// The actors that may sit at the table beside the owner.
    invited_actor_ids: Vec<ActorId>,
    /// Whether the table is open.
    status: SessionStatus,
    /// When the session starts.
    started_at: Timestamp,
    /// When the session ends.
    expires_at: Timestamp,
    /// When the session was ended; null if it was not.
    ended_at: Option<Timestamp>,
    /// Free data of the owner.
    metadata: Map<String, Value>,
    /// When the session was bought.
    created_at: Timestamp,
    /// When the session was last changed.
    updated_at: Timestamp,
}

/// A session as one viewer sees it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum SessionView {
    /// Its owner, or an admin.
    Whole(Box<TableSession>),
    /// Every other viewer.
    WithoutPayment(Box<SessionWithoutPayment>),
}

/// The error for a session that does not exist in this tenant.
pub fn not_found(tenant: &TenantId, session: &str) -> DomainError {
    DomainError::new(Code::NotFound).with("tenantId", tenant.as_str()).with("sessionId", session)
}

const INVITED_ACTOR_IDS: Field =
    Field::new("invitedActorIds", "The actors that may sit at the table beside the owner.", r#"["Kai"]"#)
        .up_to(MAX_LISTED)
        .in_example();

/// The invited actors of a table with so many seats, without its owner, which needs no invitation.
fn guests(mut invited: Vec<ActorId>, owner: &ActorId, seats: u64) -> Result<Vec<ActorId>, DomainError> {
    invited.retain(|actor| actor != owner);
    let max = seats * INVITED_PER_SEAT;
    if invited.len() as u64 <= max {
        return Ok(invited);
    }
    let message = format!("at most {INVITED_PER_SEAT} actors are invited for each seat");
    Err(DomainError::out_of_bounds(INVITED_ACTOR_IDS.name, message, invited.len()).with("max", max))
}

impl TableSession {
    /// The key of the session with this id.
    pub fn key_of(session_id: Uuid) -> Key {
        vec![session_id.into()]
    }

    /// The session with its payment, or without it.
    pub fn view(self, shows_payment: bool) -> SessionView {
        if shows_payment {
            return SessionView::Whole(Box::new(self));
        }
        SessionView::WithoutPayment(Box::new(SessionWithoutPayment {
            session_id: self.session_id,
            tenant_id: self.tenant_id,
            room_id: self.room_id,
            owner_actor_id: self.owner_actor_id,
            plan_id: self.plan_id,
            max_agents: self.max_agents,
            features: self.features,
            invited_actor_ids: self.invited_actor_ids,
            status: self.status,
            started_at: self.started_at,
            expires_at: self.expires_at,
            ended_at: self.ended_at,
            metadata: self.metadata,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }))
    }

    /// Whether an actor may sit at the table.
    pub fn entitles(&self, actor: &ActorId) -> bool {
        self.owner_actor_id == *actor || self.invited_actor_ids.contains(actor)
    }

    /// Whether its plan includes a feature.
    pub fn has(&self, feature: Feature) -> bool {
        self.features.iter().any(|name| name == feature.as_str())
    }
}

record!(TableSession in "table_sessions" as session: [session_id]
    tenant_id, room_id, owner_actor_id, status,
    active_until = (session.status == SessionStatus::Active).then_some(session.expires_at), updated_at);

payloads! {
    /// A session at a private table began. Events of earlier versions also have the payment.
    TableSessionCreated {
        /// The session.
        session_id: Uuid,
        /// The room of the table.
        room_id: RoomId,
        /// The actor that bought it.
        owner_actor_id: ActorId,
        /// The plan that was bought.
        plan_id: String,
        /// The actors that may sit at the table beside the owner.
        invited_actor_ids: Vec<ActorId>,
        /// Whether the table is open.
        #[schemars(with = "SessionStatus")]
        status: String,
        /// When the session starts.
        started_at: Timestamp,
        /// When the session ends.
        expires_at: Option<Timestamp>,
        /// Free data of the owner.
        metadata: Map<String, Value>,
    }
    /// A session changed.
    TableSessionUpdated {
        /// The session.
        session_id: Uuid,
        /// Whether the table is open.
        #[schemars(with = "SessionStatus")]
        status: String,
        /// The plan that was bought.
        plan_id: String,
        /// The actors that may sit at the table beside the owner.
        invited_actor_ids: Vec<ActorId>,
        /// When the session starts.
        started_at: Timestamp,
        /// When the session ends.
        expires_at: Option<Timestamp>,
        /// When the session was ended; null if it was not.
        ended_at: Option<Timestamp>,
        /// Free data of the owner.
        metadata: Map<String, Value>,
        /// The fields that changed.
        changed_fields: Vec<String>,
    }
    /// A session ended; the reason is `expired` if its time ran out.
    TableSessionEnded {
        /// The session.
        session_id: Uuid,
        /// When it ended.
        ended_at: Timestamp,
        /// The actor that bought it.
        owner_actor_id: ActorId,
        /// `expired` if its time ran out; else missing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
}
