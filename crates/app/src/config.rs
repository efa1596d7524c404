//! The settings: declared in `catalogue.rs`, set by the environment, by `agentcafe.toml`, or by their defaults.

mod catalogue;
mod file;
mod kinds;
mod listing;
mod load;
mod projector;
mod realtime;
mod serve;
mod setting;
mod sources;
mod unknown;

pub(crate) use catalogue::{AGENTCAFE_TOKEN, AGENTCAFE_URL, LOAD_API_KEY, ROLLBACK_DRILL_MODE};
pub(crate) use listing::{help, run};
pub(crate) use load::{DrillConfig, gate};
pub(crate) use projector::ProjectorConfig;
pub(crate) use realtime::RealtimeConfig;
pub(crate) use serve::{ServeConfig, storage, storage_in};
pub(crate) use sources::{SettingError, Sources};
