//! The audit trail: what operators did, and what they were denied. Entries are only ever added.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::kernel::{
    ActorId, CommandContext, CommandError, CorrelationId, RoomId, Sequence, TenantId, Timestamp, record,
};

/// The result of an operator's action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditVerdict {
    /// It took effect.
    Applied,
    /// The operator was not allowed to.
    Denied,
}

/// One action of an operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// The entry.
    pub id: Uuid,
    /// Its place in the trail: 1 for the first, then increasing over all tenants.
    pub audit_seq: Sequence,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// The actor that acted.
    pub operator_id: ActorId,
    /// What it did, or tried.
    pub action: String,
    /// On whom.
    pub target_actor_id: Option<ActorId>,
    /// Why.
    pub reason: Option<String>,
    /// Whatever was added.
    pub metadata: Map<String, Value>,
    /// What ties it to its events and its trace.
    pub correlation_id: Option<CorrelationId>,
    /// The request it came with.
    pub request_id: Option<String>,
    /// Whether it took effect.
    pub outcome: AuditVerdict,
    /// The event of the action.
    pub event_id: Option<Uuid>,
    /// When.
    pub created_at: Timestamp,
}

record!(AuditEntry in "audit_entries": [audit_seq] tenant_id, room_id, operator_id, action, created_at);

/// What an entry holds beside what the context provides.
pub struct AuditInput<'a> {
    /// The tenant.
    pub tenant_id: &'a TenantId,
    /// The room.
    pub room_id: &'a RoomId,
    /// The actor.
    pub operator_id: &'a ActorId,
    /// What it does.
    pub action: &'a str,
    /// On whom.
    pub target_actor_id: Option<&'a ActorId>,
    /// Why.
    pub reason: Option<&'a str>,
    /// Whatever is added.
    pub metadata: &'a Map<String, Value>,
}

/// Passes on the result of a check; records a denial in the audit trail.
///
/// # Errors
/// [`CommandError::DeniedAudited`] instead of [`CommandError::Refused`], so that the entry is committed.
pub fn unless_denied(
    ctx: &mut CommandContext<'_>,
    checked: Result<(), CommandError>,
    input: &AuditInput<'_>,
) -> Result<(), CommandError> {
    let Err(CommandError::Refused(error)) = checked else { return checked };
    record(ctx, input, AuditVerdict::Denied, None);
    Err(CommandError::DeniedAudited(error))
}

/// Adds an entry to the trail.
pub fn record(
    ctx: &mut CommandContext<'_>,
    input: &AuditInput<'_>,
    outcome: AuditVerdict,
    event_id: Option<Uuid>,
) -> AuditEntry {
    let audit_seq = ctx.effects.heads.audit.next();
    ctx.effects.heads.audit = audit_seq;
    let entry = AuditEntry {
        id: ctx.fresh_id(),
        audit_seq,
        tenant_id: input.tenant_id.clone(),
        room_id: input.room_id.clone(),
        operator_id: input.operator_id.clone(),
        action: input.action.to_owned(),
        target_actor_id: input.target_actor_id.cloned(),
        reason: input.reason.map(str::to_owned),
        metadata: input.metadata.clone(),
        correlation_id: Some(ctx.correlation_id.clone()),
        request_id: ctx.request.map(|request| request.id.to_owned()),
        outcome,
        event_id,
        created_at: ctx.now,
    };
    ctx.put(&entry);
    entry
}
