//! The configuration: typed, from the environment. A bad value stops the start and names its variable.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use agentcafe_api::Settings;
use agentcafe_dispatcher::external_client::PaymentProvider;
use agentcafe_domain::{
    conversation::ConversationRules,
    kernel::{idempotency::IdempotencyRules, rules::Rules, secret::Secret},
    moderation::ModerationRules,
    presence::PresenceRules,
    tables::{PrivateTableRules, payment::PaymentMode},
};
use agentcafe_http::Token;
use agentcafe_redis::Keys;
use agentcafe_store::StoreLocation;
use ipnet::IpNet;

mod catalogue;
mod database;
mod load;
mod private_tables;
mod projector;
mod realtime;
mod redis;
mod webhooks;

pub(crate) use catalogue::{drill_help, help, load_help};
pub(crate) use database::place;
pub(crate) use load::{DrillSettings, LoadSettings};
pub(crate) use projector::ProjectorConfig;
pub(crate) use realtime::RealtimeConfig;

/// The most events that reactions are in progress for, whatever is set: a fraction of the commands that may wait.
const MAX_REACTION_CONCURRENCY: usize = 256;
/// Where the token of the API stands.
const AUTH_TOKEN: [&str; 2] = ["API_AUTH_TOKEN", "AGENTCAFE_RUNTIME_API_KEY"];

/// The environment variables that are set and not blank.
pub(crate) struct Environment(HashMap<String, String>);

/// A variable whose value cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value:?} cannot be used: {why}")]
pub(crate) struct BadSetting {
    name: &'static str,
    value: String,
    why: String,
}

impl Environment {
    /// The environment of this process.
    pub(crate) fn of_process() -> Self {
        Self::of(std::env::vars())
    }

    fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let set = variables.into_iter().filter(|(_, value)| !value.trim().is_empty());
        Self(set.map(|(name, value)| (name, value.trim().to_owned())).collect())
    }

    /// The first of these variables that is set.
    fn first(&self, names: &[&'static str]) -> Option<(&'static str, &str)> {
        names.iter().find_map(|name| self.0.get(*name).map(|value| (*name, value.as_str())))
    }

    fn text(&self, names: &[&'static str]) -> Option<String> {
        self.first(names).map(|(_, value)| value.to_owned())
    }

    /// A whole number. Below `least` it is raised to it, but 0 stays 0 where `zero_is_off`.
    fn number(
        &self,
        names: &[&'static str],
        standard: u64,
        least: u64,
        zero_is_off: bool,
    ) -> Result<u64, BadSetting> {
        let Some((name, value)) = self.first(names) else { return Ok(standard) };
        let number: u64 = value.parse().map_err(|_| BadSetting {
            name,
            value: value.to_owned(),
            why: "it must be a whole number, 0 or more".to_owned(),
        })?;
        if number > i64::MAX as u64 {
            let why = "it is too large".to_owned();
            return Err(BadSetting { name, value: value.to_owned(), why });
        }
        Ok(if number == 0 && zero_is_off { 0 } else { number.max(least) })
    }

    fn millis(&self, name: &'static str, standard: u64, least: u64) -> Result<Duration, BadSetting> {
        Ok(Duration::from_millis(self.number(&[name], standard, least, false)?))
    }

    fn parsed<T: std::str::FromStr>(
        &self,
        names: &[&'static str],
        why: &str,
    ) -> Result<Option<T>, BadSetting> {
        let Some((name, value)) = self.first(names) else { return Ok(None) };
        let bad = |_| BadSetting { name, value: value.to_owned(), why: why.to_owned() };
        value.parse().map(Some).map_err(bad)
    }

    /// One of a few names, compared without case.
    fn choice<T: Clone>(&self, name: &'static str, allowed: &[(&str, T)]) -> Result<Option<T>, BadSetting> {
        let Some((name, value)) = self.first(&[name]) else { return Ok(None) };
        let found = allowed.iter().find(|(text, _)| text.eq_ignore_ascii_case(value));
        found.map(|(_, choice)| Some(choice.clone())).ok_or_else(|| {
            let names: Vec<_> = allowed.iter().map(|(text, _)| *text).collect();
            BadSetting {
                name,
                value: value.to_owned(),
                why: format!("it must be one of {}", names.join(", ")),
            }
        })
    }

    /// `true` or `false`.
    fn flag(&self, name: &'static str) -> Result<Option<bool>, BadSetting> {
        self.choice(name, &[("true", true), ("false", false)])
    }

    /// The token that requests must carry, and where it may stand.
    fn token(&self) -> Token {
        let query_param = self.text(&["API_AUTH_QUERY_PARAM"]).unwrap_or_else(|| "apiKey".to_owned());
        Token { wanted: self.text(&AUTH_TOKEN), query_param }
    }

    /// Where the embedded database is kept.
    pub(crate) fn data_directory(&self) -> PathBuf {
        self.text(&["AGENTCAFE_DATA_DIR"]).unwrap_or_else(|| "./data".to_owned()).into()
    }

    /// The store that is exported or imported into: the embedded database in this directory, if one is named, else the one
    /// that a server would have.
    pub(crate) fn store(&self, directory: Option<PathBuf>) -> Result<StoreLocation, BadSetting> {
        directory.map_or_else(|| place(self), |directory| Ok(StoreLocation::Directory(directory)))
    }

    /// What the operator should be told about settings that are none.
    fn warnings(&self) -> Vec<String> {
        let told = |name| format!("{name} is set, but is no setting of agentcafe; see agentcafe --help");
        self.unknown().into_iter().map(told).collect()
    }

    /// Variables that look like settings of ours and are none: most likely misspelt.
    fn unknown(&self) -> Vec<&str> {
        let known = catalogue::names();
        let mut unknown: Vec<&str> = self
            .0
            .keys()
            .map(String::as_str)
            .filter(|name| catalogue::PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
            .filter(|name| !known.contains(name))
            .collect();
        unknown.sort_unstable();
        unknown
    }
}

/// Everything `agentcafe serve` needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Where the data is kept.
    pub(crate) place: StoreLocation,
    /// The settings of the rules.
    pub(crate) rules: Rules,
    /// The settings of the API.
    pub(crate) api: Settings,
    /// Where private tables are paid for.
    pub(crate) payment_provider: PaymentProvider,
    /// The most events that reactions are in progress for at once.
    pub(crate) reaction_max_concurrency: usize,
    /// The most webhook deliveries that are sent at once.
    pub(crate) webhook_max_concurrency: usize,
    /// Where Redis is, and what our keys are called there.
    pub(crate) redis: Option<(Secret, Keys)>,
    /// The realtime service inside, if it is asked for.
    pub(crate) realtime: Option<RealtimeConfig>,
    /// What is written to the log of the process: a level, or directives.
    pub(crate) log: String,
    /// What the operator should be told at the start.
    pub(crate) warnings: Vec<String>,
}

impl Config {
    /// Reads and checks every setting.
    ///
    /// # Errors
    /// [`BadSetting`] names the first variable that cannot be used.
    pub(crate) fn read(environment: &Environment) -> Result<Self, BadSetting> {
        let auth_token = environment.text(&AUTH_TOKEN);
        let host: Option<IpAddr> = environment.parsed(&["API_HOST"], "it must be an IP address")?;
        let port =
            environment.parsed(&["API_PORT", "PORT"], "it must be a port, 0 to 65535")?.unwrap_or(3850);
        let default_host = if auth_token.is_some() { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let listen = SocketAddr::new(host.unwrap_or(default_host.into()), port);
        let mut warnings = environment.warnings();
        let rules = rules(environment)?;
        if rules.get::<PrivateTableRules>().payment == (PaymentMode::Webhook { configured: false }) {
            warnings.push(
                "PRIVATE_TABLE_PAYMENT_WEBHOOK_URL is not set: no private table can be paid for".to_owned(),
            );
        }
        if auth_token.is_none() && !listen.ip().is_loopback() {
            warnings
                .push(format!("{} can be reached from outside and API_AUTH_TOKEN is not set", listen.ip()));
        }
        let realtime = RealtimeConfig::inside(environment)?;
        if realtime.is_some() && rules.get::<PrivateTableRules>().gates_reads {
            warnings.push(
                "PRIVATE_TABLE_READ_GATE is members: realtime cannot follow the log, and tells nobody anything"
                    .to_owned(),
            );
        }
        Ok(Self {
            listen,
            place: database::place(environment)?,
            rules,
            api: settings(environment, auth_token)?,
            payment_provider: private_tables::provider(environment)?,
            reaction_max_concurrency: count(environment.number(
                &["REACTION_MAX_CONCURRENCY"],
                4,
                1,
                false,
            )?)
            .min(MAX_REACTION_CONCURRENCY),
            webhook_max_concurrency: webhooks::max_concurrency(environment)?,
            redis: redis::url(environment)?.map(|url| (url, redis::keys(environment, "INBOX_REDIS_PREFIX"))),
            realtime,
            log: environment.text(&["AGENTCAFE_LOG"]).unwrap_or_else(|| "info".to_owned()),
            warnings,
        })
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn rules(environment: &Environment) -> Result<Rules, BadSetting> {
    let chars = ["API_MAX_CHAT_MESSAGE_CHARS", "AGENTCAFE_MAX_CHAT_MESSAGE_CHARS"];
    let number =
        |name, standard, least, zero_is_off| environment.number(&[name], standard, least, zero_is_off);
    let ms = |name, standard, least, zero_is_off| {
        number(name, standard, least, zero_is_off).map(|ms| i64::try_from(ms).unwrap_or(i64::MAX))
    };
    Ok(Rules::default()
        .with(IdempotencyRules { ttl_ms: ms("API_IDEMPOTENCY_TTL_MS", 86_400_000, 60_000, false)? })
        .with(ConversationRules {
            max_message_chars: match count(environment.number(&chars, 120, 1, true)?) {
                0 => usize::MAX,
                chars => chars,
            },
        })
        .with(PresenceRules {
            default_ttl_ms: ms("PRESENCE_DEFAULT_TTL_MS", 60_000, 1_000, false)?.min(600_000),
        })
        .with(ModerationRules {
            window_ms: ms("MOD_WINDOW_MS", 60_000, 1_000, true)?,
            max_actions_per_window: count(number("MOD_MAX_ACTIONS_PER_WINDOW", 40, 1, true)?),
            max_repeated_text_per_window: count(number("MOD_MAX_REPEATED_TEXT_PER_WINDOW", 4, 1, true)?),
            min_action_interval_ms: ms("MOD_MIN_ACTION_INTERVAL_MS", 150, 0, true)?,
            cooldown_ms: ms("MOD_COOLDOWN_MS", 2_000, 0, true)?,
        })
        .with(private_tables::permissions_mode(environment)?)
        .with(private_tables::rules(environment)?)
        .with(webhooks::rules(environment)?))
}

fn settings(environment: &Environment, auth_token: Option<String>) -> Result<Settings, BadSetting> {
    Ok(Settings {
        auth_token,
        auth_query_param: environment.text(&["API_AUTH_QUERY_PARAM"]).unwrap_or_else(|| "apiKey".to_owned()),
        rate_limit_per_min: environment.number(&["API_RATE_LIMIT_PER_MIN"], 120, 0, true)?,
        trusted_proxies: proxies(environment)?,
        stream_heartbeat: environment.millis("API_STREAM_HEARTBEAT_MS", 15_000, 10)?,
        stream_max_clients: count(environment.number(&["API_STREAM_MAX_CLIENTS"], 10_000, 0, true)?),
        presence_sweep: environment.millis("PRESENCE_SWEEP_MS", 2_000, 500)?,
        table_session_sweep: private_tables::sweep(environment)?,
    })
}

fn proxies(environment: &Environment) -> Result<Vec<IpNet>, BadSetting> {
    const NAME: &str = "TRUSTED_PROXIES";
    let list = environment.text(&[NAME]).unwrap_or_default();
    let parse = |text: &str| {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        address.or_else(|_| text.parse::<IpNet>()).map_err(|_| BadSetting {
            name: NAME,
            value: text.to_owned(),
            why: "it must list IP addresses or networks (10.0.0.0/8), separated by commas".to_owned(),
        })
    };
    list.split(',').map(str::trim).filter(|text| !text.is_empty()).map(parse).collect()
}

#[cfg(test)]
mod tests {
    use agentcafe_domain::webhooks::target::WebhookRules;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, BadSetting> {
        let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::read(&Environment::of(owned))
    }

    /// RULINGS O6: a bad value stops the start, and the message names the variable.
    #[test]
    fn bad_values_are_named() {
        for (name, value) in [
            ("API_PORT", "http"),
            ("API_PORT", "70000"),
            ("API_HOST", "localhost:1"),
            ("API_RATE_LIMIT_PER_MIN", "many"),
            ("API_RATE_LIMIT_PER_MIN", "-1"),
            ("MOD_WINDOW_MS", "1.5"),
            ("PRESENCE_SWEEP_MS", "99999999999999999999"),
            ("REACTION_MAX_CONCURRENCY", "all"),
            ("TRUSTED_PROXIES", "10.0.0.0/8,proxy"),
            ("PERMISSIONS_MODE", "closed"),
            ("PRIVATE_TABLE_PRICE_USD", "free"),
            ("PRIVATE_TABLE_PRICE_USD", "-1"),
            ("PRIVATE_TABLE_PAYMENT_MODE", "cash"),
            ("PRIVATE_TABLE_PAYMENT_WEBHOOK_URL", "ftp://bank"),
            ("PRIVATE_TABLE_READ_GATE", "on"),
            ("TABLE_PLAN_CATALOG_JSON", "{}"),
            ("TABLE_PLAN_DEFAULT_ID", "ristretto"),
            ("WEBHOOK_ALLOW_PRIVATE_TARGETS", "perhaps"),
            ("WEBHOOK_MAX_CONCURRENCY", "-4"),
        ] {
            let error = read(&[(name, value)]).map(|_| ()).unwrap_err();
            assert_eq!(error.name, name, "{error}");
        }
        for value in ["ftp://bank/?key=s3cr3t", "//user:s3cr3t@bank"] {
            let error = read(&[("PRIVATE_TABLE_PAYMENT_WEBHOOK_URL", value)]).map(|_| ()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{error}");
        }
    }

    /// RULINGS K2 and the issue: 0 means 0; CONTRACT 23: other values below the minimum are raised to it.
    #[test]
    fn zero_is_zero_and_minima_hold() {
        let config = read(&[
            ("API_RATE_LIMIT_PER_MIN", "0"),
            ("MOD_MAX_ACTIONS_PER_WINDOW", "0"),
            ("MOD_WINDOW_MS", "5"),
            ("API_STREAM_MAX_CLIENTS", "0"),
            ("PRESENCE_SWEEP_MS", "1"),
            ("API_IDEMPOTENCY_TTL_MS", "0"),
            ("REACTION_MAX_CONCURRENCY", "0"),
        ])
        .unwrap();
        assert_eq!(config.api.rate_limit_per_min, 0);
        assert_eq!(config.rules.get::<ModerationRules>().max_actions_per_window, 0);
        assert_eq!(config.rules.get::<ModerationRules>().window_ms, 1_000);
        assert_eq!(config.api.stream_max_clients, 0);
        assert_eq!(config.api.presence_sweep, Duration::from_millis(500));
        assert_eq!(config.rules.get::<IdempotencyRules>().ttl_ms, 60_000);
        assert_eq!(config.reaction_max_concurrency, 1);
    }

    /// RULINGS B14: without a token only this machine can reach the server, unless told otherwise, with a warning.
    #[test]
    fn the_bind_address_depends_on_the_token() {
        let cases: [(&[(&str, &str)], &str, usize); 4] = [
            (&[], "127.0.0.1:3850", 0),
            (&[("API_AUTH_TOKEN", "t"), ("PORT", "80")], "0.0.0.0:80", 0),
            (&[("API_HOST", "0.0.0.0"), ("API_PORT", "1"), ("PORT", "2")], "0.0.0.0:1", 1),
            (&[("API_HOST", "::1"), ("API_AUTH_TOKEN", " ")], "[::1]:3850", 0),
        ];
        for (variables, want, warnings) in cases {
            let config = read(variables).unwrap();
            assert_eq!((config.listen.to_string().as_str(), config.warnings.len()), (want, warnings));
        }
    }

    /// RULINGS B14: whoever can reach the server without a token is on this machine, and may name targets there.
    #[test]
    fn private_targets_depend_on_the_token() {
        const ALLOW: &str = "WEBHOOK_ALLOW_PRIVATE_TARGETS";
        let cases: [(&[(&str, &str)], bool); 4] = [
            (&[], true),
            (&[("AGENTCAFE_RUNTIME_API_KEY", "t")], false),
            (&[("API_AUTH_TOKEN", "t"), (ALLOW, "true")], true),
            (&[(ALLOW, "false")], false),
        ];
        for (variables, want) in cases {
            assert_eq!(
                read(variables).unwrap().rules.get::<WebhookRules>().allow_private_targets,
                want,
                "{variables:?}"
            );
        }
        assert_eq!(read(&[("WEBHOOK_MAX_CONCURRENCY", "0")]).unwrap().webhook_max_concurrency, 1);
    }

    /// RULINGS O10: misspelt settings are told, foreign variables are not.
    #[test]
    fn unknown_settings_are_told() {
        let config = read(&[("API_RATELIMIT", "1"), ("HOME", "/"), ("MOD_WINDOW_MS", "1000")]).unwrap();
        assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
        assert!(config.warnings[0].contains("API_RATELIMIT"));
    }
}
