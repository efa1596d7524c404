//! What moderation remembers of actors in rooms, for all nodes: a sorted set each, of times and what happened then.

use std::time::Duration;

use agentcafe_domain::{
    kernel::{actor::ActorInRoom, guard::ActionSource, time::Timestamp},
    moderation::RecentActivity,
};

use crate::{
    connection::{Away, RedisConnection},
    keys::{Keys, RoomName, escaped},
};

/// The most that is remembered of an actor in a room; the oldest goes first.
const MAX_REMEMBERED: i64 = 1_000;

fn key(keys: &Keys, actor: &ActorInRoom) -> String {
    let room = RoomName::of(&actor.tenant_id, &actor.room_id);
    keys.room(&room, &format!("moderation:{}", escaped(actor.actor_id.as_str())))
}

/// What is remembered of actors, in their order.
///
/// # Errors
/// [`Away`] if Redis cannot be asked.
pub async fn load(
    connection: &RedisConnection,
    keys: &Keys,
    actors: &[ActorInRoom],
) -> Result<Vec<Vec<RecentActivity>>, Away> {
    if actors.is_empty() {
        return Ok(Vec::new());
    }
    let mut pipe = redis::pipe();
    for actor in actors {
        pipe.cmd("ZRANGE").arg(key(keys, actor)).arg(0).arg(-1);
    }
    let pasts: Vec<Vec<String>> = connection.query(&pipe).await?;
    Ok(pasts
        .into_iter()
        .map(|activity| activity.iter().filter_map(|member| read(member)).collect())
        .collect())
}

/// Remembers what happened, for `time`. Members are told apart by `names`, of which each is given once.
///
/// # Errors
/// [`Away`] if Redis cannot be asked; then it is not known what is remembered.
pub async fn save(
    connection: &RedisConnection,
    keys: &Keys,
    activity: &[(ActorInRoom, RecentActivity)],
    time: Duration,
    mut names: impl FnMut() -> String,
) -> Result<(), Away> {
    let time_ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let mut pipe = redis::pipe();
    for (actor, activity) in activity {
        let key = key(keys, actor);
        let at = match activity {
            RecentActivity::Acted { at, .. } | RecentActivity::QuietUntil(at) => *at,
        };
        pipe.cmd("ZADD").arg(&key).arg(at.as_millis()).arg(written(activity, &names())).ignore();
        let forgotten = format!("({}", at.as_millis().saturating_sub(time_ms));
        pipe.cmd("ZREMRANGEBYSCORE").arg(&key).arg("-inf").arg(forgotten).ignore();
        pipe.cmd("ZREMRANGEBYRANK").arg(&key).arg(0).arg(-MAX_REMEMBERED - 1).ignore();
        pipe.cmd("PEXPIRE").arg(&key).arg(time_ms).ignore();
    }
    if pipe.is_empty() { Ok(()) } else { connection.query(&pipe).await }
}

/// As it stands in a set: time, kind, what was said, and a name of its own.
fn written(activity: &RecentActivity, name: &str) -> String {
    match activity {
        RecentActivity::QuietUntil(until) => format!("{}:quiet::{name}", until.as_millis()),
        RecentActivity::Acted { at, source, text_key } => {
            let kind = match source {
                ActionSource::Api => "api",
                ActionSource::Reaction => "reaction",
            };
            format!("{}:{kind}:{}:{name}", at.as_millis(), text_key.as_deref().unwrap_or_default())
        }
    }
}

fn read(member: &str) -> Option<RecentActivity> {
    let mut parts = member.splitn(4, ':');
    let at = Timestamp::from_millis(parts.next()?.parse().ok()?);
    let source = match parts.next()? {
        "quiet" => return Some(RecentActivity::QuietUntil(at)),
        "api" => ActionSource::Api,
        "reaction" => ActionSource::Reaction,
        _ => return None,
    };
    let text_key = parts.next().filter(|key| !key.is_empty()).map(str::to_owned);
    Some(RecentActivity::Acted { at, source, text_key })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RULINGS H4: what one node writes is what another reads; what it cannot read it passes over.
    #[test]
    fn what_is_written_can_be_read() {
        let at = Timestamp::from_millis(1_234);
        let cases = [
            RecentActivity::QuietUntil(at),
            RecentActivity::Acted { at, source: ActionSource::Api, text_key: None },
            RecentActivity::Acted { at, source: ActionSource::Reaction, text_key: Some("0f".to_owned()) },
        ];
        for activity in cases {
            assert_eq!(read(&written(&activity, "node-1")), Some(activity));
        }
        assert!(["", "x:api::", "1:later::"].iter().all(|member| read(member).is_none()));
    }
}
