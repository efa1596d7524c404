//! The settings of the realtime service, on its own or inside `serve`.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use agentcafe_client::{AddressError, ApiClient};
use agentcafe_domain::kernel::{ids::TenantId, secret::Secret};
use agentcafe_http::Token;
use agentcafe_realtime::{ReplayStore, Settings};
use agentcafe_redis::{Keys, RedisConnection};

use super::{AUTH_TOKEN, BadSetting, Environment, count, redis};

const HOST: &str = "REALTIME_HOST";
const PORT: &str = "REALTIME_PORT";
const SOURCE_URL: &str = "REALTIME_EVENT_SOURCE_URL";
const DEFAULT_SOURCE: &str = "http://127.0.0.1:3850/v1/streams/market-events";
const DEFAULT_PORT: u16 = 3851;
const PORT_RULE: &str = "it must be a port, 0 to 65535";

/// Everything that the realtime service needs to know.
#[derive(Clone, Debug)]
pub(crate) struct RealtimeConfig {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// The event stream to follow; none: that of the API on this machine.
    source: Option<ApiClient>,
    source_token: Option<String>,
    source_reconnect: Duration,
    source_silence: Duration,
    token: Token,
    heartbeat: Duration,
    room_history_limit: usize,
    max_rooms: usize,
    default_tenant: TenantId,
    max_clients: usize,
    /// Where Redis is.
    pub(crate) redis: Option<Secret>,
    keys: Keys,
    /// What is written to the log of the process.
    pub(crate) log: String,
    /// What the operator should be told at the start.
    pub(crate) warnings: Vec<String>,
}

impl RealtimeConfig {
    /// Reads and checks every setting, for a process of its own.
    ///
    /// # Errors
    /// [`BadSetting`] names the first variable that cannot be used.
    pub(crate) fn read(environment: &Environment) -> Result<Self, BadSetting> {
        let port = environment.parsed(&[PORT, "PORT"], PORT_RULE)?.unwrap_or(DEFAULT_PORT);
        let config = Self::on_port(environment, port)?;
        let mut warnings = environment.warnings();
        if config.token.wanted.is_none() && !config.listen.ip().is_loopback() {
            let address = config.listen.ip();
            warnings.push(format!("{address} can be reached from outside and API_AUTH_TOKEN is not set"));
        }
        Ok(Self { warnings, ..config })
    }

    /// As [`RealtimeConfig::read`], for inside `serve`; none if it is not asked for there.
    ///
    /// # Errors
    /// [`BadSetting`] names the first variable that cannot be used.
    pub(super) fn inside(environment: &Environment) -> Result<Option<Self>, BadSetting> {
        let port = environment.parsed(&[PORT], PORT_RULE)?;
        port.map(|port| Self::on_port(environment, port)).transpose()
    }

    fn on_port(environment: &Environment, port: u16) -> Result<Self, BadSetting> {
        let token = environment.text(&AUTH_TOKEN);
        let host: Option<IpAddr> = environment.parsed(&[HOST], "it must be an IP address")?;
        let standard = if token.is_some() { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let default_tenant = environment.text(&["REALTIME_DEFAULT_TENANT_ID"]);
        let default_tenant = default_tenant.map(|id| {
            let bad = |why: agentcafe_domain::kernel::ids::InvalidId| BadSetting {
                name: "REALTIME_DEFAULT_TENANT_ID",
                value: id.clone(),
                why: why.to_string(),
            };
            TenantId::parse(&id).map_err(bad)
        });
        let source = environment.text(&[SOURCE_URL]).map(|url| api(&url, token.as_deref()));
        Ok(Self {
            listen: SocketAddr::new(host.unwrap_or(standard.into()), port),
            source: source.transpose()?,
            source_token: token.clone(),
            source_reconnect: environment.millis("REALTIME_SOURCE_RECONNECT_MS", 2_000, 100)?,
            source_silence: environment.source_silence()?,
            token: environment.token(),
            heartbeat: environment.millis("REALTIME_HEARTBEAT_MS", 15_000, 10)?,
            room_history_limit: count(environment.number(&["REALTIME_ROOM_HISTORY_LIMIT"], 500, 1, false)?),
            max_rooms: count(environment.number(&["REALTIME_MAX_ROOMS"], 2_000, 1, false)?),
            default_tenant: default_tenant.transpose()?.unwrap_or_else(TenantId::default),
            max_clients: count(environment.number(&["REALTIME_MAX_CLIENTS"], 10_000, 0, true)?),
            redis: redis::url(environment)?,
            keys: redis::keys(environment, "REALTIME_REDIS_PREFIX"),
            log: environment.text(&["AGENTCAFE_LOG"]).unwrap_or_else(|| "info".to_owned()),
            warnings: Vec::new(),
        })
    }

    /// The settings of the service, which follows the API at `near` unless another one is set.
    ///
    /// # Errors
    /// [`BadSetting`] when that cannot be followed.
    pub(crate) fn settings(
        &self,
        near: Option<SocketAddr>,
        redis: Option<Arc<RedisConnection>>,
    ) -> Result<Settings, BadSetting> {
        let source = match (&self.source, near) {
            (Some(source), _) => source.clone(),
            (None, Some(near)) => {
                api(&format!("http://{near}/v1/streams/market-events"), self.source_token.as_deref())?
            }
            (None, None) => api(DEFAULT_SOURCE, self.source_token.as_deref())?,
        };
        Ok(Settings {
            source,
            source_reconnect: self.source_reconnect,
            source_silence: self.source_silence,
            token: self.token.clone(),
            heartbeat: self.heartbeat,
            room_history_limit: self.room_history_limit,
            max_rooms: self.max_rooms,
            default_tenant: self.default_tenant.clone(),
            max_clients: self.max_clients,
            replay_store: redis.map(|redis| ReplayStore::new(redis, self.keys.clone())),
        })
    }
}

fn api(url: &str, token: Option<&str>) -> Result<ApiClient, BadSetting> {
    ApiClient::from_stream_url(url, token).map_err(|error| {
        let name = if matches!(error, AddressError::Token) { AUTH_TOKEN[0] } else { SOURCE_URL };
        // The address may hold a token.
        BadSetting { name, value: "…".to_owned(), why: error.to_string() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<RealtimeConfig, BadSetting> {
        let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let _ = rustls::crypto::ring::default_provider().install_default();
        RealtimeConfig::read(&Environment::of(owned))
    }

    /// CONTRACT 23, RULINGS O6 and B14: bad values are named and show no secret; without a token only this machine listens.
    #[test]
    fn settings_are_read_or_named() {
        assert_eq!(read(&[]).unwrap().listen.to_string(), "127.0.0.1:3851");
        let open =
            read(&[("API_AUTH_TOKEN", "t"), ("PORT", "80"), ("REALTIME_ROOM_HISTORY_LIMIT", "0")]).unwrap();
        assert_eq!((open.listen.to_string().as_str(), open.room_history_limit), ("0.0.0.0:80", 1));
        let told = read(&[(HOST, "0.0.0.0"), (PORT, "1"), ("PORT", "2")]).unwrap();
        assert_eq!((told.listen.to_string().as_str(), told.warnings.len()), ("0.0.0.0:1", 1));
        for (name, value) in [
            (HOST, "here"),
            (PORT, "70000"),
            (SOURCE_URL, "s3cret"),
            (SOURCE_URL, "ftp://cafe.example/?apiKey=s3cret"),
            ("REALTIME_HEARTBEAT_MS", "often"),
            ("REALTIME_MAX_CLIENTS", "-1"),
            ("REDIS_URL", "s3cret://127.0.0.1"),
        ] {
            let error = read(&[(name, value)]).map(|_| ()).unwrap_err();
            assert_eq!(error.name, name, "{error}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }

    /// Inside `serve` it runs where it is asked for.
    #[test]
    fn it_is_asked_for_by_its_port() {
        let inside = |variables: &[(&str, &str)]| {
            let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            RealtimeConfig::inside(&Environment::of(owned)).unwrap().map(|config| config.listen.port())
        };
        assert_eq!(inside(&[("PORT", "80")]), None);
        assert_eq!(inside(&[("REALTIME_PORT", "81")]), Some(81));
    }
}
