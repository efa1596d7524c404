//! Success responses: JSON, and the envelope around it.

use agentcafe_domain::kernel::CorrelationId;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, BytesMut};
use serde::Serialize;

/// The header with the correlation id.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// A JSON response.
pub fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = (status, body.into()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    response
}

/// `{"ok":true,"data":…}` around JSON.
pub fn enveloped(status: StatusCode, data: &[u8]) -> Response {
    const BEFORE: &[u8] = br#"{"ok":true,"data":"#;
    let mut body = BytesMut::with_capacity(BEFORE.len() + data.len() + 1);
    body.put_slice(BEFORE);
    body.put_slice(data);
    body.put_u8(b'}');
    json(status, body.freeze())
}

/// The response of a read.
pub fn read(data: &impl Serialize) -> Response {
    let data = serde_json::to_vec(data).expect("a response has text keys and finite numbers");
    enveloped(StatusCode::OK, &data)
}

/// `{"ok":true,"data":{name:true}}`.
pub fn flag(name: &str) -> Response {
    enveloped(StatusCode::OK, format!(r#"{{"{name}":true}}"#).as_bytes())
}

/// The page that Prometheus reads.
pub fn metrics(page: String) -> Response {
    const TYPE: HeaderValue =
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(header::CONTENT_TYPE, TYPE)], page).into_response()
}

/// Adds an id to the headers, if there is one and a header can hold it.
pub fn insert_id(headers: &mut HeaderMap, name: HeaderName, id: Option<&CorrelationId>) {
    if let Some(value) = id.and_then(|id| HeaderValue::from_str(id.as_str()).ok()) {
        headers.insert(name, value);
    }
}
