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
use agentcafe_domain::tables::payment::DEFAULT_STUB_PROOF;
use agentcafe_domain::tables::plan::Catalogue;
use agentcafe_load::target::Target;
use ipnet::IpNet;
use reqwest::Url;

use super::DrillMode;
use super::kinds::*;
use super::setting::{AnySetting, DefaultValue, Description, Kind, Secrecy, Setting};
use crate::process::LogFormat;

/// The port of the API, and that of the realtime service.
pub(super) const API_PORT_NUMBER: u16 = 3850;
pub(super) const REALTIME_PORT_NUMBER: u16 = 3851;
/// The port of a website in front of them.
const WORLD_PORT_NUMBER: u16 = 3846;
/// The most events that reactions are in progress for, whatever is set: a fraction of the commands that may wait.
const MAX_REACTION_CONCURRENCY: u64 = 256;
/// What the names of keys in Redis begin with.
const REDIS_PREFIX: &str = "acf";
const LISTEN_HOST: &str = "127.0.0.1, or 0.0.0.0 with a token";
const NONE: &str = "none";

/// How private tables are paid for, without what belongs to it.
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
    "Storage" for ["serve", "realtime", "projector", "tail", "export", "import", "migrate", "load", "drill"] {
        /// The directory of the embedded database, for one process; every subcommand looks for agentcafe.toml there
        AGENTCAFE_DATA_DIR: PathBuf = parsed("a directory"), default "./data";
    }

    "Storage" for ["serve", "export", "import", "migrate"] {
        /// The PostgreSQL database to keep everything in
        DATABASE_URL: Secret = POSTGRES_ADDRESS, unset "none: the embedded database", address;
        /// Whether to refuse to start without DATABASE_URL
        API_DB_REQUIRED: bool = FLAG, default false;
        /// Whether the schema in PostgreSQL is migrated to this version at the start
        API_DB_AUTO_MIGRATE: bool = FLAG, default true;
        /// The advisory lock that is held while the schema is migrated
        API_DB_MIGRATION_LOCK_KEY: i64 = number(), default 942_516_431;
        /// The most connections that read from PostgreSQL
        PG_POOL_MAX: usize = at_least(1), default 10;
        /// How long an idle connection to PostgreSQL is kept
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
        /// The token that requests must carry, as x-api-key, as Bearer token or as query parameter
        API_AUTH_TOKEN else "AGENTCAFE_RUNTIME_API_KEY": String =
            parsed("text; ASCII where realtime or projector send it"), unset NONE, secret;
        /// The Redis server, for limits that nodes share, unread counts and read models
        REDIS_URL: Secret = REDIS_ADDRESS, unset NONE, address;
        /// realtime, projector: how long the event stream of the API may be silent before it is connected again
        AGENTCAFE_SOURCE_SILENCE_MS: Duration = millis(1_000),
            default StreamOptions::all(Start::Latest).idle_timeout.as_millis();
    }

    "API" for ["serve"] {
        /// The IP address to listen on
        API_HOST: IpAddr = IP_ADDRESS, unset LISTEN_HOST;
        /// The port to listen on; 0 takes a free one
        API_PORT else "PORT": u16 = PORT, default API_PORT_NUMBER;
        /// Requests per minute for each client, method and route
        API_RATE_LIMIT_PER_MIN: u64 = number().zero("no limit"), default 120;
        /// The proxies whose x-forwarded-for is believed
        TRUSTED_PROXIES: Vec<IpNet> = NETWORKS, unset NONE;
        /// The interval between heartbeats of a stream
        API_STREAM_HEARTBEAT_MS: Duration = millis(10), default 15_000;
        /// The most open streams; more are answered with 503
        API_STREAM_MAX_CLIENTS: usize = number().zero("no streams"), default 10_000;
        /// The longest message, in characters
        API_MAX_CHAT_MESSAGE_CHARS else "AGENTCAFE_MAX_CHAT_MESSAGE_CHARS": usize =
            at_least(1).zero("no limit but the body's"), default ConversationRules::defaults().max_message_chars;
        /// How long an idempotency key is kept
        API_IDEMPOTENCY_TTL_MS: i64 = at_least(60_000), default IdempotencyRules::defaults().ttl_ms;
        /// What the names of the API's keys in Redis begin with
        INBOX_REDIS_PREFIX: String = TEXT, default REDIS_PREFIX;
    }

    "API" for ["serve", "realtime"] {
        /// The query parameter that may carry the token
        API_AUTH_QUERY_PARAM: String = TEXT, default "apiKey";
    }

    "Presence and moderation" for ["serve"] {
        /// How long an actor counts as present after it acted
        PRESENCE_DEFAULT_TTL_MS: i64 = between(1_000, 600_000), default PresenceRules::defaults().default_ttl_ms;
        /// The interval between sweeps of expired presences
        PRESENCE_SWEEP_MS: Duration = millis(500), default 2_000;
        /// The window in which moderation counts actions and repeated texts
        MOD_WINDOW_MS: i64 = at_least(1_000).zero("nothing is counted"), default ModerationRules::default().window_ms;
        /// Actions of an actor in a room per window
        MOD_MAX_ACTIONS_PER_WINDOW: usize = number().zero("no limit"),
            default ModerationRules::default().max_actions_per_window;
        /// How often an actor may say the same text per window
        MOD_MAX_REPEATED_TEXT_PER_WINDOW: usize = number().zero("no limit"),
            default ModerationRules::default().max_repeated_text_per_window;
        /// The shortest time between two actions of an actor
        MOD_MIN_ACTION_INTERVAL_MS: i64 = number().zero("no limit"),
            default ModerationRules::default().min_action_interval_ms;
        /// How long an actor is blocked after it hit a limit
        MOD_COOLDOWN_MS: i64 = number().zero("not at all"), default ModerationRules::default().cooldown_ms;
    }

    "Permissions and private tables" for ["serve"] {
        /// Who may grant permissions
        PERMISSIONS_MODE: PermissionsMode = Kind::Choice(&[
            ("open", PermissionsMode::Open, "whoever has the token"),
            ("strict", PermissionsMode::Strict, "operators of the room, and anybody the first one in a room"),
        ]), default "open";
        /// How private tables are paid for
        PRIVATE_TABLE_PAYMENT_MODE: PaymentKind = Kind::Choice(&[
            ("off", PaymentKind::Off, "they are free"),
            ("stub", PaymentKind::Stub, "whoever knows the proof has paid"),
            ("webhook", PaymentKind::Webhook, "a provider is asked"),
        ]), default "stub";
        /// The proof of payment in the mode stub
        PRIVATE_TABLE_PAYMENT_STUB_PROOF: Secret = SECRET, default DEFAULT_STUB_PROOF, secret;
        /// The address of the payment provider
        PRIVATE_TABLE_PAYMENT_WEBHOOK_URL: Url = HTTP_URL, unset NONE, address;
        /// The secret that requests to the provider are signed with (x-agentcafe-signature)
        PRIVATE_TABLE_PAYMENT_WEBHOOK_SECRET: Secret = SECRET, unset NONE, secret;
        /// How long the provider may take to answer
        PRIVATE_TABLE_PAYMENT_WEBHOOK_TIMEOUT_MS: Duration = millis(250), default 4_000;
        /// The price of making a room a private table
        PRIVATE_TABLE_PRICE_USD: Usd = DOLLARS, default PrivateTableRules::default().price.dollars();
        /// Who may read what happens at a private table
        PRIVATE_TABLE_READ_GATE: bool = Kind::Choice(&[
            ("off", false, "everybody"),
            ("members", true, "those at the table, named by viewerActorId"),
        ]), default "off";
        /// The plans of private tables, instead of the built-in ones
        TABLE_PLAN_CATALOG_JSON: String = PLANS, unset "four built-in plans";
        /// The plan that the health document names as the default
        TABLE_PLAN_DEFAULT_ID: String = parsed("the id of a plan"),
            unset format!("{}, or else the first plan", Catalogue::default().standard().plan_id);
        /// The interval between sweeps of expired table sessions
        TABLE_SESSION_SWEEP_MS: Duration = millis(1_000), default 5_000;
    }

    "Webhooks and reactions" for ["serve"] {
        /// Whether webhooks may go to this machine and to private networks; never to link-local and cloud metadata addresses
        WEBHOOK_ALLOW_PRIVATE_TARGETS: bool = FLAG, unset "true, or false with a token";
        /// The most webhook deliveries in flight, without those that wait for a slow target
        WEBHOOK_MAX_CONCURRENCY: usize = at_least(1), default 4;
        /// The most events for which reactions are in progress
        REACTION_MAX_CONCURRENCY: usize = between(1, MAX_REACTION_CONCURRENCY), default 4;
    }

    "Realtime service" for ["realtime", "serve"] {
        /// The port to listen on; 0 takes a free one. In serve, where PORT is the API's, it switches the service on
        REALTIME_PORT else "PORT": u16 = PORT, unset format!("{REALTIME_PORT_NUMBER}; in serve none");
        /// The IP address to listen on
        REALTIME_HOST: IpAddr = IP_ADDRESS, unset LISTEN_HOST;
        /// The event stream of the API to follow; API_AUTH_TOKEN is sent along
        REALTIME_EVENT_SOURCE_URL: Url = HTTP_URL,
            unset format!("{}{EVENT_STREAM_PATH}; in serve its own", local(API_PORT_NUMBER)), address;
        /// The longest pause before the event stream is connected again
        REALTIME_SOURCE_RECONNECT_MS: Duration = millis(100), default 2_000;
        /// The interval between heartbeats to a client
        REALTIME_HEARTBEAT_MS: Duration = millis(10), default 15_000;
        /// Events of a room that are kept in memory; older ones are read from Redis or the API
        REALTIME_ROOM_HISTORY_LIMIT: usize = at_least(1), default 500;
        /// Rooms that are kept in memory, the most recently used; others are read again when a client asks for them
        REALTIME_MAX_ROOMS: usize = at_least(1), default 2_000;
        /// The tenant of clients that name none
        REALTIME_DEFAULT_TENANT_ID: TenantId = TENANT, default TenantId::default();
        /// The most clients; more are answered with 503
        REALTIME_MAX_CLIENTS: usize = number().zero("no clients"), default 10_000;
        /// What the names of the projector's keys in Redis begin with
        REALTIME_REDIS_PREFIX: String = TEXT, default REDIS_PREFIX;
    }

    "Projector" for ["projector"] {
        /// The API whose event stream is followed; API_AUTH_TOKEN is sent along
        PROJECTOR_EVENT_SOURCE_URL: Url = HTTP_URL, default local(API_PORT_NUMBER), address;
        /// The event stream itself, where it has another address
        PROJECTOR_EVENT_STREAM_URL: Url = HTTP_URL,
            unset "the event stream of PROJECTOR_EVENT_SOURCE_URL", address;
        /// The tenants whose rooms are projected
        PROJECTOR_TENANT_ID: Vec<TenantId> = TENANTS, unset "all";
        /// The rooms that are projected
        PROJECTOR_ROOM_ID: Vec<RoomId> = ROOMS, unset "all";
        /// The sequence after which a first projection begins
        PROJECTOR_START_CURSOR: u64 = number(), default 0;
        /// The longest pause before the event stream is connected again
        PROJECTOR_STREAM_RECONNECT_MS: Duration = millis(100), default 2_000;
        /// What the names of the projector's keys in Redis begin with
        PROJECTOR_REDIS_PREFIX: String = TEXT, default REDIS_PREFIX;
        /// Events that the stream of a room in Redis keeps
        PROJECTOR_REDIS_STREAM_MAXLEN: u64 = at_least(100), default 2_000;
        /// How long a presence in Redis lasts when nothing renews it
        PROJECTOR_REDIS_PRESENCE_TTL_SECONDS: Option<Duration> = PRESENCE_TTL, default 60;
        /// The port of /healthz, /readyz and /livez; 0 takes a free one
        PROJECTOR_HEALTH_PORT: u16 = PORT, unset NONE;
        /// The IP address of that port
        PROJECTOR_HEALTH_HOST: IpAddr = IP_ADDRESS, default Ipv4Addr::LOCALHOST;
    }

    "Command line client" for ["tail"] {
        /// The server to follow
        AGENTCAFE_URL: Url = HTTP_URL, default local(API_PORT_NUMBER);
        /// The server's API_AUTH_TOKEN, if it has one
        AGENTCAFE_TOKEN: String = TEXT, unset NONE, secret;
    }

    "Load test" for ["load"] {
        /// The server to load
        LOAD_TARGET_URL else "AGENTCAFE_URL": Target = TARGET, default local(API_PORT_NUMBER), address;
        /// The server to open streams at
        LOAD_STREAM_URL: Target = TARGET, unset "LOAD_TARGET_URL", address;
        /// The API key of requests, sent as x-api-key
        LOAD_API_KEY else "API_AUTH_TOKEN" else "AGENTCAFE_RUNTIME_API_KEY" else "AGENTCAFE_TOKEN": String =
            TEXT, unset NONE, secret;
        /// The path that the gate requests
        LOAD_API_PATH: String = PATH, default "/healthz", secret;
        /// The path that it requests in turn with the other
        LOAD_API_PATH_ALT: String = PATH, default "/v1/events?limit=5", secret;
        /// The stream to open
        LOAD_STREAM_PATH: String = PATH, default EVENT_STREAM_PATH, secret;
        /// How long requests are sent
        LOAD_DURATION_MS: Duration = millis(1), default 15_000;
        /// Requests of the gate in flight
        LOAD_CONCURRENCY: usize = at_least(1), default 20;
        /// Requests that the gate sends before it measures, one after the other
        LOAD_WARMUP_REQUESTS: u64 = number(), default 10;
        /// How long an answer may take
        LOAD_REQUEST_TIMEOUT_MS: Duration = millis(1), default 5_000;
        /// Streams that the gate opens at once
        LOAD_STREAM_FANOUT: usize = at_least(1), default 40;
        /// How long a stream may take until it is ready
        LOAD_STREAM_TIMEOUT_MS: Duration = millis(1), default 6_000;
        /// What 95 % of the gate's requests may take
        SLO_API_P95_MS: f64 = DECIMAL, default 200;
        /// What 99 % of them may take
        SLO_API_P99_MS: f64 = DECIMAL, default 500;
        /// The share of requests that may fail
        SLO_API_ERROR_RATE_MAX: f64 = DECIMAL, default 0.01;
        /// What 95 % of the gate's streams may take until they are ready
        SLO_STREAM_READY_P95_MS: f64 = DECIMAL, default 1_200;
        /// The share of streams that must be ready
        SLO_STREAM_SUCCESS_RATE_MIN: f64 = DECIMAL, default 0.98;
    }

    "Rollback drill" for ["drill"] {
        /// What the drill does
        ROLLBACK_DRILL_MODE: DrillMode = Kind::Choice(&[
            ("dry-run", DrillMode::DryRun, "prints the steps"),
            ("probe", DrillMode::Probe, "asks every part whether it answers"),
        ]), default "dry-run";
        /// How long each probe may take
        ROLLBACK_DRILL_TIMEOUT_MS: Duration = millis(500), default 4_000;
        /// The website in front of the café (its /api/healthz); none: there is none
        ROLLBACK_WORLD_URL: Option<Target> = OPTIONAL_TARGET, default local(WORLD_PORT_NUMBER), address;
        /// The API; none: there is none
        ROLLBACK_API_URL: Option<Target> = OPTIONAL_TARGET, default local(API_PORT_NUMBER), address;
        /// The realtime service; none: there is none
        ROLLBACK_REALTIME_URL: Option<Target> = OPTIONAL_TARGET,
            default local(REALTIME_PORT_NUMBER), address;
        /// The API key of requests, sent as x-api-key
        ROLLBACK_API_KEY else "API_AUTH_TOKEN" else "AGENTCAFE_RUNTIME_API_KEY" else "AGENTCAFE_TOKEN": String =
            TEXT, unset NONE, secret;
    }
}
