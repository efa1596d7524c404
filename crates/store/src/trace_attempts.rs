//! Builds a trace from the stored attempts that share a correlation id.

use agentcafe_domain::kernel::{
    ActorId, CorrelationId, MAX_STEPS, RoomId, Status, Step, StepCode, TenantId, Timestamp, Trace,
};
use serde_json::json;
use uuid::Uuid;

/// The most attempts in one trace.
pub(crate) const MAX_ATTEMPTS: i64 = 40;

/// An attempt as databases store it.
pub(crate) struct Attempt {
    pub(crate) trace_id: Uuid,
    pub(crate) request_id: String,
    pub(crate) route: String,
    pub(crate) method: String,
    pub(crate) tenant: String,
    pub(crate) room: Option<String>,
    pub(crate) actor: Option<String>,
    pub(crate) started_at: Timestamp,
    pub(crate) ended_at: Timestamp,
    pub(crate) succeeded: bool,
    pub(crate) steps: Vec<Step>,
}

impl Attempt {
    fn received(&self) -> Step {
        let details = json!({
            "route": self.route, "method": self.method, "actorId": self.actor, "roomId": self.room,
            "tenantId": self.tenant, "traceId": self.trace_id,
        });
        Step { ts: self.started_at, code: StepCode::RequestReceived, details }
    }
}

/// The newest of these attempts, which come newest first, with the steps of all of them.
pub(crate) fn trace_of(mut attempts: Vec<Attempt>, correlation_id: &CorrelationId) -> Option<Trace> {
    attempts.reverse();
    let mut steps: Vec<Step> = Vec::new();
    for attempt in &mut attempts {
        steps.push(attempt.received());
        steps.append(&mut attempt.steps);
    }
    let newest = attempts.pop()?;
    Some(Trace {
        trace_id: newest.trace_id,
        correlation_id: correlation_id.clone(),
        request_id: newest.request_id,
        route: newest.route,
        method: newest.method,
        actor_id: newest.actor.and_then(|text| ActorId::parse(&text).ok()),
        tenant_id: TenantId::parse(&newest.tenant).ok(),
        room_id: newest.room.and_then(|text| RoomId::parse(&text).ok()),
        status: if newest.succeeded { Status::Success } else { Status::Error },
        started_at: newest.started_at,
        ended_at: Some(newest.ended_at),
        steps: steps.split_off(steps.len().saturating_sub(MAX_STEPS)),
    })
}
