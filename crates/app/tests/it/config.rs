//! Settings: where they come from, what is wrong with them, and what `agentcafe config` shows of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use agentcafe_domain::moderation::ModerationRules;
use agentcafe_domain::tables::PrivateTableRules;
use agentcafe_testkit::json;
use tempfile::TempDir;

use crate::launch;

/// The result of running `agentcafe`.
struct Ran {
    passed: bool,
    output: String,
    errors: String,
}

/// Runs `agentcafe` in a directory, with only these variables in its environment.
fn agentcafe(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentcafe"));
    command.args(arguments).current_dir(directory).env_clear().envs(variables.iter().copied());
    let output = command.output().expect("the binary can be run");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { passed: output.status.success(), output: text(output.stdout), errors: text(output.stderr) }
}

fn config(arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    agentcafe(directory().path(), &[&["config"], arguments].concat(), variables)
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// The value and the source that `agentcafe config` prints of a setting.
fn shown(ran: &Ran, name: &str) -> String {
    let line = ran.output.lines().find(|line| line.split(' ').next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("{name} is not in:\n{}{}", ran.output, ran.errors));
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

/// The environment takes precedence over the file, and the file over the default, also if one of them uses an alias
/// of the setting.
#[test]
fn config_prints_each_value_and_its_source() {
    let directory = directory();
    let file = "API_PORT = 8080\nMOD_COOLDOWN_MS = 7\nPRIVATE_TABLE_PRICE_USD = 4.25\nAPI_DB_REQUIRED = false\n\
                TRUSTED_PROXIES = ['10.0.0.0/8', '::1']\nREALTIME_HOST = ' '\n";
    fs::create_dir(directory.path().join("data")).unwrap();
    fs::write(directory.path().join("data/agentcafe.toml"), file).unwrap();
    let variables = [("PORT", "9090"), ("MOD_COOLDOWN_MS", ""), ("REALTIME_MAX_CLIENTS", "3")];
    let ran = agentcafe(directory.path(), &["config"], &variables);
    for (name, want) in [
        ("API_PORT", "9090 environment, as PORT"),
        ("REALTIME_MAX_CLIENTS", "3 environment"),
        ("MOD_COOLDOWN_MS", "7 ./data/agentcafe.toml"),
        ("PRIVATE_TABLE_PRICE_USD", "4.25 ./data/agentcafe.toml"),
        ("API_DB_REQUIRED", "false ./data/agentcafe.toml"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,::1 ./data/agentcafe.toml"),
        ("REALTIME_HOST", "127.0.0.1, or 0.0.0.0 with a token default"),
        ("API_RATE_LIMIT_PER_MIN", "120 default"),
        ("LOAD_CONCURRENCY", "20 default"),
    ] {
        assert_eq!(shown(&ran, name), want, "{name}");
    }
    assert!(ran.passed && ran.errors.is_empty(), "{}", ran.errors);
    // `--config` takes precedence over the file in the data directory.
    fs::write(directory.path().join("other.toml"), "API_PORT = 7070").unwrap();
    let ran = agentcafe(directory.path(), &["config", "--config", "other.toml"], &[]);
    assert_eq!(shown(&ran, "API_PORT"), "7070 other.toml");
    assert_eq!(shown(&ran, "MOD_COOLDOWN_MS"), "2000 default");
}

/// Numbers are raised to their minimum and lowered to their maximum. 0 stays 0 where it disables something.
/// A setting's own name takes precedence over its alias.
#[test]
fn config_prefers_the_name_to_the_alias() {
    let ran = config(&[], &[("API_PORT", "1"), ("PORT", "2")]);
    assert_eq!(
        (shown(&ran, "API_PORT"), shown(&ran, "REALTIME_PORT")),
        ("1 environment".to_owned(), "2 environment, as PORT".to_owned())
    );
}

#[test]
fn config_prints_numbers_within_their_bounds() {
    let cases = [
        ("API_RATE_LIMIT_PER_MIN", "0", "0"),
        ("MOD_MAX_ACTIONS_PER_WINDOW", "0", "0"),
        ("MOD_WINDOW_MS", " 5 ", "1000"),
        ("API_STREAM_MAX_CLIENTS", "0", "0"),
        ("PRESENCE_SWEEP_MS", "1", "500"),
        ("API_IDEMPOTENCY_TTL_MS", "0", "60000"),
        ("PRESENCE_DEFAULT_TTL_MS", "9999999", "600000"),
        ("REACTION_MAX_CONCURRENCY", "999", "256"),
        ("WEBHOOK_MAX_CONCURRENCY", "0", "1"),
        ("PROJECTOR_REDIS_STREAM_MAXLEN", "5", "100"),
        ("REALTIME_ROOM_HISTORY_LIMIT", "0", "1"),
        ("ROLLBACK_DRILL_TIMEOUT_MS", "1", "500"),
        ("ROLLBACK_DRILL_MODE", "Probe", "probe"),
    ];
    let ran = config(&[], &cases.map(|(name, value, _)| (name, value)));
    for (name, _, want) in cases {
        assert_eq!(shown(&ran, name), format!("{want} environment"), "{name}");
    }
}

/// Without settings, the rules are the defaults of the domain.
#[test]
fn config_prints_the_default_rules() {
    let (moderation, tables) = (ModerationRules::default(), PrivateTableRules::default());
    let ran = config(&[], &[]);
    for (name, want) in [
        ("MOD_WINDOW_MS", moderation.window_ms.to_string()),
        ("MOD_MAX_ACTIONS_PER_WINDOW", moderation.max_actions_per_window.to_string()),
        ("MOD_MAX_REPEATED_TEXT_PER_WINDOW", moderation.max_repeated_text_per_window.to_string()),
        ("MOD_MIN_ACTION_INTERVAL_MS", moderation.min_action_interval_ms.to_string()),
        ("MOD_COOLDOWN_MS", moderation.cooldown_ms.to_string()),
        ("PRIVATE_TABLE_PRICE_USD", tables.price.dollars().to_string()),
        ("PRIVATE_TABLE_PAYMENT_MODE", "stub".to_owned()),
        ("PRIVATE_TABLE_READ_GATE", "off".to_owned()),
        ("REDIS_URL", "none".to_owned()),
    ] {
        assert_eq!(shown(&ran, name), format!("{want} default"), "{name}");
    }
    assert!(config(&["--check"], &[]).errors.is_empty());
}

#[test]
fn config_masks_secrets() {
    const SECRETS: [(&str, &str, &str); 8] = [
        ("API_AUTH_TOKEN", "s3cr3t of a length", "********"),
        ("PRIVATE_TABLE_PAYMENT_STUB_PROOF", "s3cr3t", "********"),
        ("PRIVATE_TABLE_PAYMENT_WEBHOOK_SECRET", "s3cr3t", "********"),
        ("DATABASE_URL", "postgres://me:s3cr3t@db.example:5433/cafe", "postgres://db.example:5433/…"),
        ("REDIS_URL", "redis://:s3cr3t@redis.example/1", "redis://redis.example/…"),
        ("PRIVATE_TABLE_PAYMENT_WEBHOOK_URL", "https://bank.example/s3cr3t", "https://bank.example/…"),
        ("PROJECTOR_EVENT_STREAM_URL", "http://cafe.example/?apiKey=s3cr3t", "http://cafe.example/…"),
        ("LOAD_API_PATH", "/healthz?apiKey=s3cr3t", "********"),
    ];
    let usable = SECRETS.map(|(name, value, _)| (name, value));
    let ran = config(&[], &usable);
    for (name, _, want) in SECRETS {
        assert_eq!(shown(&ran, name), format!("{want} environment"), "{name}");
    }
    assert_eq!(shown(&ran, "LOAD_API_KEY"), "******** environment, as API_AUTH_TOKEN");
    let check = config(&["--check"], &usable);
    assert!(check.passed, "{}", check.errors);
    let unusable = [
        ("API_AUTH_TOKEN", "s3cr3t\u{7}"),
        ("DATABASE_URL", "s3cr3t://db"),
        ("REDIS_URL", "s3cr3t://redis"),
        ("PRIVATE_TABLE_PAYMENT_WEBHOOK_URL", "//user:s3cr3t@bank"),
        ("PROJECTOR_EVENT_SOURCE_URL", "s3cr3t"),
        ("REALTIME_EVENT_SOURCE_URL", "ftp://cafe.example/?apiKey=s3cr3t"),
        ("LOAD_TARGET_URL", "http://me:s3cr3t@cafe"),
        ("LOAD_STREAM_PATH", "/s3cr3t #"),
        ("ROLLBACK_WORLD_URL", "http://me:s3cr3t@world"),
    ];
    for arguments in [&[][..], &["--check"]] {
        let ran = config(arguments, &unusable);
        assert!(!format!("{}{}", ran.output, ran.errors).contains("s3cr3t"), "{}{}", ran.output, ran.errors);
    }
}

/// All errors are listed at once, each with the allowed values and what to do.
#[test]
fn config_check_names_every_invalid_setting() {
    let runs = [
        &[
            ("API_PORT", "http"),
            ("API_HOST", "localhost:1"),
            ("API_RATE_LIMIT_PER_MIN", "many"),
            ("MOD_WINDOW_MS", "1.5"),
            ("PRESENCE_SWEEP_MS", "99999999999999999999"),
            ("REACTION_MAX_CONCURRENCY", "all"),
            ("TRUSTED_PROXIES", "10.0.0.0/8,proxy"),
            ("API_ALLOWED_HOSTS", "cafe.example:80"),
            ("API_ALLOWED_ORIGINS", "cafe.example"),
            ("PERMISSIONS_MODE", "closed"),
            ("PRIVATE_TABLE_PRICE_USD", "free"),
            ("PRIVATE_TABLE_PAYMENT_MODE", "cash"),
            ("PRIVATE_TABLE_PAYMENT_WEBHOOK_URL", "ftp://bank"),
            ("PRIVATE_TABLE_READ_GATE", "on"),
            ("TABLE_PLAN_CATALOG_JSON", "{}"),
            ("WEBHOOK_ALLOW_PRIVATE_TARGETS", "perhaps"),
            ("WEBHOOK_MAX_CONCURRENCY", "-4"),
            ("AGENTCAFE_LOG", "==="),
            ("REALTIME_HOST", "here"),
            ("REALTIME_DEFAULT_TENANT_ID", "a\u{7}b"),
            ("PROJECTOR_HEALTH_PORT", "99999"),
            ("PROJECTOR_START_CURSOR", "first"),
            ("PROJECTOR_REDIS_PRESENCE_TTL_SECONDS", "long"),
            ("LOAD_DURATION_MS", "NaN"),
            ("LOAD_API_PATH", "healthz"),
            ("SLO_API_P95_MS", "NaN"),
            ("SLO_STREAM_READY_P95_MS", "inf"),
            ("ROLLBACK_DRILL_MODE", "full"),
            ("ROLLBACK_API_URL", "cafe"),
        ][..],
        &[("API_PORT", "70000"), ("PRIVATE_TABLE_PRICE_USD", "-1"), ("MOD_WINDOW_MS", "9223372036854775808")],
        // Each of these is valid by itself.
        &[("API_DB_REQUIRED", "true")],
        &[("TABLE_PLAN_DEFAULT_ID", "ristretto")],
        &[("AGENTCAFE_RUNTIME_API_KEY", "a token of length\u{7}"), ("ROLLBACK_API_KEY", "a\u{7}b")],
    ];
    for variables in runs {
        let ran = config(&["--check"], variables);
        assert!(!ran.passed && ran.output.is_empty(), "{}", ran.output);
        let problems: Vec<_> = ran.errors.lines().filter(|line| line.contains("cannot be used")).collect();
        assert_eq!(problems.len(), variables.len(), "{}", ran.errors);
        for (name, _) in variables {
            let of_it = |line: &&&str| line.starts_with(&format!("agentcafe: {name}="));
            let problem = problems.iter().find(of_it).unwrap_or_else(|| panic!("{name}: {}", ran.errors));
            assert!(
                problem.contains(" It must be ") && problem.contains(" Correct it, or remove it"),
                "{problem}"
            );
        }
    }
    let ran = config(&["--check"], &[]);
    assert!(ran.passed && ran.errors.is_empty(), "{}", ran.errors);
}

/// Variables of other programs are ignored.
#[test]
fn config_names_the_nearest_setting_of_a_misspelled_variable() {
    for (name, nearest) in [
        ("API_RATELIMIT_PER_MIN", "Did you mean API_RATE_LIMIT_PER_MIN?"),
        ("API_RATE_LIMIT", "Did you mean API_RATE_LIMIT_PER_MIN?"),
        ("AGENTCAFE_DATADIR", "Did you mean AGENTCAFE_DATA_DIR?"),
        ("WEBHOOK_CONCURRENCY", "Did you mean WEBHOOK_MAX_CONCURRENCY?"),
        ("PRIVATE_TABLE_PRIZE_USD", "Did you mean PRIVATE_TABLE_PRICE_USD?"),
        ("LOAD_CONCURENCY", "Did you mean LOAD_CONCURRENCY?"),
        ("PG_POOL_SIZE", "Did you mean PG_POOL_MAX?"),
        ("DATABASE_ULR", "Did you mean DATABASE_URL?"),
        ("REDIS_URI", "Did you mean REDIS_URL?"),
        ("RELATIME_HOST", "Did you mean REALTIME_HOST?"),
        ("MOD_X", "`agentcafe config` lists all of them."),
    ] {
        let check = config(&["--check"], &[(name, "1")]);
        let hint = format!("agentcafe: {name} is not a setting of agentcafe. {nearest}\n");
        assert!(!check.passed && check.errors.starts_with(&hint), "{name}: {}", check.errors);
    }
    let others =
        ["HOME", "SORT", "PG_VERSION", "PGHOST", "DATABASE_USER", "REDIS_PASSWORD", "PRIVATE_KEY", "TABLES"];
    let ran = config(&["--check"], &others.map(|name| (name, "1")));
    assert!(ran.passed && ran.errors.is_empty(), "{}", ran.errors);
    // Other subcommands print the warning and continue.
    let ran = agentcafe(directory().path(), &["drill"], &[("ROLLBACK_API", "none")]);
    assert!(ran.passed && ran.errors.contains("ROLLBACK_API is not a setting"), "{}", ran.errors);
}

/// Kubernetes sets such variables in every pod of a namespace that has a service named `api`.
#[tokio::test]
async fn config_ignores_kubernetes_service_links_with_a_warning() {
    let links = [
        ("API_PORT", "tcp://10.0.0.1:8080"),
        ("API_SERVICE_HOST", "10.0.0.1"),
        ("API_SERVICE_PORT", "8080"),
        ("API_SERVICE_PORT_HTTP", "8080"),
        ("API_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("API_PORT_8080_TCP_PROTO", "tcp"),
        ("API_PORT_8080_TCP_PORT", "8080"),
        ("API_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("REALTIME_PORT", "tcp://10.0.0.2:3851"),
        ("AGENTCAFE_API_SERVICE_HOST", "10.0.0.1"),
        ("REDIS_PORT", "tcp://10.0.0.3:6379"),
    ];
    let start = launch().env("PORT", 0);
    let server = links.iter().fold(start, |launch, (name, value)| launch.env(name, value)).start().await;
    let log = server.log();
    let warning = log.lines().find(|line| line.contains("look like Kubernetes service links"));
    let warning = warning.unwrap_or_else(|| panic!("{log}"));
    // Variables without a prefix of our settings are not mentioned.
    let (ours, others) = links.split_at(10);
    assert!(ours.iter().all(|(name, _)| warning.contains(name)), "{warning}");
    assert!(!log.contains(others[0].0) && !log.contains("is not a setting"), "{log}");
}

#[tokio::test]
async fn config_file_in_the_data_directory_sets_what_the_environment_does_not() {
    let directory = directory();
    let file = "API_RATE_LIMIT_PER_MIN = 0\nAPI_MAX_CHAT_MESSAGE_CHARS = 5\nMOD_COOLDOWN_MS = 1";
    fs::write(directory.path().join("agentcafe.toml"), file).unwrap();
    let launch = launch().data_dir(directory.path()).without("API_RATE_LIMIT_PER_MIN");
    let server = launch.env("MOD_COOLDOWN_MS", 2).start().await;
    let client = server.client();
    let health = client.get("/healthz").await.json;
    assert_eq!(health["moderation"]["cooldownMs"], 2, "{health}");
    let long = client.act("/v1/commands/say", json!({"actorId": "Nova", "text": "sixsix"})).await;
    assert_eq!(long.status, 400, "{}", long.json);
    let short = client.act("/v1/commands/say", json!({"actorId": "Nova", "text": "five!"})).await;
    assert_eq!(short.status, 202, "{}", short.json);
}

/// An invalid file stops the start. The error does not show values, which may be secret.
#[test]
fn config_file_errors_name_the_file_and_the_setting() {
    let directory = directory();
    let path = directory.path().join("agentcafe.toml");
    let data = [("AGENTCAFE_DATA_DIR", ".")];
    for (content, want) in [
        ("api_port = 1", "api_port is not a setting of agentcafe. Did you mean API_PORT?"),
        (
            "API_PRT = 1\nMOD_WINDOW = 2",
            "API_PRT is not a setting of agentcafe. Did you mean API_PORT? MOD_WINDOW is",
        ),
        ("[server]\nAPI_PORT = 1", "server is not a setting"),
        ("API_PORT = {}", "API_PORT must be a text, a number, true, false, or a list of those."),
        ("PORT = 1\nAPI_AUTH_TOKEN = s3cr3t", "agentcafe.toml is not TOML: line 2: "),
        ("API_PORT = 'http'", "API_PORT=\"http\" (./agentcafe.toml) cannot be used. It must be a port"),
    ] {
        fs::write(&path, content).unwrap();
        for arguments in [&["serve"][..], &["config", "--check"]] {
            let ran = agentcafe(directory.path(), arguments, &data);
            assert!(!ran.passed && ran.errors.contains(want), "{content}: {}", ran.errors);
            assert!(!ran.errors.contains("s3cr3t"), "{}", ran.errors);
        }
    }
    let ran = agentcafe(directory.path(), &["serve", "--config", "none.toml"], &[]);
    assert!(!ran.passed && ran.errors.contains("none.toml cannot be read"), "{}", ran.errors);
}

/// Each setting is in the help of the subcommands that read it, and of no other.
#[test]
fn help_lists_the_settings_of_each_subcommand() {
    let help = |subcommand: &str| agentcafe(directory().path(), &[subcommand, "--help"], &[]).output;
    let subcommands = [
        "serve",
        "realtime",
        "projector",
        "tail",
        "export",
        "import",
        "verify",
        "new-epoch",
        "migrate",
        "load",
        "drill",
    ]
    .map(help);
    let all = config(&[], &[]).output;
    let names: Vec<_> = all.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.len() > 80, "{}", names.len());
    for name in names {
        let is_listed = |help: &&String| help.lines().any(|line| line.trim().split(',').next() == Some(name));
        let count = subcommands.iter().filter(is_listed).count();
        let is_for_all = name == "AGENTCAFE_DATA_DIR";
        assert!(count > 0 && (is_for_all || count < 7), "{name} is in the help of {count} subcommands");
    }
}
