//! The request limit that all nodes share: one window per client and route, on Redis' clock.

use std::time::Duration;

use crate::{
    connection::{Away, RedisConnection},
    keys::{Keys, escaped},
};

/// What a request counts against.
#[derive(Clone, Copy, Debug)]
pub struct Budget<'a> {
    /// Who asks.
    pub client: &'a str,
    /// With which method.
    pub method: &'a str,
    /// For which route.
    pub route: &'a str,
}

/// How much of a budget is used up, and for how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Requests in this window, this one included.
    pub requests: u64,
    /// How long until the window ends.
    pub ends_in: Duration,
}

/// Counts a request; the first one begins a window.
///
/// # Errors
/// [`Away`] if Redis cannot be asked.
pub async fn count(
    connection: &RedisConnection,
    keys: &Keys,
    budget: Budget<'_>,
    window: Duration,
) -> Result<Used, Away> {
    let Budget { client, method, route } = budget;
    let key = keys.rate(method, &escaped(route), &escaped(client));
    let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    let mut pipe = redis::pipe();
    pipe.atomic();
    pipe.cmd("SET").arg(&key).arg(0).arg("PX").arg(window_ms).arg("NX").ignore();
    pipe.cmd("INCR").arg(&key);
    pipe.cmd("PTTL").arg(&key);
    let (requests, left_ms): (u64, i64) = connection.query(&pipe).await?;
    Ok(Used { requests, ends_in: Duration::from_millis(u64::try_from(left_ms).unwrap_or(window_ms)) })
}
