//! The kinds of values of settings: numbers, flags, addresses, lists, and other parsed texts.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use agentcafe_domain::kernel::{RoomId, Secret, TenantId, Usd};
use agentcafe_domain::tables::plan::Catalogue;
use agentcafe_http::BrowserPolicy;
use agentcafe_load::target::{BadTarget, Target, checked_path};
use agentcafe_redis::RedisConnection;
use ipnet::IpNet;
use reqwest::Url;
use tracing_subscriber::EnvFilter;

use super::setting::{Kind, UNBOUNDED};

/// The shortest time to live of a presence in Redis, in seconds.
const MIN_PRESENCE_TTL: u64 = 10;

/// A whole number, 0 or more.
pub(super) const fn number<T: TryFrom<u64>>() -> Kind<T> {
    between(0, UNBOUNDED)
}

/// A whole number with a minimum.
pub(super) const fn at_least<T: TryFrom<u64>>(min: u64) -> Kind<T> {
    between(min, UNBOUNDED)
}

/// A whole number with a minimum and a maximum.
pub(super) const fn between<T: TryFrom<u64>>(min: u64, max: u64) -> Kind<T> {
    Kind::Number { min, max, zero: None, convert: |number| T::try_from(number).ok() }
}

/// A whole number of milliseconds with a minimum.
pub(super) const fn millis(min: u64) -> Kind<Duration> {
    let convert = |number| Some(Duration::from_millis(number));
    Kind::Number { min, max: UNBOUNDED, zero: None, convert }
}

/// Any text that parses to the type.
pub(super) const fn parsed<T: FromStr>(allowed: &'static str) -> Kind<T> {
    Kind::Parsed { allowed, parse: |text| text.parse().map_err(|_| String::new()) }
}

const fn checked<T>(allowed: &'static str, parse: fn(&str) -> Result<T, String>) -> Kind<T> {
    Kind::Parsed { allowed, parse }
}

pub(super) const FLAG: Kind<bool> = Kind::Choice(&[("true", true, ""), ("false", false, "")]);
pub(super) const TEXT: Kind<String> = parsed("text");
pub(super) const SECRET: Kind<Secret> = checked("text", |text| Ok(Secret::new(text)));
pub(super) const PORT: Kind<u16> = parsed("a port, 0 to 65535");
pub(super) const IP_ADDRESS: Kind<IpAddr> = parsed("an IP address");
pub(super) const NETWORKS: Kind<Vec<IpNet>> =
    checked("IP addresses or networks (10.0.0.0/8), separated by commas", |text| {
        list(text, |part| {
            let address = part.parse::<IpAddr>().map(IpNet::from);
            address.or_else(|_| part.parse()).map_err(|_| format!("{part:?} is neither"))
        })
    });
pub(super) const HOSTS: Kind<Vec<String>> =
    checked("host names or IP addresses without ports, separated by commas", |text| {
        list(text, |host| BrowserPolicy::parse_host(host).ok_or_else(|| format!("{host:?} is neither")))
    });
pub(super) const ORIGINS: Kind<Vec<String>> =
    checked("origins (https://cafe.example), separated by commas", |text| {
        list(text, |origin| BrowserPolicy::parse_origin(origin).ok_or_else(|| format!("{origin:?} is none")))
    });
pub(super) const POSTGRES_ADDRESS: Kind<Secret> =
    checked("postgres://user:password@host/name?sslmode=…&sslrootcert=…", |text| {
        let is_postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
        valid(is_postgres.then(|| Secret::new(text)))
    });
pub(super) const REDIS_ADDRESS: Kind<Secret> =
    checked("redis://user:password@host/database, or rediss:// with TLS", |text| {
        let url = Secret::new(text);
        valid(RedisConnection::check(&url).is_ok().then_some(url))
    });
pub(super) const HTTP_URL: Kind<Url> = checked("an absolute http or https URL", |text| {
    valid(Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https")))
});
/// A server that is loaded or probed.
pub(super) const TARGET: Kind<Target> =
    checked("the URL of a server, like http://host:port or https://host", target);
/// A server that may be absent.
pub(super) const OPTIONAL_TARGET: Kind<Option<Target>> =
    checked("the URL of a server, like http://host:port or https://host, or none", |text| {
        if text.eq_ignore_ascii_case("none") { Ok(None) } else { target(text).map(Some) }
    });
pub(super) const PATH: Kind<String> =
    checked("a path that begins with /, percent-encoded where needed", |text| valid(checked_path(text).ok()));
pub(super) const TENANT: Kind<TenantId> =
    checked("a tenant id", |text| TenantId::parse(text).map_err(message));
pub(super) const TENANTS: Kind<Vec<TenantId>> =
    checked("tenant ids, separated by commas", |text| list(text, |id| TenantId::parse(id).map_err(message)));
pub(super) const ROOMS: Kind<Vec<RoomId>> =
    checked("room ids, separated by commas", |text| list(text, |id| RoomId::parse(id).map_err(message)));
pub(super) const DECIMAL: Kind<f64> = checked("a number, 0 or more", |text| {
    valid(text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0))
});
pub(super) const DOLLARS: Kind<Usd> = checked("an amount in dollars, 0 to 1000000", |text| {
    valid(text.parse().ok().and_then(Usd::from_dollars))
});
/// The JSON of table plans, which is checked and kept as text.
pub(super) const PLANS: Kind<String> = checked(
    "a JSON object of plans by id: {\"planId\": {\"maxAgents\", \"durationMinutes\", \"features\", \"price\"}}",
    |text| Catalogue::read(Some(text), None).map(|_| text.to_owned()),
);
pub(super) const LOG_FILTER: Kind<String> =
    checked("error, warn, info, debug, trace, or directives (info,agentcafe_store=debug)", |text| {
        EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(message)
    });
/// A time to live in seconds; none: forever.
pub(super) const PRESENCE_TTL: Kind<Option<Duration>> =
    checked("a whole number, at least 10; 0 or less: for ever", |text| {
        let seconds: i64 = text.parse().map_err(|_| String::new())?;
        let seconds = u64::try_from(seconds).ok().filter(|&seconds| seconds > 0);
        Ok(seconds.map(|seconds| Duration::from_secs(seconds.max(MIN_PRESENCE_TTL))))
    });

/// The values between commas.
fn list<T>(text: &str, parse: fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(parse).collect()
}

/// A value, or an error that needs no other explanation than what is allowed.
fn valid<T>(value: Option<T>) -> Result<T, String> {
    value.ok_or_else(String::new)
}

fn target(text: &str) -> Result<Target, String> {
    Target::parse(text).map_err(|error| match error {
        BadTarget::Address => String::new(),
        other => other.to_string(),
    })
}

fn message(error: impl Display) -> String {
    error.to_string()
}
