//! The request rate limit that nodes share: a fixed window per client, method and route, timed by Redis.

use std::time::Duration;

use crate::connection::{RedisConnection, RedisUnavailable, RedisUse};
use crate::keys::{Keys, escaped};

/// Which window a request counts against.
#[derive(Clone, Copy, Debug)]
pub struct RateLimitKey<'a> {
    /// The client.
    pub client: &'a str,
    /// The HTTP method.
    pub method: &'a str,
    /// The route.
    pub route: &'a str,
}

/// The state of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitUsage {
    /// Requests in this window, this one included.
    pub requests: u64,
    /// The time until the window ends.
    pub ends_in: Duration,
}

/// Counts a request; the first one opens a window.
///
/// # Errors
/// [`RedisUnavailable`] if Redis does not answer.
pub async fn count(
    connection: &RedisConnection,
    keys: &Keys,
    key: RateLimitKey<'_>,
    window: Duration,
) -> Result<RateLimitUsage, RedisUnavailable> {
    let RateLimitKey { client, method, route } = key;
    let key = keys.rate(method, &escaped(route), &escaped(client));
    let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    let mut pipe = redis::pipe();
    pipe.atomic();
    pipe.cmd("SET").arg(&key).arg(0).arg("PX").arg(window_ms).arg("NX").ignore();
    pipe.cmd("INCR").arg(&key);
    pipe.cmd("PTTL").arg(&key);
    let (requests, left_ms): (u64, i64) = connection.query(RedisUse::RateLimits, &pipe).await?;
    Ok(RateLimitUsage {
        requests,
        ends_in: Duration::from_millis(u64::try_from(left_ms).unwrap_or(window_ms)),
    })
}
