//! Headers that a request may have once: with two values, it would depend on the reader which of them counts.

use agentcafe_domain::kernel::DomainError;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Version, header};

/// The headers that may come once, besides `Host`.
const SINGLE: [&str; 8] = [
    "x-api-key",
    "authorization",
    "idempotency-key",
    "x-correlation-id",
    "x-request-id",
    "last-event-id",
    "origin",
    "sec-fetch-site",
];

/// Checks that a request has one `Host`, and no other header with two values where one is read. The same value twice counts as
/// one, except for `Host` (RFC 9112, 3.2). HTTP/1.0 needs no `Host`.
///
/// # Errors
/// `ERR_VALIDATION {field}`.
pub(crate) fn check(request: &Request) -> Result<(), DomainError> {
    let headers = request.headers();
    if !headers.contains_key(header::HOST) && request.version() == Version::HTTP_11 {
        return Err(DomainError::invalid("host", "a request needs a Host header"));
    }
    if headers.len() == headers.keys_len() {
        return Ok(());
    }
    let has_two_hosts = headers.get_all(header::HOST).iter().count() > 1;
    let repeated = has_two_hosts.then_some(header::HOST.as_str());
    let repeated = repeated.or_else(|| SINGLE.into_iter().find(|name| has_two_values(headers, name)));
    match repeated {
        Some(name) => Err(DomainError::invalid(name, format!("{name} may have one value only"))),
        None => Ok(()),
    }
}

fn has_two_values(headers: &HeaderMap, name: &'static str) -> bool {
    let mut values = headers.get_all(HeaderName::from_static(name)).iter();
    let first = values.next();
    values.any(|value| Some(value) != first)
}
