//! Reads a request: the caller, and the input of the operation.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{
    ACTOR_ID, Code, DomainError, Fields, OperationError, ROOM_ID, TENANT_ID, without_byte_order_mark,
};
use agentcafe_domain::keys::Principal;
use agentcafe_http::metrics::method_name;
use agentcafe_http::{ApiError, Handling, KnownNames, is_from_foreign_page, observe, query, request_id, sse};
use agentcafe_service::LastEventId;
use agentcafe_service::{Caller, Input, Transport};
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{FromRequestParts, MatchedPath, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use http_body_util::LengthLimitError;
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::app::App;

/// The largest body, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;
/// How long a client may take to send its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The deepest nesting of a body.
const MAX_DEPTH: usize = 64;
/// What identifies an actor, and a command may name in the query instead of its body.
pub(crate) const BESIDE_BODY: [&str; 3] = [TENANT_ID.name, ROOM_ID.name, ACTOR_ID.name];
const CORRELATION_HEADER: &str = "x-correlation-id";
const KEY_HEADER: &str = "idempotency-key";

/// What a route reads of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// The path and the query.
    Query,
    /// Those, and the position of a client that reconnects.
    Stream,
    /// The path, the query and the headers of a mutation.
    Key,
    /// All of that, and a body.
    Body,
    /// The same, of a command of an actor.
    Command,
}

/// A request that was read.
pub(crate) struct ReceivedRequest<'k> {
    pub(crate) caller: Caller,
    pub(crate) input: Input,
    pub(crate) handling: Handling<'k>,
}

/// Reads the caller and the input, and finds out which of its names are not among the known ones.
///
/// # Errors
/// The first thing that is wrong with the request.
pub(crate) async fn read<'k>(
    app: &Arc<App>,
    request: Request,
    reads: Reads,
    known: &'k KnownNames,
) -> Result<ReceivedRequest<'k>, ApiError> {
    let (mut parts, body) = request.into_parts();
    let id = path_id(&mut parts, app).await?;
    let (mut idempotency_key, mut correlation_id) = (None, None);
    if matches!(reads, Reads::Key | Reads::Body | Reads::Command) {
        idempotency_key = header(&parts.headers, KEY_HEADER)?.map(unquoted).filter(|key| !key.is_empty());
        correlation_id = header(&parts.headers, CORRELATION_HEADER)?;
    }
    let principal: Principal = parts.extensions.remove().ok_or_else(OperationError::internal)?;
    let parameters = query::fields(&parts.uri)?;
    let caller = Caller {
        principal,
        transport: Transport {
            route: parts.uri.path().to_owned(),
            method: method_name(&parts.method),
            is_probe: parts.method == Method::HEAD || is_from_foreign_page(&parts.extensions),
        },
        request_id: request_id(&parts.extensions),
        correlation_id,
        idempotency_key,
    };
    let last_event_id = match reads {
        Reads::Stream => sse::last_event_id(&parts.headers),
        Reads::Query | Reads::Key | Reads::Body | Reads::Command => LastEventId::Missing,
    };
    let mut body = match reads {
        Reads::Body | Reads::Command => read_body(body).await?,
        Reads::Query | Reads::Stream | Reads::Key => Map::new(),
    };
    if reads == Reads::Command {
        complete(&mut body, &parameters);
    }
    let binding = caller.principal.binding();
    let parameters = parameters.bound_to(binding.cloned());
    let body = Fields::of_body(body).bound_to(binding.cloned());
    let handling = known.handling(&parts.headers, &parameters, &body);
    let input = Input { id, parameters, body, last_event_id };
    observe::record_ids(|| ids(&input));
    Ok(ReceivedRequest { caller, input, handling })
}

/// Adds to the body of a command what identifies its actor and only the query names.
fn complete(body: &mut Map<String, Value>, parameters: &Fields) {
    let Some(parameters) = parameters.members().filter(|parameters| !parameters.is_empty()) else { return };
    for name in BESIDE_BODY {
        if let Some(beside) = parameters.get(name) {
            body.entry(name).or_insert_with(|| beside.clone());
        }
    }
}

/// The tenant, the room and the actor that the body names, else the query.
fn ids(input: &Input) -> [Option<String>; 3] {
    let named = |field| {
        let texts = [&input.body, &input.parameters].map(|fields| fields.trimmed_text(field).ok().flatten());
        texts.into_iter().flatten().next()
    };
    [TENANT_ID, ROOM_ID, ACTOR_ID].map(named)
}

/// The one id in the path, decoded; empty for a path without one.
async fn path_id(parts: &mut Parts, app: &Arc<App>) -> Result<String, DomainError> {
    let has_id = parts.extensions.get::<MatchedPath>().is_some_and(|path| path.as_str().contains('{'));
    if !has_id {
        return Ok(String::new());
    }
    let invalid = || DomainError::new(Code::Validation).saying("the path is not valid percent-encoded UTF-8");
    if !escapes_are_whole(parts.uri.path()) {
        return Err(invalid());
    }
    let path = Path::<String>::from_request_parts(parts, app).await;
    let Path(id) = path.map_err(|_| invalid())?;
    if id.contains('\0') {
        return Err(invalid().saying("the path contains a NUL character"));
    }
    Ok(id)
}

/// Whether every `%` precedes two hexadecimal digits.
fn escapes_are_whole(path: &str) -> bool {
    let escapes = path.split('%').skip(1);
    escapes.map(str::as_bytes).all(|rest| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit))
}

/// Reads a body. One whose length is announced as too large is refused unread, also if the client waits for `100 Continue`.
async fn read_body(bytes: Body) -> Result<Map<String, Value>, ApiError> {
    if bytes.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(too_large());
    }
    let bytes = timeout(BODY_TIMEOUT, to_bytes(bytes, MAX_BODY_BYTES)).await;
    let bytes = bytes.map_err(|_| incomplete())?.map_err(|error| unreadable(&error))?;
    Ok(body(&bytes)?)
}

/// A header's text, trimmed; none if blank.
fn header(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, DomainError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text =
        value.to_str().map_err(|_| DomainError::invalid(name, format!("{name} must be plain ASCII text")))?;
    Ok(Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned))
}

/// The text of a structured field: a quoted key is the same key as a bare one.
fn unquoted(key: String) -> String {
    match key.strip_prefix('"').and_then(|key| key.strip_suffix('"')) {
        Some(inner) => inner.to_owned(),
        None => key,
    }
}

fn unreadable(error: &axum::Error) -> ApiError {
    let is_too_large = error.source().is_some_and(|source| source.is::<LengthLimitError>());
    if is_too_large { too_large() } else { incomplete() }
}

fn too_large() -> ApiError {
    DomainError::new(Code::PayloadTooLarge)
        .saying(format!("a body has at most {MAX_BODY_BYTES} bytes"))
        .with("maxBytes", MAX_BODY_BYTES)
        .into()
}

fn incomplete() -> ApiError {
    DomainError::new(Code::Validation)
        .saying(format!("the body is incomplete, or took longer than {} s", BODY_TIMEOUT.as_secs()))
        .into()
}

fn invalid(message: String) -> DomainError {
    DomainError::new(Code::Validation).saying(message)
}

/// Parses a body: empty counts as `{}`. A byte order mark before it is skipped.
fn body(bytes: &[u8]) -> Result<Map<String, Value>, DomainError> {
    let bytes = without_byte_order_mark(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| invalid("the body is not valid JSON".to_owned()).with("cause", error.to_string()))?;
    check(&value, MAX_DEPTH)?;
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

/// Checks that a value is not nested too deeply, and has no number that most clients could not read back: numbers are kept as
/// they were written.
fn check(value: &Value, levels: usize) -> Result<(), DomainError> {
    let deeper = |member: &Value| check(member, levels.saturating_sub(1));
    match value {
        Value::Object(_) | Value::Array(_) if levels == 0 => {
            let message = format!("a body is nested at most {MAX_DEPTH} levels deep");
            Err(invalid(message).with("maxDepth", MAX_DEPTH))
        }
        Value::Object(members) => members.values().try_for_each(deeper),
        Value::Array(members) => members.iter().try_for_each(deeper),
        Value::Number(number) if number.as_f64().is_none_or(f64::is_infinite) => {
            Err(invalid("a number is larger than a double-precision number can be".to_owned()))
        }
        _ => Ok(()),
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
