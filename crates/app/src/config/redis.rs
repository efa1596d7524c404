//! The settings of Redis.

use agentcafe_domain::kernel::secret::Secret;
use agentcafe_redis::{Keys, RedisConnection};

use super::{BadSetting, Environment};

const URL: &str = "REDIS_URL";

/// Where Redis is, if it is to be used.
pub(super) fn url(environment: &Environment) -> Result<Option<Secret>, BadSetting> {
    let Some(url) = environment.text(&[URL]).map(Secret::new) else { return Ok(None) };
    // Its URL may hold a password.
    let bad = |why: agentcafe_redis::InvalidRedisUrl| BadSetting {
        name: URL,
        value: "…".to_owned(),
        why: why.to_string(),
    };
    RedisConnection::check(&url).map_err(bad)?;
    Ok(Some(url))
}

/// The names of keys behind the prefix that a variable says.
pub(super) fn keys(environment: &Environment, name: &'static str) -> Keys {
    Keys::new(environment.text(&[name]).unwrap_or_else(|| "acf".to_owned()))
}
