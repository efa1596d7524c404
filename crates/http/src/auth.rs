//! The API token: requests must carry it, if one is set.

use agentcafe_domain::kernel::{Code, DomainError};
use axum::http::{HeaderMap, Uri, header};
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::error::ApiError;
use crate::query;

const API_KEY: &str = "x-api-key";

/// The token that requests must carry, and the query parameter that may hold it.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token; none: no token is required.
    pub wanted: Option<String>,
    /// The query parameter that may hold it.
    pub query_param: String,
}

/// Checks the token of a request. The first one counts, in this order: `x-api-key`, `Authorization: Bearer`, the query
/// parameter. The comparison takes constant time.
///
/// # Errors
/// The token is missing or wrong.
pub fn check(token: &Token, headers: &HeaderMap, uri: &Uri) -> Result<(), ApiError> {
    let Some(wanted) = &token.wanted else { return Ok(()) };
    let given = header_token(headers)
        .or_else(|| query::value(uri, &token.query_param).filter(|token| !token.trim().is_empty()));
    let matches = given.is_some_and(|given| given.trim().as_bytes().ct_eq(wanted.as_bytes()).into());
    if matches {
        return Ok(());
    }
    Err(DomainError::new(Code::Unauthorized)
        .with("auth", json!({ "header": API_KEY, "query": token.query_param }))
        .into())
}

fn header_token(headers: &HeaderMap) -> Option<String> {
    // A value that is not UTF-8 is a wrong token, not a missing one.
    let text = |name: &str| {
        let value = String::from_utf8_lossy(headers.get(name)?.as_bytes()).trim().to_owned();
        Some(value).filter(|text| !text.is_empty())
    };
    let bearer = || {
        let value = text(header::AUTHORIZATION.as_str())?;
        let (scheme, token) = value.split_once(' ')?;
        let token = scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned());
        token.filter(|token| !token.is_empty())
    };
    text(API_KEY).or_else(bearer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wrong `x-api-key` does not fall through to the next place.
    #[test]
    fn token_is_read_from_the_first_place_that_holds_one() {
        let cases: [(&[(&str, &str)], &str, bool); 9] = [
            (&[], "/v1/events", false),
            (&[("x-api-key", " secret ")], "/v1/events", true),
            (&[("authorization", "bearer secret")], "/v1/events", true),
            (&[("authorization", "Basic secret")], "/v1/events", false),
            (&[], "/v1/events?apiKey=secret", true),
            (&[], "/v1/events?apikey=secret", false),
            (
                &[("x-api-key", "wrong"), ("authorization", "Bearer secret")],
                "/v1/events?apiKey=secret",
                false,
            ),
            (&[("x-api-key", " "), ("authorization", "Bearer secret")], "/v1/events", true),
            (&[("x-api-key", "secre")], "/v1/events", false),
        ];
        let token = Token { wanted: Some("secret".to_owned()), query_param: "apiKey".to_owned() };
        for (sent, uri, want) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in sent {
                headers
                    .insert(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
            }
            let got = check(&token, &headers, &uri.parse().unwrap());
            assert_eq!(got.is_ok(), want, "{sent:?} {uri}");
        }
    }
}
