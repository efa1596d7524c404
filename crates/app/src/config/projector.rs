//! The settings of `agentcafe projector`.

use std::net::SocketAddr;
use std::time::Duration;

use agentcafe_client::{AddressError, ApiClient, Backoff};
use agentcafe_domain::kernel::{Secret, Sequence};
use agentcafe_projector::{Scope, Settings};
use agentcafe_redis::Keys;
use reqwest::Url;

use super::catalogue::*;
use super::serve::{log, source_token};
use super::setting::Setting;
use super::sources::{SettingError, Sources};
use crate::process::LogSettings;

/// The delay after a first failure to connect to the API.
const MIN_BACKOFF: Duration = Duration::from_millis(100);

/// The settings of `agentcafe projector`.
pub(crate) struct ProjectorConfig {
    /// The settings of the projector.
    pub(crate) settings: Settings,
    /// The Redis server.
    pub(crate) redis: Option<Secret>,
    /// The address of the health endpoints.
    pub(crate) health: Option<SocketAddr>,
    /// The log of the process.
    pub(crate) log: LogSettings,
}

impl ProjectorConfig {
    /// Reads every setting. The error is that of the first invalid one.
    pub(crate) fn read(sources: &Sources) -> Result<Self, SettingError> {
        let host = sources.value(&PROJECTOR_HEALTH_HOST)?;
        let port = sources.optional(&PROJECTOR_HEALTH_PORT)?;
        let redis = sources.optional(&REDIS_URL)?;
        let mut log = log(sources)?;
        if redis.is_none() {
            log.warnings.push(
                "REDIS_URL is not set: the projector follows the event stream, and writes nothing".to_owned(),
            );
        }
        let settings = Settings {
            api: api(sources)?,
            backoff: Backoff { min: MIN_BACKOFF, max: sources.value(&PROJECTOR_STREAM_RECONNECT_MS)? },
            idle_timeout: sources.value(&AGENTCAFE_SOURCE_SILENCE_MS)?,
            scope: Scope {
                tenants: sources.optional(&PROJECTOR_TENANT_ID)?.unwrap_or_default(),
                rooms: sources.optional(&PROJECTOR_ROOM_ID)?.unwrap_or_default(),
            },
            start_cursor: Sequence(sources.value(&PROJECTOR_START_CURSOR)?),
            keys: Keys::new(sources.value(&PROJECTOR_REDIS_PREFIX)?),
            stream_maxlen: sources.value(&PROJECTOR_REDIS_STREAM_MAXLEN)?,
            presence_ttl: sources.value(&PROJECTOR_REDIS_PRESENCE_TTL_SECONDS)?,
        };
        let health = port.map(|port| SocketAddr::new(host, port));
        Ok(Self { settings, redis, health, log })
    }
}

fn api(sources: &Sources) -> Result<ApiClient, SettingError> {
    let token = source_token(sources)?;
    let (setting, made) = match sources.optional(&PROJECTOR_EVENT_STREAM_URL)? {
        Some(url) => {
            (&PROJECTOR_EVENT_STREAM_URL, ApiClient::from_stream_url(url.as_str(), token.as_deref()))
        }
        None => {
            let url = sources.value(&PROJECTOR_EVENT_SOURCE_URL)?;
            (&PROJECTOR_EVENT_SOURCE_URL, ApiClient::new(url.as_str(), token.as_deref()))
        }
    };
    event_source(sources, setting, made)
}

/// The API to follow, or the error of the setting.
pub(super) fn event_source(
    sources: &Sources,
    url: &'static Setting<Url>,
    made: Result<ApiClient, AddressError>,
) -> Result<ApiClient, SettingError> {
    made.map_err(|error| match error {
        AddressError::Token => match sources.optional(&AGENTCAFE_SOURCE_TOKEN) {
            Ok(Some(_)) => sources.error(&AGENTCAFE_SOURCE_TOKEN, &error.to_string()),
            _ => sources.error(&API_AUTH_TOKEN, &error.to_string()),
        },
        _ => sources.error(url, &error.to_string()),
    })
}
