//! The recent activity that moderation shares between nodes: a sorted set per actor and room, by time.

use std::time::Duration;

use agentcafe_domain::kernel::{ActionSource, ActorInRoom, Timestamp};
use agentcafe_domain::moderation::RecentActivity;

use crate::connection::{RedisConnection, RedisUnavailable, RedisUse};
use crate::keys::{Keys, RoomName, escaped};

/// The most entries per actor and room; the oldest are dropped.
const MAX_ENTRIES: i64 = 1_000;

fn key(keys: &Keys, actor: &ActorInRoom) -> String {
    let room = RoomName::new(&actor.tenant_id, &actor.room_id);
    keys.room(&room, &format!("moderation:{}", escaped(actor.actor_id.as_str())))
}

/// The recent activity of actors, in their order.
///
/// # Errors
/// [`RedisUnavailable`] if Redis does not answer.
pub async fn load(
    connection: &RedisConnection,
    keys: &Keys,
    actors: &[ActorInRoom],
) -> Result<Vec<Vec<RecentActivity>>, RedisUnavailable> {
    if actors.is_empty() {
        return Ok(Vec::new());
    }
    let mut pipe = redis::pipe();
    for actor in actors {
        pipe.cmd("ZRANGE").arg(key(keys, actor)).arg(0).arg(-1);
    }
    let members: Vec<Vec<String>> = connection.query(RedisUse::ModerationReads, &pipe).await?;
    Ok(members
        .into_iter()
        .map(|activity| activity.iter().filter_map(|member| decode(member)).collect())
        .collect())
}

/// Adds activity, which is kept for `retention`. `unique_names` yields a name for each entry, so that equal entries count twice.
///
/// # Errors
/// [`RedisUnavailable`] if Redis does not answer; then some of it may have been added.
pub async fn save(
    connection: &RedisConnection,
    keys: &Keys,
    activity: &[(ActorInRoom, RecentActivity)],
    retention: Duration,
    mut unique_names: impl FnMut() -> String,
) -> Result<(), RedisUnavailable> {
    let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    let mut pipe = redis::pipe();
    for (actor, activity) in activity {
        let key = key(keys, actor);
        let at = match activity {
            RecentActivity::Acted { at, .. } | RecentActivity::CooldownUntil(at) => *at,
        };
        pipe.cmd("ZADD").arg(&key).arg(at.as_millis()).arg(encode(activity, &unique_names())).ignore();
        let expired = format!("({}", at.as_millis().saturating_sub(retention_ms));
        pipe.cmd("ZREMRANGEBYSCORE").arg(&key).arg("-inf").arg(expired).ignore();
        pipe.cmd("ZREMRANGEBYRANK").arg(&key).arg(0).arg(-MAX_ENTRIES - 1).ignore();
        pipe.cmd("PEXPIRE").arg(&key).arg(retention_ms).ignore();
    }
    if pipe.is_empty() { Ok(()) } else { connection.query(RedisUse::ModerationWrites, &pipe).await }
}

/// A member of the set: time, kind, hash of the text, unique name.
fn encode(activity: &RecentActivity, name: &str) -> String {
    match activity {
        RecentActivity::CooldownUntil(until) => format!("{}:quiet::{name}", until.as_millis()),
        RecentActivity::Acted { at, source, text_key } => {
            let kind = match source {
                ActionSource::Api => "api",
                ActionSource::Reaction => "reaction",
            };
            format!("{}:{kind}:{}:{name}", at.as_millis(), text_key.as_deref().unwrap_or_default())
        }
    }
}

fn decode(member: &str) -> Option<RecentActivity> {
    let mut parts = member.splitn(4, ':');
    let at = Timestamp::from_millis(parts.next()?.parse().ok()?);
    let source = match parts.next()? {
        "quiet" => return Some(RecentActivity::CooldownUntil(at)),
        "api" => ActionSource::Api,
        "reaction" => ActionSource::Reaction,
        _ => return None,
    };
    let text_key = parts.next().filter(|key| !key.is_empty()).map(str::to_owned);
    Some(RecentActivity::Acted { at, source, text_key })
}
