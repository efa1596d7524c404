//! `GET /v1/traces/{correlationId}`.

use agentcafe_domain::kernel::{
    error::{Code, DomainError},
    fields::Fields,
    ids::{CorrelationId, TenantId},
    trace::Trace,
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer,
    error::ApiError,
    input::{PathId, ReadRequest},
};

/// The answer.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TraceResponse {
    trace: Trace,
}

/// The tenant whose traces are looked at; all if none is given.
pub(crate) fn read(query: &Fields) -> Result<Option<TenantId>, DomainError> {
    query.tenant("tenantId")
}

pub(crate) async fn by_correlation(PathId(id): PathId, request: ReadRequest) -> Result<Response, ApiError> {
    let tenant = read(&request.query)?;
    let trace = match CorrelationId::parse(&id) {
        Ok(correlation_id) => request.app.engine.store.trace(correlation_id, tenant).await?,
        Err(_) => None,
    };
    match trace {
        Some(trace) => Ok(answer::found(&TraceResponse { trace })),
        None => Err(DomainError::new(Code::NotFound).with("correlationId", id).into()),
    }
}

/// `/v1/traces/` looks up the empty id.
pub(crate) async fn without_id() -> ApiError {
    DomainError::new(Code::NotFound).with("correlationId", "").into()
}
