//! Where the data is kept: in the embedded database, or in PostgreSQL.

use agentcafe_domain::kernel::secret::Secret;
use agentcafe_store::{PostgresOptions, StoreLocation, TimeSource};

use super::{BadSetting, Environment, count};

const URL: &str = "DATABASE_URL";
const REQUIRED: &str = "API_DB_REQUIRED";

/// Where the settings say that the data is kept.
pub(crate) fn place(environment: &Environment) -> Result<StoreLocation, BadSetting> {
    let required = environment.flag(REQUIRED)?.unwrap_or(false);
    let pool_max = environment.number(&["PG_POOL_MAX"], 10, 1, false)?;
    let idle_timeout = environment.millis("PG_IDLE_TIMEOUT_MS", 30_000, 1_000)?;
    let auto_migrate = environment.flag("API_DB_AUTO_MIGRATE")?.unwrap_or(true);
    let lock_key = environment.number(&["API_DB_MIGRATION_LOCK_KEY"], 942_516_431, 0, false)?;
    let Some(url) = environment.text(&[URL]) else {
        if required {
            let why = format!("{URL} is not set, so that there is no database");
            return Err(BadSetting { name: REQUIRED, value: "true".to_owned(), why });
        }
        return Ok(StoreLocation::Directory(environment.data_directory()));
    };
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        // A database's URL may hold a password.
        let why = "it must be the URL of a PostgreSQL database (postgres://…)".to_owned();
        return Err(BadSetting { name: URL, value: "…".to_owned(), why });
    }
    Ok(StoreLocation::Postgres(PostgresOptions {
        url: Secret::new(url),
        pool_max: count(pool_max),
        idle_timeout,
        auto_migrate,
        migration_lock_key: i64::try_from(lock_key).unwrap_or(i64::MAX),
        time: TimeSource::Database,
    }))
}
