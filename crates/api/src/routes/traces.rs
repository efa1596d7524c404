//! `GET /v1/traces/{correlationId}`.

use agentcafe_domain::{
    fields::Fields,
    ids::{CorrelationId, TenantId},
    refusal::{Code, Refusal},
    trace::Trace,
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer,
    input::{Asked, PathId},
    problem::Problem,
};

/// The answer.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TraceFound {
    trace: Trace,
}

/// The tenant whose traces are looked at; all if none is given.
pub(crate) fn read(query: &Fields) -> Result<Option<TenantId>, Refusal> {
    query.tenant("tenantId")
}

pub(crate) async fn by_correlation(PathId(id): PathId, asked: Asked) -> Result<Response, Problem> {
    let tenant = read(&asked.query)?;
    let trace = match CorrelationId::parse(&id) {
        Ok(correlation_id) => asked.app.engine.store.trace(correlation_id, tenant).await?,
        Err(_) => None,
    };
    match trace {
        Some(trace) => Ok(answer::found(&TraceFound { trace })),
        None => Err(Refusal::new(Code::NotFound).with("correlationId", id).into()),
    }
}

/// `/v1/traces/` looks up the empty id.
pub(crate) async fn without_id() -> Problem {
    Refusal::new(Code::NotFound).with("correlationId", "").into()
}
