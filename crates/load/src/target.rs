//! The server under test: its address, and the headers of every request to it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::either::Either;
use url::{Host, Url};

/// The header that carries the API key.
const KEY_HEADER: &str = "x-api-key";

/// An open connection, plain or with TLS.
pub(crate) type Transport = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Why a server's address, a header or a path cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// The address is malformed.
    #[error("the address must be like http://host:port or https://host")]
    Address,
    /// Credentials in an address would end up in reports and logs.
    #[error("the address must not hold a user or a password")]
    Credentials,
    /// A header cannot be sent as it is.
    #[error("a header must be one line of visible ASCII, as in `name: value`")]
    Header,
    /// A path cannot be requested as it is.
    #[error("a path must begin with / and be visible ASCII, percent-encoded where needed")]
    Path,
    /// TLS cannot be set up.
    #[error("TLS cannot be used: {0}")]
    Tls(String),
}

/// A server under test. Cheap to clone.
#[derive(Clone)]
pub struct Target {
    shown: String,
    host: String,
    port: u16,
    /// The prefix of every path.
    base: String,
    /// The header lines of every request, each with its line end.
    headers: String,
    has_key: bool,
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl fmt::Debug for Target {
    /// Without the headers, which may hold a key.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Target({})", self.shown)
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::parse(&format!("http://{address}")).expect("a socket address is a host and a port")
    }
}

impl Target {
    /// The server at an address such as `http://127.0.0.1:3850` or `https://cafe.example/runtime`.
    ///
    /// # Errors
    /// [`BadTarget`]: why the address cannot be used.
    pub fn parse(address: &str) -> Result<Self, BadTarget> {
        let url = Url::parse(address.trim()).map_err(|_| BadTarget::Address)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadTarget::Credentials);
        }
        let is_encrypted = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(BadTarget::Address),
        };
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(BadTarget::Address);
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BadTarget::Address);
        }
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_string(),
        };
        let base = url.path().trim_end_matches('/').to_owned();
        let host = match host {
            Host::Ipv6(address) => address.to_string(),
            other => other.to_string(),
        };
        Ok(Self {
            shown: format!("{}://{authority}{base}", url.scheme()),
            tls: is_encrypted.then(|| Tls::for_host(&host)).transpose()?,
            host,
            port,
            base,
            headers: format!("host: {authority}\r\n"),
            has_key: false,
        })
    }

    /// Adds the API key to every request.
    ///
    /// # Errors
    /// [`BadTarget::Header`] if it is no valid header value.
    pub fn with_key(mut self, key: &str) -> Result<Self, BadTarget> {
        self = self.with_header(KEY_HEADER, key)?;
        self.has_key = true;
        Ok(self)
    }

    /// Adds a header to every request.
    ///
    /// # Errors
    /// [`BadTarget::Header`] if it is no valid header.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, BadTarget> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_visible = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || !name.bytes().all(is_token) || !value.bytes().all(is_visible) {
            return Err(BadTarget::Header);
        }
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        Ok(self)
    }

    /// Whether requests carry an API key.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.has_key
    }

    /// The start of a request: its request line and the headers that every request carries.
    #[must_use]
    pub fn request_head(&self, method: &str, path: &str) -> String {
        format!("{method} {}{path} HTTP/1.1\r\n{}", self.base, self.headers)
    }

    /// The bytes of a GET request.
    #[must_use]
    pub fn get(&self, path: &str) -> Vec<u8> {
        (self.request_head("GET", path) + "accept: */*\r\n\r\n").into_bytes()
    }

    /// Connects, with Nagle's algorithm off.
    ///
    /// # Errors
    /// When the connection is refused, or the server's certificate is not trusted.
    pub async fn connect(&self) -> io::Result<Transport> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let Some(Tls { connector, name }) = &self.tls else {
            return Ok(Either::Left(stream));
        };
        Ok(Either::Right(Box::new(connector.connect(name.clone(), stream).await?)))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.shown)
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Tls {
    /// TLS that trusts the system's certificates.
    fn for_host(host: &str) -> Result<Self, BadTarget> {
        let bad = |error: &dyn fmt::Display| BadTarget::Tls(error.to_string());
        let name = ServerName::try_from(host.to_owned()).map_err(|error| bad(&error))?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| bad(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }
}

/// Checks that a path with its query can be requested.
///
/// # Errors
/// [`BadTarget::Path`] if it cannot.
pub fn checked_path(path: &str) -> Result<String, BadTarget> {
    let is_valid = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if is_valid { Ok(path.to_owned()) } else { Err(BadTarget::Path) }
}

/// Serialises a path as [`shown_path`].
pub(crate) fn serialize_path<S: Serializer>(path: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&shown_path(path))
}

/// A path for a report: query values that look like credentials are masked.
#[must_use]
pub fn shown_path(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else {
        return path.to_owned();
    };
    let shown = query.split('&').map(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        let lower = name.to_ascii_lowercase();
        let is_secret = ["key", "token", "secret", "password"].iter().any(|word| lower.contains(word));
        if is_secret { format!("{name}=…") } else { pair.to_owned() }
    });
    format!("{path}?{}", shown.collect::<Vec<_>>().join("&"))
}
