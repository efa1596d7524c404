//! Who may use the API: whoever carries the token, if one is set.

use agentcafe_domain::refusal::{Code, Refusal};
use axum::http::{HeaderMap, Uri, header};
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::{app::Settings, input::query_value, problem::Problem};

const API_KEY: &str = "x-api-key";

/// Checks the token of a request. The first place that holds one counts: `x-api-key`, `Authorization: Bearer`, the
/// query parameter. Comparing takes the same time wherever a wrong token differs.
pub(crate) fn check(settings: &Settings, headers: &HeaderMap, uri: &Uri) -> Result<(), Problem> {
    let Some(wanted) = &settings.auth_token else { return Ok(()) };
    let given = header_token(headers)
        .or_else(|| query_value(uri, &settings.auth_query_param).filter(|token| !token.trim().is_empty()));
    let matches = given.is_some_and(|given| given.trim().as_bytes().ct_eq(wanted.as_bytes()).into());
    if matches {
        return Ok(());
    }
    Err(Refusal::new(Code::Unauthorized)
        .with("auth", json!({ "header": API_KEY, "query": settings.auth_query_param }))
        .into())
}

fn header_token(headers: &HeaderMap) -> Option<String> {
    // Bytes that are no text make a wrong token, not a missing one.
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
    use std::time::Duration;

    use super::*;

    fn settings() -> Settings {
        Settings {
            auth_token: Some("secret".to_owned()),
            auth_query_param: "apiKey".to_owned(),
            rate_limit_per_min: 0,
            trusted_proxies: Vec::new(),
            stream_heartbeat: Duration::from_secs(15),
            stream_max_clients: 1,
            table_session_sweep: Duration::ZERO,
            presence_sweep: Duration::from_secs(2),
        }
    }

    /// CONTRACT 2.4: where the token may stand, and that a wrong `x-api-key` does not fall through.
    #[test]
    fn the_token_is_found_in_order() {
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
        for (sent, uri, want) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in sent {
                headers
                    .insert(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
            }
            let got = check(&settings(), &headers, &uri.parse().unwrap());
            assert_eq!(got.is_ok(), want, "{sent:?} {uri}");
        }
    }
}
