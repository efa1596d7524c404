//! The settings of `agentcafe projector`.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use agentcafe_client::{AddressError, ApiClient, Backoff};
use agentcafe_domain::kernel::{
    ids::{RoomId, Sequence, TenantId},
    secret::Secret,
};
use agentcafe_projector::{Scope, Settings};

use super::{AUTH_TOKEN, BadSetting, Environment, redis};

const SOURCE_URL: &str = "PROJECTOR_EVENT_SOURCE_URL";
const STREAM_URL: &str = "PROJECTOR_EVENT_STREAM_URL";
const PRESENCE_TTL: &str = "PROJECTOR_REDIS_PRESENCE_TTL_SECONDS";
/// The shortest time to live of presence, in seconds.
const MIN_PRESENCE_TTL: u64 = 10;
/// The delay after a first failure to connect to the API.
const MIN_BACKOFF: Duration = Duration::from_millis(100);

/// Everything `agentcafe projector` needs to know.
pub(crate) struct ProjectorConfig {
    /// What is projected, and how.
    pub(crate) settings: Settings,
    /// Where Redis is.
    pub(crate) redis: Option<Secret>,
    /// Where the health endpoints listen.
    pub(crate) health: Option<SocketAddr>,
    /// What is written to the log of the process.
    pub(crate) log: String,
    /// What the operator should be told at the start.
    pub(crate) warnings: Vec<String>,
}

impl ProjectorConfig {
    /// Reads and checks every setting.
    ///
    /// # Errors
    /// [`BadSetting`] names the first variable that cannot be used.
    pub(crate) fn read(environment: &Environment) -> Result<Self, BadSetting> {
        let host: Option<IpAddr> =
            environment.parsed(&["PROJECTOR_HEALTH_HOST"], "it must be an IP address")?;
        let port: Option<u16> =
            environment.parsed(&["PROJECTOR_HEALTH_PORT"], "it must be a port, 0 to 65535")?;
        let host = host.unwrap_or(Ipv4Addr::LOCALHOST.into());
        let redis = redis::url(environment)?;
        let mut warnings = environment.warnings();
        if redis.is_none() {
            warnings.push("REDIS_URL is not set: the log is followed, and nothing is kept".to_owned());
        }
        let max = environment.millis("PROJECTOR_STREAM_RECONNECT_MS", 2_000, 100)?;
        let settings = Settings {
            api: api(environment)?,
            backoff: Backoff { min: MIN_BACKOFF, max },
            idle_timeout: environment.source_silence()?,
            scope: Scope {
                tenants: environment.list("PROJECTOR_TENANT_ID", TenantId::parse)?,
                rooms: environment.list("PROJECTOR_ROOM_ID", RoomId::parse)?,
            },
            start_cursor: Sequence(environment.number(&["PROJECTOR_START_CURSOR"], 0, 0, false)?),
            keys: redis::keys(environment, "PROJECTOR_REDIS_PREFIX"),
            stream_maxlen: environment.number(&["PROJECTOR_REDIS_STREAM_MAXLEN"], 2_000, 100, false)?,
            presence_ttl: presence_ttl(environment)?,
        };
        let log = environment.text(&["AGENTCAFE_LOG"]).unwrap_or_else(|| "info".to_owned());
        let health = port.map(|port| SocketAddr::new(host, port));
        Ok(Self { settings, redis, health, log, warnings })
    }
}

fn api(environment: &Environment) -> Result<ApiClient, BadSetting> {
    let token = environment.text(&AUTH_TOKEN);
    let token = token.as_deref();
    let (name, made) = match environment.text(&[STREAM_URL]) {
        Some(url) => (STREAM_URL, ApiClient::from_stream_url(&url, token)),
        None => {
            let url = environment.text(&[SOURCE_URL]);
            (SOURCE_URL, ApiClient::new(url.as_deref().unwrap_or("http://127.0.0.1:3850"), token))
        }
    };
    made.map_err(|error| {
        let name = if matches!(error, AddressError::Token) { AUTH_TOKEN[0] } else { name };
        // The address may hold a token.
        BadSetting { name, value: "…".to_owned(), why: error.to_string() }
    })
}

fn presence_ttl(environment: &Environment) -> Result<Option<Duration>, BadSetting> {
    let seconds: Option<i64> = environment.parsed(&[PRESENCE_TTL], "it must be a whole number")?;
    let seconds = u64::try_from(seconds.unwrap_or(60)).ok().filter(|&seconds| seconds > 0);
    Ok(seconds.map(|seconds| Duration::from_secs(seconds.max(MIN_PRESENCE_TTL))))
}

impl Environment {
    /// How long a connection to the API may be silent.
    pub(crate) fn source_silence(&self) -> Result<Duration, BadSetting> {
        self.millis("AGENTCAFE_SOURCE_SILENCE_MS", 45_000, 1_000)
    }

    /// Ids, separated by commas.
    fn list<T, E: ToString>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, BadSetting> {
        let list = self.text(&[name]).unwrap_or_default();
        let ids = list.split(',').map(str::trim).filter(|id| !id.is_empty());
        let bad = |id: &str, why: E| BadSetting { name, value: id.to_owned(), why: why.to_string() };
        ids.map(|id| parse(id).map_err(|why| bad(id, why))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<ProjectorConfig, BadSetting> {
        let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let _ = rustls::crypto::ring::default_provider().install_default();
        ProjectorConfig::read(&Environment::of(owned))
    }

    /// CONTRACT 23, RULINGS O6 and N1: bad values are named and show no secret; minima hold; lists are lists.
    #[test]
    fn settings_are_read_or_named() {
        let config = read(&[
            ("PROJECTOR_ROOM_ID", "main, attic"),
            ("PROJECTOR_REDIS_STREAM_MAXLEN", "5"),
            (PRESENCE_TTL, "-1"),
            ("REDIS_URL", "redis://127.0.0.1:1"),
        ])
        .unwrap();
        assert_eq!((config.settings.scope.rooms.len(), config.settings.scope.tenants.len()), (2, 0));
        assert_eq!((config.settings.stream_maxlen, config.settings.presence_ttl), (100, None));
        assert!(config.warnings.is_empty() && config.health.is_none());
        let low = read(&[(PRESENCE_TTL, "1")]).unwrap();
        assert_eq!(low.settings.presence_ttl, Some(Duration::from_secs(10)));
        assert_eq!(low.warnings.len(), 1, "nothing is kept");
        for (name, value) in [
            ("REDIS_URL", "s3cret://127.0.0.1"),
            (SOURCE_URL, "s3cret"),
            (STREAM_URL, "ftp://cafe.example/?apiKey=s3cret"),
            ("PROJECTOR_HEALTH_PORT", "99999"),
            ("PROJECTOR_START_CURSOR", "first"),
            (PRESENCE_TTL, "long"),
        ] {
            let error = read(&[(name, value)]).map(|_| ()).unwrap_err();
            assert_eq!(error.name, name, "{error}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }
}
