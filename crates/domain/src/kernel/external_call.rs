//! What a command needs from outside before it can be decided: fetched between two attempts to decide it, never inside a turn.

use uuid::Uuid;

use crate::{
    kernel::{
        ids::{ActorId, RoomId, TenantId},
        money::Usd,
        secret::Secret,
    },
    tables::payment::Charged,
    webhooks::{delivery::Attempted, replay::Redelivery},
};

/// Something to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum ExternalCall {
    /// Ask the payment provider.
    Charge(Charge),
    /// Send a webhook once more.
    Redeliver(Box<Redelivery>),
}

/// What came of an [`ExternalCall`].
#[derive(Clone, Debug, PartialEq)]
pub enum CallResult {
    /// What the payment provider said.
    Charged(Charged),
    /// How the attempt went.
    Redelivered(Attempted),
}

/// What the payment provider is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Charge {
    /// The same for every attempt of the same request, so that nobody pays twice.
    pub payment_id: Uuid,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room that becomes private.
    pub room_id: RoomId,
    /// Who pays.
    pub owner_actor_id: ActorId,
    /// What the client proves its payment with.
    pub proof: Option<Secret>,
    /// What the client calls its payment.
    pub reference: Option<String>,
    /// How much.
    pub amount: Usd,
    /// The `x-request-id`.
    pub request_id: String,
}
