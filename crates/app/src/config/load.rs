//! The settings of `agentcafe load` and `agentcafe drill`.

use std::time::Duration;

use agentcafe_load::gate::{GateTest, Objectives};
use agentcafe_load::target::Target;

use super::catalogue::*;
use super::setting::Setting;
use super::sources::{SettingError, Sources};

/// The mode of the drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrillMode {
    /// Prints the steps.
    DryRun,
    /// Checks every service.
    Probe,
}

/// The gate of `agentcafe load`, with the targets of the command line if there are any. The error is that of the first
/// invalid setting.
pub(crate) fn gate(
    sources: &Sources,
    target: Option<Target>,
    stream_target: Option<Target>,
) -> Result<GateTest, SettingError> {
    let target = target.map_or_else(|| sources.value(&LOAD_TARGET_URL), Ok)?;
    let stream_target =
        stream_target.map_or_else(|| sources.optional(&LOAD_STREAM_URL), |set| Ok(Some(set)))?;
    Ok(GateTest {
        stream_target: stream_target.unwrap_or_else(|| target.clone()),
        target,
        api_path: sources.value(&LOAD_API_PATH)?,
        api_path_alt: sources.value(&LOAD_API_PATH_ALT)?,
        stream_path: sources.value(&LOAD_STREAM_PATH)?,
        duration: sources.value(&LOAD_DURATION_MS)?,
        concurrency: sources.value(&LOAD_CONCURRENCY)?,
        warmup_requests: sources.value(&LOAD_WARMUP_REQUESTS)?,
        request_timeout: sources.value(&LOAD_REQUEST_TIMEOUT_MS)?,
        stream_fanout: sources.value(&LOAD_STREAM_FANOUT)?,
        stream_timeout: sources.value(&LOAD_STREAM_TIMEOUT_MS)?,
        objectives: Objectives {
            api_p95_ms: sources.value(&SLO_API_P95_MS)?,
            api_p99_ms: sources.value(&SLO_API_P99_MS)?,
            api_error_rate_max: sources.value(&SLO_API_ERROR_RATE_MAX)?,
            stream_ready_p95_ms: sources.value(&SLO_STREAM_READY_P95_MS)?,
            stream_success_rate_min: sources.value(&SLO_STREAM_SUCCESS_RATE_MIN)?,
        },
        threads: 1,
    })
}

/// The settings of `agentcafe drill`.
#[derive(Clone, Debug)]
pub(crate) struct DrillConfig {
    /// The mode; an error is part of the report.
    pub(crate) mode: Result<DrillMode, SettingError>,
    /// Timeout of each probe.
    pub(crate) timeout: Duration,
    /// The public website, if there is one.
    pub(crate) world: Option<Target>,
    /// The API, if there is one.
    pub(crate) api: Option<Target>,
    /// The realtime service, if there is one.
    pub(crate) realtime: Option<Target>,
}

impl DrillConfig {
    /// Reads every setting. The error is that of the first invalid one, other than the mode.
    pub(crate) fn read(sources: &Sources) -> Result<Self, SettingError> {
        let key = sources.optional(&ROLLBACK_API_KEY)?;
        let service = |setting: &Setting<Option<Target>>| {
            let target = sources.value(setting)?;
            let with_key = target.map(|target| match &key {
                Some(key) => target.with_key(key),
                None => Ok(target),
            });
            with_key.transpose().map_err(|error| sources.error(&ROLLBACK_API_KEY, &error.to_string()))
        };
        Ok(Self {
            mode: sources.value(&ROLLBACK_DRILL_MODE),
            timeout: sources.value(&ROLLBACK_DRILL_TIMEOUT_MS)?,
            world: sources.value(&ROLLBACK_WORLD_URL)?,
            api: service(&ROLLBACK_API_URL)?,
            realtime: service(&ROLLBACK_REALTIME_URL)?,
        })
    }
}
