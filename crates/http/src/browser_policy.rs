//! Which host names a server answers to, and which web pages may use it.
//!
//! A browser lets any page send requests to any server. It withholds the responses from pages of other origins, but not from a
//! page whose own name resolves to this machine (DNS rebinding). So a server without a token checks which name it is called by.

use std::net::Ipv4Addr;

use agentcafe_domain::kernel::{Code, DomainError};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Where a port is left out of an origin.
const DEFAULT_PORTS: [(&str, &str); 2] = [("http", ":80"), ("https", ":443")];

/// Which host names a server answers to, and which web pages may use it.
#[derive(Clone, Debug, Default)]
pub struct BrowserPolicy {
    /// The host names of a server without a token, besides those of loopback.
    pub allowed_hosts: Vec<String>,
    /// The origins whose pages may use the server.
    pub allowed_origins: Vec<String>,
}

impl BrowserPolicy {
    /// A host name or address without a port, or none if the text is no such name.
    pub fn parse_host(text: &str) -> Option<String> {
        let is_name = !text.is_empty() && !text.contains(['/', '@', ',', ' ']);
        (is_name && host_without_port(text) == text).then(|| text.to_ascii_lowercase())
    }

    /// An origin as browsers write it (`https://cafe.example`), or none if the text is no origin.
    pub fn parse_origin(text: &str) -> Option<String> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
        let is_authority = !authority.is_empty()
            && authority.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@,".contains(&byte));
        let default_port = DEFAULT_PORTS.iter().find(|(of, _)| *of == scheme).map_or("", |(_, port)| port);
        let authority = authority.strip_suffix(default_port).unwrap_or(authority);
        (is_scheme && is_authority).then(|| format!("{scheme}://{authority}"))
    }

    /// The origin of the page that sends the request, if the settings allow it.
    pub(crate) fn allowed_origin<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        if self.allowed_origins.is_empty() {
            return None;
        }
        let origin = headers.get(header::ORIGIN)?;
        self.allowed_origins.iter().any(|allowed| origin == allowed.as_str()).then_some(origin)
    }

    /// Checks the host name and the page of a request to a server without a token.
    ///
    /// # Errors
    /// `ERR_FORBIDDEN {host}` or `{origin}`.
    pub(crate) fn check(&self, request: &Request) -> Result<(), DomainError> {
        let headers = request.headers();
        let host = host(request);
        if !host.is_none_or(|host| self.answers_to(host_without_port(host))) {
            let message =
                "a server without a token answers to localhost, 127.0.0.1, [::1] and API_ALLOWED_HOSTS";
            return Err(forbidden(message, "host", host.unwrap_or_default()));
        }
        if self.allowed_origin(headers).is_some() {
            return Ok(());
        }
        let message =
            "pages of other origins may use a server without a token if API_ALLOWED_ORIGINS names them";
        let origin = headers.get(header::ORIGIN).map(|origin| String::from_utf8_lossy(origin.as_bytes()));
        if let Some(origin) = origin.filter(|origin| !is_of(origin, host.unwrap_or_default())) {
            return Err(forbidden(message, "origin", &origin));
        }
        match other_site(headers) {
            // Browsers send no `Origin` with images, links and the like.
            Some(site) => Err(forbidden(message, "origin", site)),
            None => Ok(()),
        }
    }

    fn answers_to(&self, host: &str) -> bool {
        host.eq_ignore_ascii_case("localhost")
            || host == "[::1]"
            || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            || self.allowed_hosts.iter().any(|allowed| host.eq_ignore_ascii_case(allowed))
    }
}

/// The name by which a request calls the server, with the port: the target's, if it is a whole URL, else that of `Host`. Only
/// HTTP/1.0, which no browser sends, has neither.
fn host(request: &Request) -> Option<&str> {
    let in_target = request.uri().authority().map(|authority| authority.as_str());
    in_target.or_else(|| Some(request.headers().get(header::HOST)?.to_str().unwrap_or_default()))
}

fn host_without_port(host: &str) -> &str {
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
}

/// Whether an origin is that of a host.
fn is_of(origin: &str, host: &str) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// The relation of the page that sends a request to this server, as the browser reports it, if its origin is another one.
pub(crate) fn other_site(headers: &HeaderMap) -> Option<&str> {
    let site = headers.get(SEC_FETCH_SITE)?.to_str().ok()?;
    ["cross-site", "same-site"].contains(&site).then_some(site)
}

fn forbidden(message: &str, field: &str, value: &str) -> DomainError {
    DomainError::new(Code::Forbidden).saying(message).with("field", field).with(field, value)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn allowed_hosts_and_origins_are_parsed_or_refused() {
        for (text, host, origin) in [
            ("Cafe.Example", Some("cafe.example"), None),
            ("[fd00::1]", Some("[fd00::1]"), None),
            ("10.0.0.7", Some("10.0.0.7"), None),
            ("cafe.example:80", None, None),
            ("https://Cafe.example:443", None, Some("https://cafe.example")),
            ("http://localhost:5173", None, Some("http://localhost:5173")),
            ("http://cafe.example:8080", None, Some("http://cafe.example:8080")),
            ("tauri://localhost", None, Some("tauri://localhost")),
            ("https://cafe.example/", None, None),
            ("https://", None, None),
            ("://cafe", None, None),
            ("", None, None),
        ] {
            assert_eq!(BrowserPolicy::parse_host(text).as_deref(), host, "{text:?}");
            assert_eq!(BrowserPolicy::parse_origin(text).as_deref(), origin, "{text:?}");
        }
    }

    #[test]
    fn request_without_a_token_needs_a_known_host_and_no_foreign_page() {
        let policy = BrowserPolicy {
            allowed_hosts: vec!["cafe.example".to_owned()],
            allowed_origins: vec!["http://localhost:5173".to_owned()],
        };
        for (host, origin, site, want) in [
            ("localhost:3850", "", "", ""),
            ("LocalHost", "", "none", ""),
            ("127.0.0.1:3850", "http://127.0.0.1:3850", "same-origin", ""),
            ("[::1]:3850", "http://[::1]:3850", "", ""),
            ("CAFE.example:1", "", "", ""),
            ("localhost:3850", "http://localhost:5173", "cross-site", ""),
            ("evil.example:3850", "http://evil.example:3850", "same-origin", "host"),
            ("localhost.evil.example", "", "", "host"),
            ("127.0.0.1.evil.example", "", "", "host"),
            ("evil@localhost", "", "", "host"),
            ("evil.example", "http://localhost:5173", "cross-site", "host"),
            ("", "", "", "host"),
            ("localhost:3850", "http://localhost:3851", "", "origin"),
            ("localhost:3850", "http://127.0.0.1:3850", "", "origin"),
            ("localhost:3850", "null", "", "origin"),
            ("localhost:3850", "", "cross-site", "origin"),
            ("localhost:3850", "", "same-site", "origin"),
        ] {
            let request = Request::get("/").header(header::HOST, host);
            let headers = [(header::ORIGIN, origin), (SEC_FETCH_SITE, site)];
            let set = headers.into_iter().filter(|(_, value)| !value.is_empty());
            let request = set.fold(request, |request, (name, value)| request.header(name, value));
            let checked = policy.check(&request.body(Body::empty()).unwrap());
            let refused = checked.err().map(|error| error.details["field"].as_str().unwrap().to_owned());
            assert_eq!(refused.unwrap_or_default(), want, "{host} {origin} {site}");
        }
    }

    #[test]
    fn whole_url_as_target_takes_precedence_over_the_host_header() {
        let policy = BrowserPolicy::default();
        for (target, is_allowed) in [("http://localhost:1/", true), ("http://evil.example/", false)] {
            let request = Request::get(target).header(header::HOST, "localhost").body(Body::empty());
            assert_eq!(policy.check(&request.unwrap()).is_ok(), is_allowed, "{target}");
        }
    }
}
