//! Lists the audit trail.

use agentcafe_domain::kernel::{
    ActorId, Authority, CURSOR, Comparison, FROM_TS, Field, OPERATOR_VIEWER_ACTOR_ID, OperationError,
    ROOM_FILTER, RecordQuery, RoomId, Sequence, TO_TS, TenantId, Timestamp,
};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::operators::audit::AuditEntry;
use schemars::JsonSchema;
use serde::Serialize;

use super::OperatorViewer;
use crate::operation::{Call, Operation, parameters};
use crate::paging::{Page, after_sequence};

const ACTION: Field = Field::new("action", "Only entries of this action.", "mute_agent");
const OPERATOR_ID: Field = Field::new("operatorId", "Only entries of this operator.", "Nova");

const LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

parameters! {
    /// Lists entries of the audit trail.
    ListAudit(fields) {
        tenant: TenantId = fields.tenant_or_default()?,
        room: Option<RoomId> = fields.room(ROOM_FILTER)?,
        operator: Option<ActorId> = fields.actor(OPERATOR_ID)?,
        viewer: Option<ActorId> = fields.actor(OPERATOR_VIEWER_ACTOR_ID)?,
        action: Option<String> = fields.trimmed_text(ACTION)?,
        from: Option<Timestamp> = fields.timestamp(FROM_TS)?,
        to: Option<Timestamp> = fields.timestamp(TO_TS)?,
        cursor: Option<Sequence> = fields.sequence(CURSOR)?,
        limit: usize = fields.limit(LIMIT, MAX_LIMIT)?,
        ascending: bool = fields.is_ascending(),
    }
}

/// A page of the audit trail.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditPage {
    /// The entries, in the order of the list.
    entries: Vec<AuditEntry>,
    /// The number of entries in this answer.
    count: usize,
    /// The cursor to continue from; unchanged if nothing was found.
    next_cursor: Sequence,
    /// The order of the list: asc or desc.
    order: &'static str,
}

impl ListAudit {
    fn query(&self) -> RecordQuery {
        let mut query = RecordQuery::all::<AuditEntry>("audit_seq", self.limit)
            .is("tenant_id", &self.tenant)
            .is_if_given("room_id", self.room.as_ref())
            .is_if_given("operator_id", self.operator.as_ref())
            .is_if_given("action", self.action.as_deref());
        if let Some(from) = self.from {
            query = query.only("created_at", Comparison::Above, from.as_millis() - 1);
        }
        if let Some(to) = self.to {
            query = query.only("created_at", Comparison::AtMost, to);
        }
        after_sequence(query, self.cursor, !self.ascending)
    }
}

impl Operation for ListAudit {
    type Output = AuditPage;

    const SCOPES: &'static [Scope] = &[Scope::Operate];

    async fn run(self, call: &Call<'_>) -> Result<AuditPage, OperationError> {
        // With an actor's key, the reader is never whom the request merely filters by.
        let filtered =
            self.operator.as_ref().filter(|_| call.caller.principal.authority() == Authority::Admin);
        let actor = self.viewer.as_ref().or(filtered);
        let viewer = OperatorViewer { tenant: &self.tenant, room: self.room.as_ref(), actor };
        viewer.may_see(call, "operator_audit_read").await?;
        let Page { records: entries, .. } = call.service.page::<AuditEntry>(self.query()).await?;
        let given = self.cursor.unwrap_or(Sequence::START);
        Ok(AuditPage {
            count: entries.len(),
            next_cursor: entries.last().map_or(given, |entry| entry.audit_seq),
            entries,
            order: if self.ascending { "asc" } else { "desc" },
        })
    }
}
