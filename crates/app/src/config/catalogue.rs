//! Every setting, declared once: name, aliases, type, default, allowed values, meaning, and which subcommands read it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use agentcafe_client::{EVENT_STREAM_PATH, Start, StreamOptions};
use agentcafe_domain::conversation::ConversationRules;
use agentcafe_domain::kernel::{IdempotencyRules, RoomId, RuleSet, Secret, TenantId, Usd};
use agentcafe_domain::moderation::ModerationRules;
use agentcafe_domain::permissions::PermissionsMode;
use agentcafe_domain::presence::PresenceRules;
use agentcafe_domain::tables::PrivateTableRules;
use agentcafe_domain::tables::plan::Catalogue;
use agentcafe_load::target::Target;
use agentcafe_service::AuthMode;
use ipnet::IpNet;
use reqwest::Url;

use super::DrillMode;
use super::kinds::*;
use super::setting::{AnySetting, DefaultValue, Description, Kind, Secrecy, Setting};
use crate::process::LogFormat;

/// The port of the API, and that of the realtime service.
pub(super) const API_PORT_NUMBER: u16 = 3850;
pub(super) const REALTIME_PORT_NUMBER: u16 = 3851;
/// The port of the public website.
const WORLD_PORT_NUMBER: u16 = 3846;
/// The maximum of `REACTION_MAX_CONCURRENCY`: a fraction of the queue of commands.
const MAX_REACTION_CONCURRENCY: u64 = 256;
/// The maximum of `REACTION_MAX_PER_CAUSE`.
const MAX_REACTIONS_PER_CAUSE: u64 = 1_000_000;
/// The default prefix of keys in Redis.
const REDIS_PREFIX: &str = "acf";
const LISTEN_HOST: &str = "127.0.0.1, or 0.0.0.0 with a token";
const STUB_PROOF: &str = "coffee_paid, and none where other machines can connect";
const NONE: &str = "none";

/// How private tables are paid for, without the settings of each mode.
#[derive(Clone, Copy)]
pub(crate) enum PaymentKind {
    Off,
    Stub,
    Webhook,
}

/// The address of a port of this machine.
pub(super) fn local(port: u16) -> String {
    format!("http://{}:{port}", Ipv4Addr::LOCALHOST)
}

/// Declares settings, by section and with the subcommands that read them:
///
/// ```text
/// /// What it is for.
/// NAME else "ALIAS": Type = kind, default value, secret;   // or: unset "what holds then"; or: address; or neither
/// ```
///
/// Each is declared twice with the same words, as an item of its own name and as an element of `SETTINGS`, so that the
/// compiler finds one that nothing reads.
macro_rules! settings {
    ($($section:literal for $subcommands:tt {
        $($(#[doc = $meaning:literal])+
        $name:ident $(else $alias:literal)* : $type:ty = $kind:expr, $default:ident $value:expr $(, $secrecy:ident)?;)*
    })*) => {
        $($($(#[doc = $meaning])+ pub(crate) static $name: Setting<$type> =
            settings!(@ $section, $subcommands, ($($meaning)+), $name, ($($alias)*), $kind, $default $value, ($($secrecy)?));)*)*

        /// Every setting, in the order of help and docs.
        pub(super) static SETTINGS: &[&dyn AnySetting] = &[$($({
            static SETTING: Setting<$type> =
                settings!(@ $section, $subcommands, ($($meaning)+), $name, ($($alias)*), $kind, $default $value, ($($secrecy)?));
            &SETTING
        }),*),*];
    };
    (@ $section:literal, $subcommands:tt, ($($meaning:literal)+), $name:ident, ($($alias:literal)*), $kind:expr,
        $default:ident $value:expr, ($($secrecy:ident)?)) => {
        Setting {
            description: Description {
                names: &[stringify!($name) $(, $alias)*],
                section: $section,
                subcommands: &$subcommands,
                meaning: concat!($($meaning),+),
                default: settings!(@ $default $value),
                secrecy: settings!(@ $($secrecy)?),
            },
            kind: $kind,
        }
    };
    (@ default $value:expr) => { DefaultValue::Value(|| $value.to_string()) };
    (@ unset $text:expr) => { DefaultValue::Unset(|| $text.to_string()) };
    (@ secret) => { Secrecy::Secret };
    (@ address) => { Secrecy::Address };
    (@) => { Secrecy::Plain };
}

settings! {
    "Storage" for ["serve", "realtime", "projector", "tail", "export", "import", "verify", "new-epoch", "keys", "migrate", "load", "drill"] {
        /// The directory of the embedded database and of agentcafe.toml; one process at a time uses it
        AGENTCAFE_DATA_DIR: PathBuf = parsed("a directory"), default "./data";
    }

    "Storage" for ["serve", "export", "import", "verify", "new-epoch", "keys", "migrate"] {
        /// The PostgreSQL database of all data
        DATABASE_URL: Secret = POSTGRES_ADDRESS, unset "none: the embedded database", address;
        /// Whether DATABASE_URL must be set
        API_DB_REQUIRED: bool = FLAG, default false;
        /// Whether the schema in PostgreSQL is migrated to this version at the start
        API_DB_AUTO_MIGRATE: bool = FLAG, default true;
        /// The key of the advisory lock for migrations
        API_DB_MIGRATION_LOCK_KEY: i64 = number(), default 942_516_431;
        /// Maximum number of PostgreSQL connections for reads
        PG_POOL_MAX: usize = at_least(1), default 10;
        /// How long an idle PostgreSQL connection is kept
        PG_IDLE_TIMEOUT_MS: Duration = millis(1_000), default 30_000;
    }

    "Every service" for ["serve", "realtime", "projector"] {
        /// The log level, or directives per module
        AGENTCAFE_LOG: String = LOG_FILTER, default "info";
        /// The format of the log's lines
        LOG_FORMAT: LogFormat = Kind::Choice(&[
            ("text", LogFormat::Text, ""),
            ("json", LogFormat::Json, "an object per line"),
        ]), default "text";
        /// The token that requests must carry, as x-api-key, as Bearer token or as query parameter; at least 16 bytes to listen beyond loopback
        API_AUTH_TOKEN else "AGENTCAFE_RUNTIME_API_KEY": String =
            parsed("text; ASCII where realtime or projector send it"), unset NONE, secret;
        /// The Redis server, for limits that nodes share, unread counts and read models
        REDIS_URL: Secret = REDIS_ADDRESS, unset NONE, address;
        /// realtime, projector: the API key (kind service) with which they read the API; without it, they send API_AUTH_TOKEN
        AGENTCAFE_SOURCE_TOKEN: String = parsed("ASCII text"), unset "API_AUTH_TOKEN", secret;
        /// realtime, projector: how long the API's event stream may be silent before it reconnects
        AGENTCAFE_SOURCE_SILENCE_MS: Duration = millis(1_000),
            default StreamOptions::all(Start::Latest).idle_timeout.as_millis();
    }

    "API" for ["serve"] {
        /// The IP address to listen on
        API_HOST: IpAddr = IP_ADDRESS, unset LISTEN_HOST;
        /// The port to listen on; 0: any free port
        API_PORT else "PORT": u16 = PORT, default API_PORT_NUMBER;
        /// Requests per minute for each address, method and route, without API keys
        API_RATE_LIMIT_PER_MIN: u64 = number().zero("no limit"), default 120;
        /// Requests per minute for each API key, method and route, without streams and polls
        API_KEY_RATE_LIMIT_PER_MIN: u64 = number().zero("no limit"), default 1_200;
        /// The interval between heartbeats of a stream
        API_STREAM_HEARTBEAT_MS: Duration = millis(10), default 15_000;
        /// Maximum number of open streams; more get 503
        API_STREAM_MAX_CLIENTS: usize = number().zero("no streams"), default 10_000;
        /// Maximum length of a message, in characters
        API_MAX_CHAT_MESSAGE_CHARS else "AGENTCAFE_MAX_CHAT_MESSAGE_CHARS": usize =
            at_least(1).zero("only the limit of the body"), default ConversationRules::defaults().max_message_chars;
        /// Maximum length of the body of a message, in characters
        API_MAX_MESSAGE_BODY_CHARS: usize = between(1, 65_536), default ConversationRules::defaults().max_body_chars;
        /// How long an idempotency key is kept
        API_IDEMPOTENCY_TTL_MS: i64 = at_least(60_000), default IdempotencyRules::defaults().ttl_ms;
        /// The prefix of the API's keys in Redis
        INBOX_REDIS_PREFIX: String = TEXT, default REDIS_PREFIX;
    }

    "API" for ["serve", "realtime"] {
        /// Who is let in: holders of API_AUTH_TOKEN, of API keys, or both
        AUTH_MODE: AuthMode = Kind::Choice(&[
            ("shared", AuthMode::Shared, "the token alone"),
            ("both", AuthMode::Both, "the token, which stands for everybody, and API keys"),
            ("keys", AuthMode::Keys, "API keys alone"),
        ]), unset "shared until there is an API key, then both";
        /// Maximum number of streams and waiting polls of an API key that a process has open; more get 429
        API_KEY_MAX_OPEN: usize = number().zero("no limit"), default 100;
        /// The proxies whose x-forwarded-for is trusted; their connections are not limited
        TRUSTED_PROXIES: Vec<IpNet> = NETWORKS, unset NONE;
        /// Maximum number of connections of a client address; more get 503
        MAX_CONNECTIONS_PER_ADDRESS: usize = number().zero("no limit"), default 2_048;
        /// The query parameter for the token
        API_AUTH_QUERY_PARAM: String = TEXT, default "apiKey";
        /// Without a token: the host names that requests may use, besides localhost, 127.0.0.1 and [::1]
        API_ALLOWED_HOSTS: Vec<String> = HOSTS, unset NONE;
        /// The origins whose web pages may use the service (CORS)
        API_ALLOWED_ORIGINS: Vec<String> = ORIGINS, unset NONE;
    }

    "Presence and moderation" for ["serve"] {
        /// How long an actor stays present after an action
        PRESENCE_DEFAULT_TTL_MS: i64 = between(1_000, 600_000), default PresenceRules::defaults().default_ttl_ms;
        /// The interval between sweeps of expired presences
        PRESENCE_SWEEP_MS: Duration = millis(500), default 2_000;
        /// The window in which moderation counts actions and repeated texts
        MOD_WINDOW_MS: i64 = at_least(1_000).zero("nothing is counted"), default ModerationRules::default().window_ms;
        /// Actions of an actor in a room per window
        MOD_MAX_ACTIONS_PER_WINDOW: usize = number().zero("no limit"),
            default ModerationRules::default().max_actions_per_window;
        /// How often an actor may post the same text per window
        MOD_MAX_REPEATED_TEXT_PER_WINDOW: usize = number().zero("no limit"),
            default ModerationRules::default().max_repeated_text_per_window;
        /// Minimum time between two actions of an actor
        MOD_MIN_ACTION_INTERVAL_MS: i64 = number().zero("no limit"),
            default ModerationRules::default().min_action_interval_ms;
        /// How long an actor is blocked after it exceeds a limit
        MOD_COOLDOWN_MS: i64 = number().zero("no cooldown"), default ModerationRules::default().cooldown_ms;
    }

    "Permissions and private tables" for ["serve"] {
        /// Who may grant permissions
        PERMISSIONS_MODE: PermissionsMode = Kind::Choice(&[
            ("open", PermissionsMode::Open, "any client with the token"),
            ("strict", PermissionsMode::Strict, "operators of the room; the first grant of a room: any client"),
        ]), default "open";
        /// How private tables are paid for
        PRIVATE_TABLE_PAYMENT_MODE: PaymentKind = Kind::Choice(&[
            ("off", PaymentKind::Off, "no payment"),
            ("stub", PaymentKind::Stub, "the request must contain the proof"),
            ("webhook", PaymentKind::Webhook, "the provider is called"),
        ]), default "stub";
        /// The payment proof in the mode stub
        PRIVATE_TABLE_PAYMENT_STUB_PROOF: Secret = SECRET, unset STUB_PROOF, secret;
        /// The URL of the payment provider
        PRIVATE_TABLE_PAYMENT_WEBHOOK_URL: Url = HTTP_URL, unset NONE, address;
        /// The secret that signs requests to the provider (x-agentcafe-signature)
        PRIVATE_TABLE_PAYMENT_WEBHOOK_SECRET: Secret = SECRET, unset NONE, secret;
        /// Timeout of a request to the provider
        PRIVATE_TABLE_PAYMENT_WEBHOOK_TIMEOUT_MS: Duration = millis(250), default 4_000;
        /// The price of a private table
        PRIVATE_TABLE_PRICE_USD: Usd = DOLLARS, default PrivateTableRules::default().price.dollars();
        /// Who may read what happens at a private table
        PRIVATE_TABLE_READ_GATE: bool = Kind::Choice(&[
            ("off", false, "any client"),
            ("members", true, "the owner and the guests, by viewerActorId"),
        ]), default "off";
        /// The plans of private tables, instead of the built-in ones
        TABLE_PLAN_CATALOG_JSON: String = PLANS, unset "four built-in plans";
        /// The default plan, as shown in /healthz
        TABLE_PLAN_DEFAULT_ID: String = parsed("the id of a plan"),
            unset format!("{}, else the first plan", Catalogue::default().standard().plan_id);
        /// The interval between sweeps of expired table sessions
        TABLE_SESSION_SWEEP_MS: Duration = millis(1_000), default 5_000;
    }

    "Webhooks and reactions" for ["serve"] {
        /// Whether webhooks may target loopback and private networks; link-local and cloud metadata addresses are always refused
        WEBHOOK_ALLOW_PRIVATE_TARGETS: bool = FLAG, unset "true, or false with a token";
        /// The file with the keys that encrypt webhook secrets, 64 hexadecimal digits in each line: the first encrypts, all decrypt
        AGENTCAFE_SECRET_KEY_FILE: PathBuf = parsed("a file"), unset "agentcafe.key in the data directory; on PostgreSQL none";
        /// Maximum number of concurrent webhook deliveries of one tenant, without those to slow targets
        WEBHOOK_MAX_CONCURRENCY: usize = at_least(1), default 4;
        /// Maximum number of events of one tenant whose reactions are in progress
        REACTION_MAX_CONCURRENCY: usize = between(1, MAX_REACTION_CONCURRENCY), default 4;
        /// Maximum number of reactions within a minute to the events of one correlation id, those of its reactions included
        REACTION_MAX_PER_CAUSE: u32 = between(1, MAX_REACTIONS_PER_CAUSE), default 1_000;
    }

    "Realtime service" for ["realtime", "serve"] {
        /// The port to listen on; 0: any free port. In serve it enables the service, and PORT is the API's
        REALTIME_PORT else "PORT": u16 = PORT, unset format!("{REALTIME_PORT_NUMBER}; in serve none");
        /// The IP address to listen on
        REALTIME_HOST: IpAddr = IP_ADDRESS, unset LISTEN_HOST;
        /// The API to follow: its address, or the URL of its event stream
        REALTIME_EVENT_SOURCE_URL: Url = HTTP_URL,
            unset format!("{}{EVENT_STREAM_PATH}; in serve its own", local(API_PORT_NUMBER)), address;
        /// Maximum pause before the event stream reconnects
        REALTIME_SOURCE_RECONNECT_MS: Duration = millis(100), default 2_000;
        /// The interval between heartbeats to a client
        REALTIME_HEARTBEAT_MS: Duration = millis(10), default 15_000;
        /// Events of a room in memory; older ones are read from Redis or the API
        REALTIME_ROOM_HISTORY_LIMIT: usize = at_least(1), default 500;
        /// Rooms in memory, the most recently used; others are read again on demand
        REALTIME_MAX_ROOMS: usize = at_least(1), default 2_000;
        /// The default tenant of clients
        REALTIME_DEFAULT_TENANT_ID: TenantId = TENANT, default TenantId::default();
        /// Maximum number of clients; more get 503
        REALTIME_MAX_CLIENTS: usize = number().zero("no clients"), default 10_000;
        /// The prefix of the projector's keys in Redis
        REALTIME_REDIS_PREFIX: String = TEXT, default REDIS_PREFIX;
    }

    "Projector" for ["projector"] {
        /// The API to follow: its address, or the URL of its event stream
        PROJECTOR_EVENT_SOURCE_URL: Url = HTTP_URL, default local(API_PORT_NUMBER), address;
        /// The URL of the event stream, if its path is another one
        PROJECTOR_EVENT_STREAM_URL: Url = HTTP_URL,
            unset "the event stream of PROJECTOR_EVENT_SOURCE_URL", address;
        /// The tenants whose rooms are projected
        PROJECTOR_TENANT_ID: Vec<TenantId> = TENANTS, unset "all";
        /// The rooms that are projected
        PROJECTOR_ROOM_ID: Vec<RoomId> = ROOMS, unset "all";
        /// The sequence after which a first projection starts
        PROJECTOR_START_CURSOR: u64 = number(), default 0;
        /// Maximum pause before the event stream reconnects
        PROJECTOR_STREAM_RECONNECT_MS: Duration = millis(100), default 2_000;
        /// The prefix of the projector's keys in Redis
        PROJECTOR_REDIS_PREFIX: String = TEXT, default REDIS_PREFIX;
        /// Events in the stream of a room in Redis
        PROJECTOR_REDIS_STREAM_MAXLEN: u64 = at_least(100), default 2_000;
        /// How long presence in Redis lasts without renewal
        PROJECTOR_REDIS_PRESENCE_TTL_SECONDS: Option<Duration> = PRESENCE_TTL, default 60;
        /// The port of /healthz, /readyz and /livez; 0: any free port
        PROJECTOR_HEALTH_PORT: u16 = PORT, unset NONE;
        /// The IP address of that port
        PROJECTOR_HEALTH_HOST: IpAddr = IP_ADDRESS, default Ipv4Addr::LOCALHOST;
    }

    "Command line client" for ["tail"] {
        /// The URL of the server
        AGENTCAFE_URL: Url = HTTP_URL, default local(API_PORT_NUMBER);
    }

    "Command line client" for ["tail", "keys"] {
        /// The API key for the server, or its shared token, if it needs one
        AGENTCAFE_TOKEN: String = TEXT, unset NONE, secret;
    }

    "Load test" for ["load"] {
        /// The server under test
        LOAD_TARGET_URL else "AGENTCAFE_URL": Target = TARGET, default local(API_PORT_NUMBER), address;
        /// The server of the streams
        LOAD_STREAM_URL: Target = TARGET, unset "LOAD_TARGET_URL", address;
        /// The API key of requests, sent as x-api-key
        LOAD_API_KEY else "API_AUTH_TOKEN" else "AGENTCAFE_RUNTIME_API_KEY" else "AGENTCAFE_TOKEN": String =
            TEXT, unset NONE, secret;
        /// The path that the gate requests
        LOAD_API_PATH: String = PATH, default "/healthz", secret;
        /// The path that it requests alternately with LOAD_API_PATH
        LOAD_API_PATH_ALT: String = PATH, default "/v1/events?limit=5", secret;
        /// The path of the stream
        LOAD_STREAM_PATH: String = PATH, default EVENT_STREAM_PATH, secret;
        /// Duration of the test
        LOAD_DURATION_MS: Duration = millis(1), default 15_000;
        /// Concurrent requests of the gate
        LOAD_CONCURRENCY: usize = at_least(1), default 20;
        /// Requests that the gate sends one after the other before it measures
        LOAD_WARMUP_REQUESTS: u64 = number(), default 10;
        /// Timeout of a request
        LOAD_REQUEST_TIMEOUT_MS: Duration = millis(1), default 5_000;
        /// Streams that the gate opens at once
        LOAD_STREAM_FANOUT: usize = at_least(1), default 40;
        /// Timeout of a stream until it is ready
        LOAD_STREAM_TIMEOUT_MS: Duration = millis(1), default 6_000;
        /// Maximum 95th percentile of the gate's requests
        SLO_API_P95_MS: f64 = DECIMAL, default 200;
        /// Maximum 99th percentile of the gate's requests
        SLO_API_P99_MS: f64 = DECIMAL, default 500;
        /// Maximum share of failed requests
        SLO_API_ERROR_RATE_MAX: f64 = DECIMAL, default 0.01;
        /// Maximum 95th percentile of the gate's streams until they are ready
        SLO_STREAM_READY_P95_MS: f64 = DECIMAL, default 1_200;
        /// Minimum share of streams that become ready
        SLO_STREAM_SUCCESS_RATE_MIN: f64 = DECIMAL, default 0.98;
    }

    "Rollback drill" for ["drill"] {
        /// The mode of the drill
        ROLLBACK_DRILL_MODE: DrillMode = Kind::Choice(&[
            ("dry-run", DrillMode::DryRun, "prints the steps"),
            ("probe", DrillMode::Probe, "checks every service"),
        ]), default "dry-run";
        /// Timeout of each probe
        ROLLBACK_DRILL_TIMEOUT_MS: Duration = millis(500), default 4_000;
        /// The public website (its /api/healthz); none: skipped
        ROLLBACK_WORLD_URL: Option<Target> = OPTIONAL_TARGET, default local(WORLD_PORT_NUMBER), address;
        /// The API; none: skipped
        ROLLBACK_API_URL: Option<Target> = OPTIONAL_TARGET, default local(API_PORT_NUMBER), address;
        /// The realtime service; none: skipped
        ROLLBACK_REALTIME_URL: Option<Target> = OPTIONAL_TARGET,
            default local(REALTIME_PORT_NUMBER), address;
        /// The API key of requests, sent as x-api-key
        ROLLBACK_API_KEY else "API_AUTH_TOKEN" else "AGENTCAFE_RUNTIME_API_KEY" else "AGENTCAFE_TOKEN": String =
            TEXT, unset NONE, secret;
    }
}
