//! Traces: what became of a request.

use agentcafe_domain::kernel::{
    Code, CorrelationId, DomainError, OperationError, TENANT_FILTER, TenantId, Trace,
};
use agentcafe_domain::keys::Scope;
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, Operation, parameters};

parameters! {
    /// Reads the trace of a correlation id.
    GetTrace(fields, input) {
        id: String = input.id.clone(),
        /// The tenant whose traces are read; all if none is given.
        tenant: Option<TenantId> = fields.tenant(TENANT_FILTER)?,
    }
}

/// One trace.
#[derive(Serialize, JsonSchema)]
pub struct OneTrace {
    /// The trace.
    trace: Trace,
}

impl Operation for GetTrace {
    type Output = OneTrace;

    const SCOPES: &'static [Scope] = &[];

    async fn run(self, call: &Call<'_>) -> Result<OneTrace, OperationError> {
        let principal = &call.caller.principal;
        let owner = principal.restricted_to();
        let trace = match CorrelationId::parse(&self.id) {
            Ok(correlation_id) => call.service.store().trace(correlation_id, self.tenant, owner).await?,
            Err(_) => None,
        };
        let is_reached = |trace: &Trace| match (&trace.tenant_id, &trace.room_id) {
            (Some(tenant), Some(room)) => principal.reaches(tenant, Some(room)),
            _ => true,
        };
        match trace.filter(is_reached) {
            Some(trace) => Ok(OneTrace { trace }),
            None => Err(DomainError::new(Code::NotFound).with("correlationId", self.id).into()),
        }
    }
}
