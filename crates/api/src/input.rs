//! What a request brings: query parameters, and for mutations a body, ids and a key.

use std::{sync::Arc, time::Duration};

use agentcafe_domain::kernel::{
    actor::ActorInRoom,
    command::Command,
    error::{Code, DomainError},
    fields::Fields,
    idempotency::IdempotencyKey,
    ids::{ActorId, CorrelationId, RoomId, TenantId},
    rules::Rules,
};
use agentcafe_engine::Mutation;
use agentcafe_http::{RequestId, door::method_name, query};
use agentcafe_store::Origin;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request, rejection::BytesRejection},
    http::{Method, request::Parts},
    response::Response,
};
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::{answer, app::App, error::ApiError};

/// The largest body, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 1 << 20;
/// How long a client may take to send its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The deepest nesting of a body.
const MAX_DEPTH: usize = 64;
const CORRELATION_HEADER: &str = "x-correlation-id";
const KEY_HEADER: &str = "idempotency-key";

/// A read: the query parameters, and what all routes share.
pub(crate) struct ReadRequest {
    pub(crate) app: Arc<App>,
    pub(crate) query: Fields,
}

impl FromRequestParts<Arc<App>> for ReadRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let query = query::fields(&parts.uri)?;
        // What this client has just done, perhaps on another node, it must see.
        app.engine.store.catch_up().await?;
        Ok(Self { app: Arc::clone(app), query })
    }
}

/// The one id in the path, decoded.
pub(crate) struct PathId(pub(crate) String);

impl FromRequestParts<Arc<App>> for PathId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let invalid =
            || DomainError::new(Code::Validation).saying("the path is not valid percent-encoded UTF-8");
        if !escapes_are_whole(parts.uri.path()) {
            return Err(invalid().into());
        }
        let path = axum::extract::Path::<String>::from_request_parts(parts, app).await;
        let axum::extract::Path(id) = path.map_err(|_| invalid())?;
        if id.contains('\0') {
            return Err(invalid().saying("the path contains a NUL character").into());
        }
        Ok(Self(id))
    }
}

/// Whether every `%` stands before two hexadecimal digits.
fn escapes_are_whole(path: &str) -> bool {
    let escapes = path.split('%').skip(1);
    escapes.map(str::as_bytes).all(|rest| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit))
}

/// A mutation: its body and what identifies it.
pub(crate) struct WriteRequest {
    pub(crate) app: Arc<App>,
    pub(crate) query: Fields,
    pub(crate) body: Fields,
    path: String,
    method: &'static str,
    request_id: String,
    key: Option<String>,
    correlation_header: Option<String>,
}

impl FromRequest<Arc<App>> for WriteRequest {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        let key = header(&request, KEY_HEADER)?;
        let correlation_header = header(&request, CORRELATION_HEADER)?;
        let request_id = RequestId::of(request.extensions());
        let (path, query) = (request.uri().path().to_owned(), query::fields(request.uri())?);
        let method = method_name(request.method());
        // What comes with a DELETE is not read.
        let body =
            if request.method() == Method::DELETE { Map::new() } else { read_body(request, app).await? };
        let body = Fields::of_body(body);
        Ok(Self { app: Arc::clone(app), query, body, path, method, request_id, key, correlation_header })
    }
}

async fn read_body(request: Request, app: &Arc<App>) -> Result<Map<String, Value>, ApiError> {
    let bytes = timeout(BODY_TIMEOUT, Bytes::from_request(request, app)).await;
    let bytes = bytes.map_err(|_| cut_off())?.map_err(unreadable)?;
    Ok(body(&bytes)?)
}

/// A header's text, trimmed; none if blank.
fn header(request: &Request, name: &'static str) -> Result<Option<String>, DomainError> {
    let Some(value) = request.headers().get(name) else { return Ok(None) };
    let text =
        value.to_str().map_err(|_| DomainError::invalid(name, format!("{name} must be plain ASCII text")))?;
    Ok(Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned))
}

fn unreadable(rejection: BytesRejection) -> ApiError {
    use axum::extract::rejection::FailedToBufferBody;
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            DomainError::new(Code::PayloadTooLarge)
                .saying(format!("a body has at most {MAX_BODY_BYTES} bytes"))
                .with("maxBytes", MAX_BODY_BYTES)
                .into()
        }
        _ => cut_off(),
    }
}

fn cut_off() -> ApiError {
    DomainError::new(Code::Validation).saying("the body did not come whole").into()
}

/// Parses a body: empty counts as `{}`.
fn body(bytes: &[u8]) -> Result<Map<String, Value>, DomainError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    let invalid = |message: String| DomainError::new(Code::Validation).saying(message);
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| invalid("the body is not valid JSON".to_owned()).with("cause", error.to_string()))?;
    if depth_exceeds(&value, MAX_DEPTH) {
        return Err(
            invalid(format!("a body is nested at most {MAX_DEPTH} levels deep")).with("maxDepth", MAX_DEPTH)
        );
    }
    // A NUL can only come in escaped, and few bodies have one: the text is searched before the tree.
    let may_have_nul = bytes.windows(6).any(|window| window == b"\\u0000");
    if may_have_nul && has_nul(&value) {
        return Err(invalid("a string contains a NUL character".to_owned()));
    }
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(invalid("the body must be a JSON object".to_owned())),
    }
}

fn depth_exceeds(value: &Value, levels: usize) -> bool {
    let deeper = |member: &Value| depth_exceeds(member, levels.saturating_sub(1));
    match value {
        Value::Object(members) => levels == 0 || members.values().any(deeper),
        Value::Array(members) => levels == 0 || members.iter().any(deeper),
        _ => false,
    }
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(key, member)| key.contains('\0') || has_nul(member)),
        Value::Array(members) => members.iter().any(has_nul),
        Value::String(text) => text.contains('\0'),
        _ => false,
    }
}

/// Whom a mutation is about, for its trace and its key.
pub(crate) struct Subject<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) room: Option<&'a RoomId>,
    pub(crate) actor: Option<&'a ActorId>,
}

impl<'a> From<&'a ActorInRoom> for Subject<'a> {
    fn from(actor: &'a ActorInRoom) -> Self {
        Self { tenant: &actor.tenant_id, room: Some(&actor.room_id), actor: Some(&actor.actor_id) }
    }
}

impl WriteRequest {
    /// The settings of the rules.
    pub(crate) fn rules(&self) -> &Rules {
        self.app.rules()
    }

    /// The request's path.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Carries the mutation out, once under its key in this scope, and renders the answer.
    pub(crate) async fn execute(
        &self,
        subject: Subject<'_>,
        scope: &[&str],
        command: impl Command + 'static,
    ) -> Result<Response, ApiError> {
        let correlation_id = self.correlation_id()?;
        let no_body = Map::new();
        let body = self.body.body().unwrap_or(&no_body);
        let key = IdempotencyKey::new(self.key.as_deref(), subject.tenant, scope, self.method, body);
        let origin = Origin {
            trace_id: self.app.engine.fresh_id(),
            request_id: self.request_id.clone(),
            route: self.path.clone(),
            method: self.method,
            tenant_id: subject.tenant.clone(),
            room_id: subject.room.cloned(),
            actor_id: subject.actor.cloned(),
            started_at: self.app.engine.now(),
        };
        let mutation = Mutation { command: Arc::new(command), correlation_id, origin, key };
        Ok(answer::executed(&self.app.engine.execute(mutation).await?))
    }

    /// The client's correlation id: the body's, else the header's, else a fresh one.
    fn correlation_id(&self) -> Result<CorrelationId, DomainError> {
        if let Some(given) = self.body.correlation("correlationId")? {
            return Ok(given);
        }
        let given = self.correlation_header.as_deref().map(CorrelationId::parse).transpose();
        let given = given.map_err(|why| DomainError::invalid(CORRELATION_HEADER, why.to_string()))?;
        Ok(given.unwrap_or_else(|| self.app.engine.fresh_correlation_id()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RULINGS R3, B15 and text: what a body may not be.
    #[test]
    fn bodies_are_objects_of_bounded_depth_without_nul() {
        let deep = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let cases: [(Vec<u8>, bool); 14] = [
            (b"".to_vec(), true),
            (b" \n".to_vec(), true),
            (b"{}".to_vec(), true),
            (b"null".to_vec(), false),
            (b"[]".to_vec(), false),
            (b"7".to_vec(), false),
            (b"{".to_vec(), false),
            (b"{\"a\":\"\xff\"}".to_vec(), false),
            (br#"{"a":"\u0000"}"#.to_vec(), false),
            (br#"{"\u0000":1}"#.to_vec(), false),
            (br#"{"a":"\\u0000"}"#.to_vec(), true),
            (br#"{"a":"\ud800"}"#.to_vec(), false),
            (deep(MAX_DEPTH).into_bytes(), true),
            (deep(MAX_DEPTH + 1).into_bytes(), false),
        ];
        for (bytes, want) in cases {
            assert_eq!(body(&bytes).is_ok(), want, "{:?}", String::from_utf8_lossy(&bytes));
        }
    }
}
