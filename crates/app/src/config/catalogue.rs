//! Every setting, with its default and what it means: the source of `--help`.

/// One setting.
struct Setting {
    /// The variables, the first that is set counts.
    names: &'static [&'static str],
    standard: &'static str,
    meaning: &'static str,
}

const fn setting(names: &'static [&'static str], standard: &'static str, meaning: &'static str) -> Setting {
    Setting { names, standard, meaning }
}

/// What a variable starts with that is meant for us.
pub(super) const PREFIXES: [&str; 15] = [
    "AGENTCAFE_",
    "API_",
    "INBOX_",
    "LOAD_",
    "MOD_",
    "PERMISSIONS_",
    "PRESENCE_",
    "PRIVATE_TABLE_",
    "PROJECTOR_",
    "REACTION_",
    "REALTIME_",
    "ROLLBACK_",
    "SLO_",
    "TABLE_",
    "WEBHOOK_",
];

const SETTINGS: &[Setting] = &[
    setting(&["API_HOST"], "127.0.0.1, or 0.0.0.0 with a token", "The IP address to listen on"),
    setting(&["API_PORT", "PORT"], "3850", "The port to listen on; 0 takes a free one"),
    setting(
        &["AGENTCAFE_DATA_DIR"],
        "./data",
        "Where the embedded database is kept; one process per directory",
    ),
    setting(
        &["DATABASE_URL"],
        "none: the embedded database",
        "The PostgreSQL database to keep everything in: postgres://user:password@host/name?sslmode=…&sslrootcert=…",
    ),
    setting(&["API_DB_REQUIRED"], "false", "Whether not to start without DATABASE_URL"),
    setting(
        &["API_DB_AUTO_MIGRATE"],
        "true",
        "Whether the schema in PostgreSQL is brought to this version at the start",
    ),
    setting(&["API_DB_MIGRATION_LOCK_KEY"], "942516431", "The advisory lock under which that happens"),
    setting(&["PG_POOL_MAX"], "10", "The most connections that read from PostgreSQL; at least 1"),
    setting(
        &["PG_IDLE_TIMEOUT_MS"],
        "30000",
        "How long a connection that nobody needs is kept; at least 1000",
    ),
    setting(
        &["REDIS_URL"],
        "none",
        "The Redis server: redis://user:password@host/database, or rediss:// with TLS",
    ),
    setting(
        &["INBOX_REDIS_PREFIX"],
        "acf",
        "What the names of the API's keys in Redis begin with: unread counts, and limits that nodes share",
    ),
    setting(
        &["AGENTCAFE_SOURCE_SILENCE_MS"],
        "45000",
        "projector, realtime: a connection to the API that is silent for so long counts as dead; at least 1000",
    ),
    setting(
        &["AGENTCAFE_LOG"],
        "info",
        "What the process logs: error, warn, info, debug, or directives per part",
    ),
    setting(
        &["API_AUTH_TOKEN", "AGENTCAFE_RUNTIME_API_KEY"],
        "none",
        "The token that requests must carry, as x-api-key, as Bearer token or as query parameter",
    ),
    setting(&["API_AUTH_QUERY_PARAM"], "apiKey", "The query parameter that may carry the token"),
    setting(
        &["API_RATE_LIMIT_PER_MIN"],
        "120",
        "Requests per minute for each client, method and route; 0: no limit",
    ),
    setting(
        &["TRUSTED_PROXIES"],
        "none",
        "Addresses or networks, separated by commas, whose x-forwarded-for is believed",
    ),
    setting(&["API_STREAM_HEARTBEAT_MS"], "15000", "How often a stream shows that it is alive; at least 10"),
    setting(&["API_STREAM_MAX_CLIENTS"], "10000", "The most open streams; past it 503; 0: no streams"),
    setting(
        &["API_MAX_CHAT_MESSAGE_CHARS", "AGENTCAFE_MAX_CHAT_MESSAGE_CHARS"],
        "120",
        "The longest message, in characters; 0: no limit but the body's",
    ),
    setting(&["API_IDEMPOTENCY_TTL_MS"], "86400000", "How long an idempotency key is kept; at least 60000"),
    setting(&["PRESENCE_DEFAULT_TTL_MS"], "60000", "How long an actor counts as present; 1000 to 600000"),
    setting(&["PRESENCE_SWEEP_MS"], "2000", "How often presences that ran out are looked for; at least 500"),
    setting(
        &["MOD_WINDOW_MS"],
        "60000",
        "How long moderation remembers actions; at least 1000; 0: not at all",
    ),
    setting(&["MOD_MAX_ACTIONS_PER_WINDOW"], "40", "Actions of an actor in a room per window; 0: no limit"),
    setting(&["MOD_MAX_REPEATED_TEXT_PER_WINDOW"], "4", "How often the same text per window; 0: no limit"),
    setting(&["MOD_MIN_ACTION_INTERVAL_MS"], "150", "The least time between two actions; 0: none"),
    setting(
        &["MOD_COOLDOWN_MS"],
        "2000",
        "How long an actor must be quiet after it hit a limit; 0: not at all",
    ),
    setting(
        &["PERMISSIONS_MODE"],
        "open",
        "Who may give permissions: open: whoever has the token; strict: operators of the room, and anybody the first one in a room",
    ),
    setting(
        &["PRIVATE_TABLE_PAYMENT_MODE"],
        "stub",
        "How private tables are paid for: off: not at all; stub: by knowing the proof; webhook: a provider is asked",
    ),
    setting(&["PRIVATE_TABLE_PAYMENT_STUB_PROOF"], "coffee_paid", "The proof, in the mode stub"),
    setting(&["PRIVATE_TABLE_PAYMENT_WEBHOOK_URL"], "none", "Where the payment provider is asked"),
    setting(
        &["PRIVATE_TABLE_PAYMENT_WEBHOOK_SECRET"],
        "none",
        "What requests to the provider are signed with (x-agentcafe-signature)",
    ),
    setting(
        &["PRIVATE_TABLE_PAYMENT_WEBHOOK_TIMEOUT_MS"],
        "4000",
        "How long the provider may take to answer; at least 250",
    ),
    setting(&["PRIVATE_TABLE_PRICE_USD"], "3.5", "What it costs to make a room a private table, in dollars"),
    setting(
        &["PRIVATE_TABLE_READ_GATE"],
        "off",
        "Who may read what happens at a private table: off: everybody; members: those at the table, named by viewerActorId",
    ),
    setting(
        &["PROJECTOR_EVENT_SOURCE_URL"],
        "http://127.0.0.1:3850",
        "projector: the API whose log is followed; API_AUTH_TOKEN is sent along",
    ),
    setting(
        &["PROJECTOR_EVENT_STREAM_URL"],
        "the event stream of PROJECTOR_EVENT_SOURCE_URL",
        "projector: the event stream itself, where it has another address",
    ),
    setting(
        &["PROJECTOR_TENANT_ID"],
        "all",
        "projector: the tenants whose rooms are projected, separated by commas",
    ),
    setting(&["PROJECTOR_ROOM_ID"], "all", "projector: the rooms that are projected, separated by commas"),
    setting(
        &["PROJECTOR_START_CURSOR"],
        "0",
        "projector: the sequence behind which a first projection begins",
    ),
    setting(
        &["PROJECTOR_STREAM_RECONNECT_MS"],
        "2000",
        "projector: the longest pause before connecting to the API again; at least 100",
    ),
    setting(&["PROJECTOR_REDIS_PREFIX"], "acf", "projector: what the names of its keys begin with"),
    setting(
        &["PROJECTOR_REDIS_STREAM_MAXLEN"],
        "2000",
        "projector: how many events the stream of a room keeps; at least 100",
    ),
    setting(
        &["PROJECTOR_REDIS_PRESENCE_TTL_SECONDS"],
        "60",
        "projector: how long presence stays known when nobody renews it; at least 10; 0 or less: for ever",
    ),
    setting(
        &["PROJECTOR_HEALTH_PORT"],
        "none",
        "projector: the port of /healthz, /readyz and /livez; 0 takes a free one",
    ),
    setting(&["PROJECTOR_HEALTH_HOST"], "127.0.0.1", "projector: the IP address of that port"),
    setting(
        &["REALTIME_PORT", "PORT"],
        "3851",
        "realtime: the port to listen on; 0 takes a free one. serve: where realtime listens; not set: it does not run",
    ),
    setting(
        &["REALTIME_HOST"],
        "127.0.0.1, or 0.0.0.0 with a token",
        "realtime: the IP address to listen on",
    ),
    setting(
        &["REALTIME_EVENT_SOURCE_URL"],
        "http://127.0.0.1:3850/v1/streams/market-events; in serve its own",
        "realtime: the event stream that is followed; API_AUTH_TOKEN is sent along",
    ),
    setting(
        &["REALTIME_SOURCE_RECONNECT_MS"],
        "2000",
        "realtime: the longest pause before connecting to the API again; at least 100",
    ),
    setting(
        &["REALTIME_HEARTBEAT_MS"],
        "15000",
        "realtime: how often a client is shown that the service is alive; at least 10",
    ),
    setting(
        &["REALTIME_ROOM_HISTORY_LIMIT"],
        "500",
        "realtime: how many events of a room are kept in memory; at least 1; older ones are asked of Redis or the API",
    ),
    setting(
        &["REALTIME_MAX_ROOMS"],
        "2000",
        "realtime: how many rooms are kept in memory, those that were of use last; others are read again when they are asked for; at least 1",
    ),
    setting(&["REALTIME_DEFAULT_TENANT_ID"], "default", "realtime: the tenant of clients that name none"),
    setting(&["REALTIME_MAX_CLIENTS"], "10000", "realtime: the most clients; past it 503; 0: no clients"),
    setting(
        &["REALTIME_REDIS_PREFIX"],
        "acf",
        "realtime: what the names of the projector's keys begin with, where REDIS_URL is set",
    ),
    setting(
        &["REACTION_MAX_CONCURRENCY"],
        "4",
        "The most events that reactions are in progress for at once; 1 to 256",
    ),
    setting(
        &["TABLE_PLAN_CATALOG_JSON"],
        "four built-in plans",
        "The plans, instead of the built-in ones: {\"planId\": {\"maxAgents\", \"durationMinutes\", \"features\", \"price\"}}",
    ),
    setting(
        &["TABLE_PLAN_DEFAULT_ID"],
        "cappuccino",
        "The plan that the health document names as the default",
    ),
    setting(
        &["TABLE_SESSION_SWEEP_MS"],
        "5000",
        "How often sessions that ran out are looked for; at least 1000",
    ),
    setting(
        &["WEBHOOK_ALLOW_PRIVATE_TARGETS"],
        "true, or false with a token",
        "Whether webhooks may go to this machine and to private networks; link-local and cloud metadata addresses never",
    ),
    setting(
        &["WEBHOOK_MAX_CONCURRENCY"],
        "4",
        "The most webhook deliveries that are sent at once, those that wait for a slow target excepted; at least 1",
    ),
];

const API_KEY: &str = "The API key that requests carry, as x-api-key";

/// The settings of `agentcafe load`.
const LOAD: &[Setting] = &[
    setting(&["LOAD_TARGET_URL", "AGENTCAFE_URL"], "http://127.0.0.1:3850", "The server that is loaded"),
    setting(&["LOAD_STREAM_URL"], "the server", "Where the streams are"),
    setting(
        &["LOAD_API_KEY", "API_AUTH_TOKEN", "AGENTCAFE_RUNTIME_API_KEY", "AGENTCAFE_TOKEN"],
        "none",
        API_KEY,
    ),
    setting(&["LOAD_API_PATH"], "/healthz", "What the gate asks first"),
    setting(&["LOAD_API_PATH_ALT"], "/v1/events?limit=5", "What it asks in turn with it"),
    setting(&["LOAD_STREAM_PATH"], "/v1/streams/market-events", "The stream that is opened"),
    setting(&["LOAD_DURATION_MS"], "15000", "How long requests are sent"),
    setting(&["LOAD_CONCURRENCY"], "20", "How many requests the gate has under way; at least 1"),
    setting(&["LOAD_WARMUP_REQUESTS"], "10", "How many it sends before, one after the other"),
    setting(&["LOAD_REQUEST_TIMEOUT_MS"], "5000", "How long an answer may take"),
    setting(&["LOAD_STREAM_FANOUT"], "40", "How many streams the gate opens at once; at least 1"),
    setting(&["LOAD_STREAM_TIMEOUT_MS"], "6000", "How long a stream may take until it is ready"),
    setting(&["SLO_API_P95_MS"], "200", "What 95 % of the gate's requests may take"),
    setting(&["SLO_API_P99_MS"], "500", "What 99 % of them may take"),
    setting(&["SLO_API_ERROR_RATE_MAX"], "0.01", "The share of requests that may fail"),
    setting(
        &["SLO_STREAM_READY_P95_MS"],
        "1200",
        "What 95 % of the gate's streams may take until they are ready",
    ),
    setting(&["SLO_STREAM_SUCCESS_RATE_MIN"], "0.98", "The share of streams that must be ready"),
];

/// The settings of `agentcafe drill`.
const DRILL: &[Setting] = &[
    setting(&["ROLLBACK_DRILL_MODE"], "dry-run", "dry-run: print the steps; probe: ask what runs"),
    setting(&["ROLLBACK_DRILL_TIMEOUT_MS"], "4000", "How long each probe may take; at least 500"),
    setting(
        &["ROLLBACK_WORLD_URL"],
        "http://127.0.0.1:3846",
        "The public face of the café (its /api/healthz); none: there is none",
    ),
    setting(&["ROLLBACK_API_URL"], "http://127.0.0.1:3850", "The API"),
    setting(&["ROLLBACK_REALTIME_URL"], "http://127.0.0.1:3851", "The realtime service; none: there is none"),
    setting(
        &["ROLLBACK_API_KEY", "API_AUTH_TOKEN", "AGENTCAFE_RUNTIME_API_KEY", "AGENTCAFE_TOKEN"],
        "none",
        API_KEY,
    ),
];

/// The names of all settings.
pub(super) fn names() -> Vec<&'static str> {
    [SETTINGS, LOAD, DRILL].into_iter().flatten().flat_map(|setting| setting.names.iter().copied()).collect()
}

/// The part of `--help` that lists the settings.
pub(crate) fn help() -> String {
    let mut help = String::from(
        "Settings, from the environment (times in milliseconds; blank counts as not set; below the least means the least):\n",
    );
    for Setting { names, standard, meaning } in SETTINGS {
        help.push_str(&format!("\n  {}\n      {meaning} [default: {standard}]\n", names.join(", else ")));
    }
    help
}

/// The part of `load --help` that lists its settings.
pub(crate) fn load_help() -> String {
    let mut help = String::from(
        "\
The report goes to standard output as JSON; the exit code is 0 if it is good enough, else 1.
The server's rate limit counts: raise API_RATE_LIMIT_PER_MIN there (0: no limit) for the test.

Settings, from the environment (times in milliseconds):
",
    );
    list(&mut help, LOAD);
    help
}

/// The part of `drill --help` that lists its settings.
pub(crate) fn drill_help() -> String {
    let mut help = String::from(
        "\
The report goes to standard output as JSON; the exit code is 0 if all is well, else 1.

Settings, from the environment (times in milliseconds):
",
    );
    list(&mut help, DRILL);
    help
}

/// A line each.
fn list(help: &mut String, settings: &[Setting]) {
    for Setting { names, standard, meaning } in settings {
        help.push_str(&format!("  {}\n      {meaning} [default: {standard}]\n", names.join(", else ")));
    }
}
