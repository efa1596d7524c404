//! Query strings, percent-decoded.

use std::collections::BTreeMap;

use agentcafe_domain::kernel::{Code, DomainError, Fields};
use axum::http::Uri;
use percent_encoding::percent_decode_str;

fn decoded(text: &str) -> Result<String, DomainError> {
    if !text.contains(['+', '%']) {
        return Ok(text.to_owned());
    }
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8().map_err(|_| {
        DomainError::new(Code::Validation).saying("the query is not valid UTF-8").with("query", text.as_str())
    })?;
    if decoded.contains('\0') {
        return Err(DomainError::new(Code::Validation).saying("the query contains a NUL character"));
    }
    Ok(decoded.into_owned())
}

fn pairs(uri: &Uri) -> impl Iterator<Item = (&str, &str)> {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The first value of a query parameter.
pub fn value(uri: &Uri, name: &str) -> Option<String> {
    let mut values = pairs(uri).filter(|(key, _)| decoded(key).is_ok_and(|key| key == name));
    values.next().and_then(|(_, value)| decoded(value).ok())
}

/// The query parameters; of each name, the first one counts.
///
/// # Errors
/// The query is not valid UTF-8, or contains a NUL.
pub fn fields(uri: &Uri) -> Result<Fields, DomainError> {
    let decoded = pairs(uri).map(|(key, value)| Ok((decoded(key)?, decoded(value)?)));
    Ok(Fields::of_query(decoded.collect::<Result<Vec<_>, DomainError>>()?))
}

/// The query parameters by name; of each name, the first one counts. Those that are not valid are left out.
pub(crate) fn parameters(uri: &Uri) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for (name, value) in pairs(uri).filter_map(|(name, value)| decoded(name).ok().zip(decoded(value).ok())) {
        parameters.entry(name).or_insert(value);
    }
    parameters
}
