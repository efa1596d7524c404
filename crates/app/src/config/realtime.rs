//! The settings of the realtime service, on its own or embedded in `serve`.

use std::net::SocketAddr;

use agentcafe_client::ApiClient;
use agentcafe_domain::kernel::Secret;
use agentcafe_realtime::RealtimeSettings;
use agentcafe_redis::Keys;

use super::catalogue::*;
use super::projector::event_source;
use super::serve::{browsers, connections, listen_host, log, source_token, token};
use super::sources::{SettingError, Sources};
use crate::process::{ConnectionSettings, LogSettings};

/// The settings of the realtime service.
#[derive(Clone)]
pub(crate) struct RealtimeConfig {
    /// The address to listen on.
    pub(crate) listen: SocketAddr,
    /// The Redis server.
    pub(crate) redis: Option<Secret>,
    /// The limits of connections.
    pub(crate) connections: ConnectionSettings,
    /// The log of the process.
    pub(crate) log: LogSettings,
    /// The settings of the service, which follows the API on this machine unless another event stream is set.
    pub(crate) settings: RealtimeSettings,
    /// Whether `REALTIME_EVENT_SOURCE_URL` is set.
    pub(crate) has_source: bool,
    /// The token with which the API is read.
    pub(crate) source_token: Option<String>,
    /// The names of the projector's keys in Redis.
    pub(crate) keys: Keys,
}

impl RealtimeConfig {
    /// Reads every setting, for a process of its own. The error is that of the first invalid one.
    pub(crate) fn read(sources: &Sources) -> Result<Self, SettingError> {
        let port = sources.optional(&REALTIME_PORT)?.unwrap_or(REALTIME_PORT_NUMBER);
        Self::on_port(sources, port)
    }

    /// As [`RealtimeConfig::read`], for the service that is embedded in `serve`; none unless `REALTIME_PORT` is set. `PORT`
    /// is the API's.
    pub(super) fn embedded(sources: &Sources) -> Result<Option<Self>, SettingError> {
        let port = sources.optional_named(&REALTIME_PORT, &["REALTIME_PORT"])?;
        port.map(|port| Self::on_port(sources, port)).transpose()
    }

    fn on_port(sources: &Sources, port: u16) -> Result<Self, SettingError> {
        let (token, source_token) = (token(sources)?, source_token(sources)?);
        let listen = SocketAddr::new(listen_host(&REALTIME_HOST, sources)?, port);
        let url = sources.optional(&REALTIME_EVENT_SOURCE_URL)?;
        let source = match &url {
            Some(url) => ApiClient::from_stream_url(url.as_str(), source_token.as_deref()),
            None => ApiClient::new(&local(API_PORT_NUMBER), source_token.as_deref()),
        };
        let settings = RealtimeSettings {
            source: event_source(sources, &REALTIME_EVENT_SOURCE_URL, source)?,
            source_reconnect: sources.value(&REALTIME_SOURCE_RECONNECT_MS)?,
            source_silence: sources.value(&AGENTCAFE_SOURCE_SILENCE_MS)?,
            token,
            max_open_per_key: sources.value(&API_KEY_MAX_OPEN)?,
            browsers: browsers(sources)?,
            heartbeat: sources.value(&REALTIME_HEARTBEAT_MS)?,
            room_history_limit: sources.value(&REALTIME_ROOM_HISTORY_LIMIT)?,
            max_rooms: sources.value(&REALTIME_MAX_ROOMS)?,
            default_tenant: sources.value(&REALTIME_DEFAULT_TENANT_ID)?,
            max_clients: sources.value(&REALTIME_MAX_CLIENTS)?,
            replay_store: None,
        };
        Ok(Self {
            listen,
            redis: sources.optional(&REDIS_URL)?,
            connections: connections(sources)?,
            log: log(sources)?,
            settings,
            has_source: url.is_some(),
            source_token,
            keys: Keys::new(sources.value(&REALTIME_REDIS_PREFIX)?),
        })
    }
}
