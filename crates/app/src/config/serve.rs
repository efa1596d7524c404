//! The settings of `agentcafe serve`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use agentcafe_api::ApiSettings;
use agentcafe_dispatcher::PaymentProvider;
use agentcafe_dispatcher::reactions::ReactionLimits;
use agentcafe_domain::conversation::ConversationRules;
use agentcafe_domain::kernel::{IdempotencyRules, Rules, Secret};
use agentcafe_domain::moderation::ModerationRules;
use agentcafe_domain::presence::PresenceRules;
use agentcafe_domain::tables::PrivateTableRules;
use agentcafe_domain::tables::payment::{DEFAULT_STUB_PROOF, PaymentMode};
use agentcafe_domain::tables::plan::Catalogue;
use agentcafe_domain::webhooks::target::WebhookRules;
use agentcafe_http::{BrowserPolicy, Token};
use agentcafe_redis::Keys;
use agentcafe_service::{AuthMode, Authentication, ServiceSettings};
use agentcafe_store::{PostgresOptions, StoreLocation, TimeSource};

use super::catalogue::*;
use super::realtime::RealtimeConfig;
use super::setting::Setting;
use super::sources::{SettingError, Sources};
use crate::process::{ConnectionSettings, LogSettings};

/// The shortest token of a server that other machines reach: 128 bits.
const MIN_TOKEN_BYTES: usize = 16;

/// The settings of `agentcafe serve`.
pub(crate) struct ServeConfig {
    /// The address to listen on.
    pub(crate) listen: SocketAddr,
    /// The storage of the data.
    pub(crate) storage: StoreLocation,
    /// The file with the keys that encrypt webhook secrets, if it is set.
    pub(crate) secret_key_file: Option<PathBuf>,
    /// The settings of the rules.
    pub(crate) rules: Rules,
    /// The settings of the API.
    pub(crate) api: ApiSettings,
    /// The limits of connections.
    pub(crate) connections: ConnectionSettings,
    /// The payment provider of private tables.
    pub(crate) payment_provider: PaymentProvider,
    /// The limits of reactions.
    pub(crate) reactions: ReactionLimits,
    /// Maximum number of concurrent webhook deliveries.
    pub(crate) webhook_max_concurrency: usize,
    /// The Redis server, and the names of our keys.
    pub(crate) redis: Option<(Secret, Keys)>,
    /// The embedded realtime service, if it is enabled.
    pub(crate) realtime: Option<RealtimeConfig>,
    /// The log of the process.
    pub(crate) log: LogSettings,
}

impl ServeConfig {
    /// Reads every setting. The error is that of the first invalid one.
    pub(crate) fn read(sources: &Sources) -> Result<Self, SettingError> {
        let token = token(sources)?;
        let listen = SocketAddr::new(listen_host(&API_HOST, sources)?, sources.value(&API_PORT)?);
        let rules = rules(sources, listen.ip())?;
        let realtime = RealtimeConfig::embedded(sources)?;
        let mut log = log(sources)?;
        let missing = match rules.get::<PrivateTableRules>().payment {
            PaymentMode::Stub { proof: None } => Some("PRIVATE_TABLE_PAYMENT_STUB_PROOF"),
            PaymentMode::Webhook { configured: false } => Some("PRIVATE_TABLE_PAYMENT_WEBHOOK_URL"),
            PaymentMode::Off | PaymentMode::Stub { .. } | PaymentMode::Webhook { .. } => None,
        };
        let unpaid = missing.map(|name| format!("{name} is not set: no private table can be paid for"));
        log.warnings.extend(unpaid);
        if realtime.is_some() && rules.get::<PrivateTableRules>().gates_reads {
            log.warnings.push(
                "PRIVATE_TABLE_READ_GATE is members: realtime may not read the event stream, and sends nothing"
                    .to_owned(),
            );
        }
        log.warnings.extend(shared_token_warning(sources)?);
        let secret_key_file = sources.optional(&AGENTCAFE_SECRET_KEY_FILE)?;
        let storage = storage(sources)?;
        if secret_key_file.is_none() && matches!(storage, StoreLocation::Postgres(_)) {
            log.warnings.push(
                "AGENTCAFE_SECRET_KEY_FILE is not set: secrets of webhooks are not encrypted in PostgreSQL"
                    .to_owned(),
            );
        }
        let redis = sources.optional(&REDIS_URL)?;
        let keys = Keys::new(sources.value(&INBOX_REDIS_PREFIX)?);
        Ok(Self {
            listen,
            storage,
            secret_key_file,
            rules,
            api: settings(sources, token)?,
            connections: connections(sources)?,
            payment_provider: PaymentProvider {
                url: sources.optional(&PRIVATE_TABLE_PAYMENT_WEBHOOK_URL)?,
                timeout: sources.value(&PRIVATE_TABLE_PAYMENT_WEBHOOK_TIMEOUT_MS)?,
                secret: sources.optional(&PRIVATE_TABLE_PAYMENT_WEBHOOK_SECRET)?,
            },
            reactions: ReactionLimits {
                concurrency: sources.value(&REACTION_MAX_CONCURRENCY)?,
                max_per_cause: sources.value(&REACTION_MAX_PER_CAUSE)?,
            },
            webhook_max_concurrency: sources.value(&WEBHOOK_MAX_CONCURRENCY)?,
            redis: redis.map(|url| (url, keys)),
            realtime,
            log,
        })
    }
}

/// That the shared token stands for everybody, if keys may be used beside it.
fn shared_token_warning(sources: &Sources) -> Result<Option<String>, SettingError> {
    let is_root = token(sources)?.required.is_some() && auth_mode(sources)? != AuthMode::Shared;
    Ok(is_root.then(|| {
        "API_AUTH_TOKEN stands for everybody and administrates the keys: once all callers have keys, set AUTH_MODE=keys"
            .to_owned()
    }))
}

/// The storage of a server with these settings.
pub(crate) fn storage(sources: &Sources) -> Result<StoreLocation, SettingError> {
    let Some(url) = sources.optional(&DATABASE_URL)? else {
        if sources.value(&API_DB_REQUIRED)? {
            return Err(sources.error(&API_DB_REQUIRED, "DATABASE_URL is not set"));
        }
        return Ok(StoreLocation::Directory(sources.value(&AGENTCAFE_DATA_DIR)?));
    };
    Ok(StoreLocation::Postgres(PostgresOptions {
        url,
        pool_max: sources.value(&PG_POOL_MAX)?,
        idle_timeout: sources.value(&PG_IDLE_TIMEOUT_MS)?,
        auto_migrate: sources.value(&API_DB_AUTO_MIGRATE)?,
        migration_lock_key: sources.value(&API_DB_MIGRATION_LOCK_KEY)?,
        time: TimeSource::Database,
    }))
}

/// The storage that is exported or imported into: the embedded database in this directory, if one is named, else that of a
/// server.
pub(crate) fn storage_in(
    directory: Option<PathBuf>,
    sources: &Sources,
) -> Result<StoreLocation, SettingError> {
    directory.map_or_else(|| storage(sources), |directory| Ok(StoreLocation::Directory(directory)))
}

/// What is written to the log of the process, and how.
pub(super) fn log(sources: &Sources) -> Result<LogSettings, SettingError> {
    let (filter, format) = (sources.value(&AGENTCAFE_LOG)?, sources.value(&LOG_FORMAT)?);
    Ok(LogSettings { filter, format, warnings: sources.warnings() })
}

/// The token that callers may share, unless all must have keys, and the query parameter that may carry it.
pub(super) fn token(sources: &Sources) -> Result<Token, SettingError> {
    let shared = sources.optional(&API_AUTH_TOKEN)?;
    Ok(Token {
        required: if auth_mode(sources)? == AuthMode::Keys { None } else { shared },
        query_param: sources.value(&API_AUTH_QUERY_PARAM)?,
    })
}

/// Who is let in.
pub(super) fn auth_mode(sources: &Sources) -> Result<AuthMode, SettingError> {
    Ok(sources.optional(&AUTH_MODE)?.unwrap_or_default())
}

/// Whether callers need a key or a token whatever the store holds.
pub(super) fn is_closed(sources: &Sources) -> Result<bool, SettingError> {
    Ok(auth_mode(sources)? == AuthMode::Keys || token(sources)?.required.is_some())
}

/// The token with which realtime and projector read the API.
pub(super) fn source_token(sources: &Sources) -> Result<Option<String>, SettingError> {
    match sources.optional(&AGENTCAFE_SOURCE_TOKEN)? {
        Some(token) => Ok(Some(token)),
        None => sources.optional(&API_AUTH_TOKEN),
    }
}

/// The limits of connections.
pub(super) fn connections(sources: &Sources) -> Result<ConnectionSettings, SettingError> {
    Ok(ConnectionSettings {
        max_per_address: sources.value(&MAX_CONNECTIONS_PER_ADDRESS)?,
        trusted_proxies: sources.optional(&TRUSTED_PROXIES)?.unwrap_or_default(),
    })
}

/// Where to listen: where no token is needed only this machine may connect, unless a host is set.
pub(super) fn listen_host(setting: &Setting<IpAddr>, sources: &Sources) -> Result<IpAddr, SettingError> {
    let default = if is_closed(sources)? { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    let host = sources.optional(setting)?.unwrap_or(default.into());
    check_exposure(setting, host, sources)?;
    Ok(host)
}

/// Checks that an address is loopback, or all callers need API keys, or the token is too long to be guessed.
fn check_exposure(setting: &Setting<IpAddr>, listen: IpAddr, sources: &Sources) -> Result<(), SettingError> {
    let problem = match &token(sources)?.required {
        _ if listen.to_canonical().is_loopback() || auth_mode(sources)? == AuthMode::Keys => return Ok(()),
        Some(token) if token.len() >= MIN_TOKEN_BYTES => return Ok(()),
        Some(token) => format!("has {} bytes", token.len()),
        None => "is not set".to_owned(),
    };
    let setting = setting.description.names[0];
    Err(SettingError::new(format!(
        "{listen} ({setting}) is reachable from other machines, and API_AUTH_TOKEN {problem}. It must have at least \
         {MIN_TOKEN_BYTES} bytes (openssl rand -hex 32). Set it, or AUTH_MODE=keys, or {setting}=127.0.0.1"
    )))
}

/// Which host names the server answers to, and which web pages may use it.
pub(super) fn browsers(sources: &Sources) -> Result<BrowserPolicy, SettingError> {
    Ok(BrowserPolicy {
        allowed_hosts: sources.optional(&API_ALLOWED_HOSTS)?.unwrap_or_default(),
        allowed_origins: sources.optional(&API_ALLOWED_ORIGINS)?.unwrap_or_default(),
    })
}

fn rules(sources: &Sources, listen: IpAddr) -> Result<Rules, SettingError> {
    let max_chars = sources.value(&API_MAX_CHAT_MESSAGE_CHARS)?;
    let allow_private_targets = sources.optional(&WEBHOOK_ALLOW_PRIVATE_TARGETS)?;
    let is_closed = is_closed(sources)?;
    Ok(Rules::default()
        .with(ConversationRules {
            max_message_chars: if max_chars == 0 { usize::MAX } else { max_chars },
            max_body_chars: sources.value(&API_MAX_MESSAGE_BODY_CHARS)?,
        })
        .with(PresenceRules { default_ttl_ms: sources.value(&PRESENCE_DEFAULT_TTL_MS)? })
        .with(IdempotencyRules { ttl_ms: sources.value(&API_IDEMPOTENCY_TTL_MS)? })
        .with(ModerationRules {
            window_ms: sources.value(&MOD_WINDOW_MS)?,
            max_actions_per_window: sources.value(&MOD_MAX_ACTIONS_PER_WINDOW)?,
            max_repeated_text_per_window: sources.value(&MOD_MAX_REPEATED_TEXT_PER_WINDOW)?,
            min_action_interval_ms: sources.value(&MOD_MIN_ACTION_INTERVAL_MS)?,
            cooldown_ms: sources.value(&MOD_COOLDOWN_MS)?,
        })
        .with(sources.value(&PERMISSIONS_MODE)?)
        .with(private_tables(sources, listen)?)
        .with(WebhookRules { allow_private_targets: allow_private_targets.unwrap_or(!is_closed) }))
}

/// Where other machines can connect, the proof that everybody knows does not count.
fn private_tables(sources: &Sources, listen: IpAddr) -> Result<PrivateTableRules, SettingError> {
    let default_proof = listen.to_canonical().is_loopback().then(|| Secret::new(DEFAULT_STUB_PROOF));
    let catalogue = sources.optional(&TABLE_PLAN_CATALOG_JSON)?;
    let plans = Catalogue::read(catalogue.as_deref(), sources.optional(&TABLE_PLAN_DEFAULT_ID)?.as_deref());
    Ok(PrivateTableRules {
        payment: match sources.value(&PRIVATE_TABLE_PAYMENT_MODE)? {
            PaymentKind::Off => PaymentMode::Off,
            PaymentKind::Stub => PaymentMode::Stub {
                proof: sources.optional(&PRIVATE_TABLE_PAYMENT_STUB_PROOF)?.or(default_proof),
            },
            PaymentKind::Webhook => PaymentMode::Webhook {
                configured: sources.optional(&PRIVATE_TABLE_PAYMENT_WEBHOOK_URL)?.is_some(),
            },
        },
        price: sources.value(&PRIVATE_TABLE_PRICE_USD)?,
        plans: plans.map_err(|problem| sources.error(&TABLE_PLAN_DEFAULT_ID, &problem))?,
        gates_reads: sources.value(&PRIVATE_TABLE_READ_GATE)?,
    })
}

fn settings(sources: &Sources, token: Token) -> Result<ApiSettings, SettingError> {
    let authentication = Authentication { mode: auth_mode(sources)?, shared_token: token.required.clone() };
    Ok(ApiSettings {
        token,
        browsers: browsers(sources)?,
        rate_limit_per_min: sources.value(&API_RATE_LIMIT_PER_MIN)?,
        key_rate_limit_per_min: sources.value(&API_KEY_RATE_LIMIT_PER_MIN)?,
        trusted_proxies: sources.optional(&TRUSTED_PROXIES)?.unwrap_or_default(),
        service: ServiceSettings {
            authentication,
            max_streams: sources.value(&API_STREAM_MAX_CLIENTS)?,
            max_open_per_key: sources.value(&API_KEY_MAX_OPEN)?,
            stream_heartbeat: sources.value(&API_STREAM_HEARTBEAT_MS)?,
            presence_sweep: sources.value(&PRESENCE_SWEEP_MS)?,
            table_session_sweep: sources.value(&TABLE_SESSION_SWEEP_MS)?,
        },
    })
}
