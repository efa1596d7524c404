//! What moderation remembers of actors in rooms, for all nodes: a sorted set each, of times and what happened then.

use std::time::Duration;

use agentcafe_domain::{
    actor::ActorInRoom,
    moderation::{Past, Source},
    time::Timestamp,
};

use crate::{
    keys::{Keys, RoomName, escaped},
    link::{Away, Link},
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
pub async fn load(link: &Link, keys: &Keys, actors: &[ActorInRoom]) -> Result<Vec<Vec<Past>>, Away> {
    if actors.is_empty() {
        return Ok(Vec::new());
    }
    let mut pipe = redis::pipe();
    for actor in actors {
        pipe.cmd("ZRANGE").arg(key(keys, actor)).arg(0).arg(-1);
    }
    let pasts: Vec<Vec<String>> = link.query(&pipe).await?;
    Ok(pasts.into_iter().map(|past| past.iter().filter_map(|member| read(member)).collect()).collect())
}

/// Remembers what happened, for `time`. Members are told apart by `names`, of which each is given once.
///
/// # Errors
/// [`Away`] if Redis cannot be asked; then it is not known what is remembered.
pub async fn save(
    link: &Link,
    keys: &Keys,
    past: &[(ActorInRoom, Past)],
    time: Duration,
    mut names: impl FnMut() -> String,
) -> Result<(), Away> {
    let time_ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let mut pipe = redis::pipe();
    for (actor, past) in past {
        let key = key(keys, actor);
        let at = match past {
            Past::Acted { at, .. } | Past::QuietUntil(at) => *at,
        };
        pipe.cmd("ZADD").arg(&key).arg(at.as_millis()).arg(written(past, &names())).ignore();
        let forgotten = format!("({}", at.as_millis().saturating_sub(time_ms));
        pipe.cmd("ZREMRANGEBYSCORE").arg(&key).arg("-inf").arg(forgotten).ignore();
        pipe.cmd("ZREMRANGEBYRANK").arg(&key).arg(0).arg(-MAX_REMEMBERED - 1).ignore();
        pipe.cmd("PEXPIRE").arg(&key).arg(time_ms).ignore();
    }
    if pipe.is_empty() { Ok(()) } else { link.query(&pipe).await }
}

/// As it stands in a set: time, kind, what was said, and a name of its own.
fn written(past: &Past, name: &str) -> String {
    match past {
        Past::QuietUntil(until) => format!("{}:quiet::{name}", until.as_millis()),
        Past::Acted { at, source, text_key } => {
            let kind = match source {
                Source::Api => "api",
                Source::Reaction => "reaction",
            };
            format!("{}:{kind}:{}:{name}", at.as_millis(), text_key.as_deref().unwrap_or_default())
        }
    }
}

fn read(member: &str) -> Option<Past> {
    let mut parts = member.splitn(4, ':');
    let at = Timestamp::from_millis(parts.next()?.parse().ok()?);
    let source = match parts.next()? {
        "quiet" => return Some(Past::QuietUntil(at)),
        "api" => Source::Api,
        "reaction" => Source::Reaction,
        _ => return None,
    };
    let text_key = parts.next().filter(|key| !key.is_empty()).map(str::to_owned);
    Some(Past::Acted { at, source, text_key })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RULINGS H4: what one node writes is what another reads; what it cannot read it passes over.
    #[test]
    fn what_is_written_can_be_read() {
        let at = Timestamp::from_millis(1_234);
        let cases = [
            Past::QuietUntil(at),
            Past::Acted { at, source: Source::Api, text_key: None },
            Past::Acted { at, source: Source::Reaction, text_key: Some("0f".to_owned()) },
        ];
        for past in cases {
            assert_eq!(read(&written(&past, "node-1")), Some(past));
        }
        assert!(["", "x:api::", "1:later::"].iter().all(|member| read(member).is_none()));
    }
}
