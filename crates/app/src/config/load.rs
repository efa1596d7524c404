//! What `agentcafe load` and `agentcafe drill` read from the environment.

use std::time::Duration;

use agentcafe_load::{
    gate::Objectives,
    target::{Target, checked_path},
};

use super::{AUTH_TOKEN, BadSetting, Environment};

/// Where the server is that is loaded.
const TARGET: [&str; 2] = ["LOAD_TARGET_URL", "AGENTCAFE_URL"];
const DEFAULT_API: &str = "http://127.0.0.1:3850";
const DEFAULT_REALTIME: &str = "http://127.0.0.1:3851";
const DEFAULT_WORLD: &str = "http://127.0.0.1:3846";
/// What stands for a service that there is not.
const ABSENT: &str = "none";

/// The settings of `agentcafe load`; the command line may say otherwise. They cannot be printed: one of them is a key.
#[derive(Clone)]
pub(crate) struct LoadSettings {
    /// The API's address.
    pub(crate) target_url: String,
    /// Where streams are, if not there.
    pub(crate) stream_url: Option<String>,
    /// The key that requests carry.
    pub(crate) key: Option<String>,
    /// What is asked first.
    pub(crate) api_path: String,
    /// What is asked in turn with it.
    pub(crate) api_path_alt: String,
    /// The stream.
    pub(crate) stream_path: String,
    /// How long to load.
    pub(crate) duration: Duration,
    /// Requests at once.
    pub(crate) concurrency: usize,
    /// Requests before.
    pub(crate) warmup_requests: u64,
    /// How long an answer may take.
    pub(crate) request_timeout: Duration,
    /// Streams at once.
    pub(crate) stream_fanout: usize,
    /// How long a stream may take.
    pub(crate) stream_timeout: Duration,
    /// What is good enough.
    pub(crate) objectives: Objectives,
    /// Variables that look like settings and are none.
    pub(crate) unknown: Vec<String>,
}

/// The settings of `agentcafe drill`.
#[derive(Clone, Debug)]
pub(crate) struct DrillSettings {
    /// What is done: `dry-run` or `probe`, or a mistake.
    pub(crate) mode: String,
    /// How long each probe may take.
    pub(crate) timeout: Duration,
    /// The public face of the café, if there is one.
    pub(crate) world: Option<Target>,
    /// The API.
    pub(crate) api: Option<Target>,
    /// The realtime service, if there is one.
    pub(crate) realtime: Option<Target>,
}

impl LoadSettings {
    /// Reads and checks every setting.
    ///
    /// # Errors
    /// [`BadSetting`] names the first variable that cannot be used.
    pub(crate) fn read(environment: &Environment) -> Result<Self, BadSetting> {
        let text = |name, standard: &str| environment.text(&[name]).unwrap_or_else(|| standard.to_owned());
        let count = |name, standard, least| environment.number(&[name], standard, least, false);
        Ok(Self {
            target_url: environment.text(&TARGET).unwrap_or_else(|| DEFAULT_API.to_owned()),
            stream_url: environment.text(&["LOAD_STREAM_URL"]),
            key: environment.key("LOAD_API_KEY"),
            api_path: environment.path("LOAD_API_PATH", text("LOAD_API_PATH", "/healthz"))?,
            api_path_alt: environment
                .path("LOAD_API_PATH_ALT", text("LOAD_API_PATH_ALT", "/v1/events?limit=5"))?,
            stream_path: environment
                .path("LOAD_STREAM_PATH", text("LOAD_STREAM_PATH", "/v1/streams/market-events"))?,
            duration: environment.millis("LOAD_DURATION_MS", 15_000, 1)?,
            concurrency: super::count(count("LOAD_CONCURRENCY", 20, 1)?),
            warmup_requests: count("LOAD_WARMUP_REQUESTS", 10, 0)?,
            request_timeout: environment.millis("LOAD_REQUEST_TIMEOUT_MS", 5_000, 1)?,
            stream_fanout: super::count(count("LOAD_STREAM_FANOUT", 40, 1)?),
            stream_timeout: environment.millis("LOAD_STREAM_TIMEOUT_MS", 6_000, 1)?,
            objectives: Objectives {
                api_p95_ms: environment.decimal("SLO_API_P95_MS", 200.0)?,
                api_p99_ms: environment.decimal("SLO_API_P99_MS", 500.0)?,
                api_error_rate_max: environment.decimal("SLO_API_ERROR_RATE_MAX", 0.01)?,
                stream_ready_p95_ms: environment.decimal("SLO_STREAM_READY_P95_MS", 1_200.0)?,
                stream_success_rate_min: environment.decimal("SLO_STREAM_SUCCESS_RATE_MIN", 0.98)?,
            },
            unknown: environment.unknown().into_iter().map(str::to_owned).collect(),
        })
    }
}

impl DrillSettings {
    /// Reads and checks every setting.
    ///
    /// # Errors
    /// [`BadSetting`] names the first variable that cannot be used.
    pub(crate) fn read(environment: &Environment) -> Result<Self, BadSetting> {
        let mode = environment.text(&["ROLLBACK_DRILL_MODE"]).unwrap_or_else(|| "dry-run".to_owned());
        let key = environment.key("ROLLBACK_API_KEY");
        Ok(Self {
            mode: mode.to_lowercase(),
            timeout: environment.millis("ROLLBACK_DRILL_TIMEOUT_MS", 4_000, 500)?,
            world: environment.service("ROLLBACK_WORLD_URL", DEFAULT_WORLD, None)?,
            api: environment.service("ROLLBACK_API_URL", DEFAULT_API, key.as_deref())?,
            realtime: environment.service("ROLLBACK_REALTIME_URL", DEFAULT_REALTIME, key.as_deref())?,
        })
    }
}

impl Environment {
    /// The key that a client sends: of its own, else the one a server here would ask for, else that of `tail`.
    fn key(&self, name: &'static str) -> Option<String> {
        self.text(&[name, AUTH_TOKEN[0], AUTH_TOKEN[1], "AGENTCAFE_TOKEN"])
    }

    /// A number that is not negative.
    fn decimal(&self, name: &'static str, standard: f64) -> Result<f64, BadSetting> {
        const WHY: &str = "it must be a number, 0 or more";
        let number: f64 = self.parsed(&[name], WHY)?.unwrap_or(standard);
        if number.is_finite() && number >= 0.0 {
            return Ok(number);
        }
        Err(BadSetting { name, value: number.to_string(), why: WHY.to_owned() })
    }

    /// What can be requested. It may hold a key, so it is not shown.
    fn path(&self, name: &'static str, path: String) -> Result<String, BadSetting> {
        checked_path(&path).map_err(|bad| BadSetting { name, value: "…".to_owned(), why: bad.to_string() })
    }

    /// A service that may be absent. Its address may hold a password, so it is not shown.
    fn service(
        &self,
        name: &'static str,
        standard: &str,
        key: Option<&str>,
    ) -> Result<Option<Target>, BadSetting> {
        let address = self.text(&[name]).unwrap_or_else(|| standard.to_owned());
        if address.eq_ignore_ascii_case(ABSENT) {
            return Ok(None);
        }
        let target = Target::parse(&address)
            .and_then(|target| key.map_or(Ok(target.clone()), |key| target.with_key(key)));
        target.map(Some).map_err(|bad| BadSetting { name, value: "…".to_owned(), why: bad.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::of(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    /// CONTRACT 21 and 23: the defaults.
    #[test]
    fn nothing_set_is_the_contract() {
        let settings = LoadSettings::read(&environment(&[])).ok().unwrap();
        assert_eq!(settings.target_url, "http://127.0.0.1:3850");
        assert_eq!((settings.stream_url, settings.key), (None, None));
        assert_eq!(
            [settings.api_path, settings.api_path_alt, settings.stream_path],
            ["/healthz", "/v1/events?limit=5", "/v1/streams/market-events"]
        );
        let counts = (settings.concurrency, settings.warmup_requests, settings.stream_fanout);
        assert_eq!(counts, (20, 10, 40));
        let times = [settings.duration, settings.request_timeout, settings.stream_timeout];
        assert_eq!(times, [15_000, 5_000, 6_000].map(Duration::from_millis));
        let Objectives {
            api_p95_ms,
            api_p99_ms,
            api_error_rate_max,
            stream_ready_p95_ms,
            stream_success_rate_min,
        } = settings.objectives;
        assert_eq!(
            [api_p95_ms, api_p99_ms, api_error_rate_max, stream_ready_p95_ms, stream_success_rate_min],
            [200.0, 500.0, 0.01, 1200.0, 0.98]
        );
    }

    /// RULINGS Q4 and O6: a setting that would make an empty run is refused, and named.
    #[test]
    fn bad_values_are_named() {
        for (name, value) in [
            ("LOAD_DURATION_MS", "NaN"),
            ("LOAD_CONCURRENCY", "many"),
            ("LOAD_API_PATH", "healthz"),
            ("LOAD_STREAM_PATH", "/a b"),
            ("SLO_API_P95_MS", "NaN"),
            ("SLO_API_ERROR_RATE_MAX", "-1"),
            ("SLO_STREAM_READY_P95_MS", "inf"),
        ] {
            let error = LoadSettings::read(&environment(&[(name, value)])).map(|_| ()).unwrap_err();
            assert_eq!(error.name, name, "{error}");
        }
        for (name, value) in [
            ("ROLLBACK_API_URL", "cafe"),
            ("ROLLBACK_WORLD_URL", "http://me:s3cr3t@world"),
            ("ROLLBACK_DRILL_TIMEOUT_MS", "soon"),
        ] {
            let error = DrillSettings::read(&environment(&[(name, value)])).unwrap_err();
            assert_eq!(error.name, name, "{error}");
            assert!(!error.to_string().contains("s3cr3t"), "{error}");
        }
    }

    /// RULINGS B6 and Q3: the key is the load's own, else the one that the server would ask for.
    #[test]
    fn the_key_has_a_fallback() {
        let cases: [(&[(&str, &str)], Option<&str>); 4] = [
            (&[], None),
            (&[("LOAD_API_KEY", "a"), ("API_AUTH_TOKEN", "b")], Some("a")),
            (&[("API_AUTH_TOKEN", "b"), ("AGENTCAFE_RUNTIME_API_KEY", "c")], Some("b")),
            (&[("AGENTCAFE_RUNTIME_API_KEY", "c")], Some("c")),
        ];
        for (variables, key) in cases {
            assert_eq!(LoadSettings::read(&environment(variables)).ok().unwrap().key.as_deref(), key);
        }
    }

    /// CONTRACT 22 and RULINGS Q5: the drill's targets, of which some may be left out.
    #[test]
    fn targets_of_the_drill_may_be_absent() {
        let settings = DrillSettings::read(&environment(&[("ROLLBACK_DRILL_MODE", " Probe ")])).unwrap();
        assert_eq!(settings.mode, "probe");
        let shown =
            [settings.world, settings.api, settings.realtime].map(|target| target.unwrap().to_string());
        assert_eq!(shown, [DEFAULT_WORLD, DEFAULT_API, DEFAULT_REALTIME]);
        let absent = [("ROLLBACK_WORLD_URL", "none"), ("ROLLBACK_DRILL_TIMEOUT_MS", "1")];
        let settings = DrillSettings::read(&environment(&absent)).unwrap();
        assert!(settings.world.is_none() && settings.api.is_some());
        assert_eq!(settings.timeout, Duration::from_millis(500));
    }
}
