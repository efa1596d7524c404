//! The settings of the realtime service, on its own or embedded in `serve`.

use std::{net::SocketAddr, sync::Arc};

use agentcafe_domain::secret::Secret;
use agentcafe_keyspace::{Keys, Link};
use agentcafe_realtime::{Api, Archive, BadAddress, Settings};

use super::{
    catalogue::*,
    projector::event_source,
    serve::{exposure, listen_host, token},
    sources::{SettingError, Sources},
};

/// Everything that the realtime service needs to know.
#[derive(Clone)]
pub(crate) struct RealtimeConfig {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Where Redis is.
    pub(crate) redis: Option<Secret>,
    /// What is written to the log of the process: a level, or directives.
    pub(crate) log: String,
    /// What the operator should know at the start.
    pub(crate) warnings: Vec<String>,
    settings: Settings,
    /// Whether the event stream to follow is set.
    has_source: bool,
    keys: Keys,
}

impl RealtimeConfig {
    /// Reads every setting, for a process of its own. The error is that of the first that cannot be used.
    pub(crate) fn read(sources: &Sources) -> Result<Self, SettingError> {
        let port = sources.optional(&REALTIME_PORT)?.unwrap_or(REALTIME_PORT_NUMBER);
        let config = Self::on_port(sources, port)?;
        let exposure = exposure(config.listen, &config.settings.token);
        Ok(Self { warnings: sources.warnings().into_iter().chain(exposure).collect(), ..config })
    }

    /// As [`RealtimeConfig::read`], for the service that is embedded in `serve`; none unless `REALTIME_PORT` is set. `PORT`
    /// is the API's.
    pub(super) fn embedded(sources: &Sources) -> Result<Option<Self>, SettingError> {
        let port = sources.optional_named(&REALTIME_PORT, &["REALTIME_PORT"])?;
        port.map(|port| Self::on_port(sources, port)).transpose()
    }

    fn on_port(sources: &Sources, port: u16) -> Result<Self, SettingError> {
        let token = token(sources)?;
        let listen = SocketAddr::new(listen_host(sources.optional(&REALTIME_HOST)?, &token), port);
        let url = sources.optional(&REALTIME_EVENT_SOURCE_URL)?;
        let source = match &url {
            Some(url) => Api::at_stream(url.as_str(), token.wanted.as_deref()),
            None => Api::new(&local(API_PORT_NUMBER), token.wanted.as_deref()),
        };
        let settings = Settings {
            source: event_source(sources, &REALTIME_EVENT_SOURCE_URL, source)?,
            source_reconnect: sources.value(&REALTIME_SOURCE_RECONNECT_MS)?,
            source_silence: sources.value(&AGENTCAFE_SOURCE_SILENCE_MS)?,
            token,
            heartbeat: sources.value(&REALTIME_HEARTBEAT_MS)?,
            room_history_limit: sources.value(&REALTIME_ROOM_HISTORY_LIMIT)?,
            max_rooms: sources.value(&REALTIME_MAX_ROOMS)?,
            default_tenant: sources.value(&REALTIME_DEFAULT_TENANT_ID)?,
            max_clients: sources.value(&REALTIME_MAX_CLIENTS)?,
            archive: None,
        };
        Ok(Self {
            listen,
            redis: sources.optional(&REDIS_URL)?,
            log: sources.value(&AGENTCAFE_LOG)?,
            warnings: Vec::new(),
            settings,
            has_source: url.is_some(),
            keys: Keys::new(sources.value(&REALTIME_REDIS_PREFIX)?),
        })
    }

    /// The settings of the service, which follows the API at `near` unless another event stream is set.
    ///
    /// # Errors
    /// When that API cannot be requested.
    pub(crate) fn settings(
        &self,
        near: Option<SocketAddr>,
        link: Option<Arc<Link>>,
    ) -> Result<Settings, BadAddress> {
        let mut settings = self.settings.clone();
        if let (Some(near), false) = (near, self.has_source) {
            settings.source = Api::new(&format!("http://{near}"), settings.token.wanted.as_deref())?;
        }
        settings.archive = link.map(|link| Archive::new(link, self.keys.clone()));
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<RealtimeConfig, SettingError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        RealtimeConfig::read(&Sources::of("realtime", variables.iter().copied()))
    }

    #[test]
    fn realtime_config_listens_on_loopback_without_a_token() {
        assert_eq!(read(&[]).unwrap().listen.to_string(), "127.0.0.1:3851");
        let open =
            read(&[("API_AUTH_TOKEN", "t"), ("PORT", "80"), ("REALTIME_ROOM_HISTORY_LIMIT", "0")]).unwrap();
        assert_eq!((open.listen.to_string().as_str(), open.settings.room_history_limit), ("0.0.0.0:80", 1));
        let exposed = read(&[("REALTIME_HOST", "0.0.0.0"), ("REALTIME_PORT", "1"), ("PORT", "2")]).unwrap();
        assert_eq!((exposed.listen.to_string().as_str(), exposed.warnings.len()), ("0.0.0.0:1", 1));
    }
}
