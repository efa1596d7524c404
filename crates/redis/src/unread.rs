//! Copies of the unread counts of inboxes. Each carries the time of its count, so that an older one never replaces a newer
//! one, whichever node writes first.

use agentcafe_domain::inbox::UnreadCount;
use agentcafe_domain::kernel::{ActorId, Timestamp};
use redis::Pipeline;

use crate::connection::{RedisConnection, RedisUnavailable, RedisUse};
use crate::keys::{Keys, RoomName};

/// How long the time of a copy is kept: longer than any write is under way.
const TIME_KEPT_MS: u64 = 600_000;
/// The last part of the keys of counts.
const PART: &str = "inbox:unread";
/// Sets a count, or removes it if nothing is unread, unless a newer one was written.
const PUT: &str = "\
if tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0') > tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
if ARGV[2] == '0' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return 1";

/// Writes counts, each with its time.
///
/// # Errors
/// [`RedisUnavailable`] if Redis does not answer.
pub async fn put<'a>(
    connection: &RedisConnection,
    keys: &Keys,
    counts: impl IntoIterator<Item = (&'a UnreadCount, Timestamp)>,
) -> Result<(), RedisUnavailable> {
    let mut pipe = Pipeline::new();
    for (count, at) in counts {
        let room = RoomName::new(&count.tenant_id, &count.room_id);
        pipe.cmd("EVAL").arg(PUT).arg(2);
        pipe.arg(keys.room(&room, PART)).arg(keys.room(&room, "inbox:unread:at"));
        pipe.arg(count.actor_id.as_str()).arg(count.unread).arg(at.as_millis()).arg(TIME_KEPT_MS).ignore();
    }
    if pipe.is_empty() { Ok(()) } else { connection.query(RedisUse::UnreadWrites, &pipe).await }
}

/// The copy of an actor's count in a room.
///
/// # Errors
/// [`RedisUnavailable`] if Redis does not answer.
pub async fn get(
    connection: &RedisConnection,
    keys: &Keys,
    room: &RoomName,
    actor: &ActorId,
) -> Result<u64, RedisUnavailable> {
    let mut pipe = redis::pipe();
    pipe.cmd("HGET").arg(keys.room(room, PART)).arg(actor.as_str());
    let (count,): (Option<u64>,) = connection.query(RedisUse::UnreadReads, &pipe).await?;
    Ok(count.unwrap_or_default())
}

/// All copies with valid keys.
///
/// # Errors
/// [`RedisUnavailable`] if Redis does not answer.
pub async fn all(connection: &RedisConnection, keys: &Keys) -> Result<Vec<UnreadCount>, RedisUnavailable> {
    let mut counts = Vec::new();
    let mut cursor = "0".to_owned();
    loop {
        let (next, found) =
            connection.scan(RedisUse::UnreadComparison, &(keys.rooms_pattern() + PART), &cursor).await?;
        for key in found {
            let Some((tenant_id, room_id)) = keys.room_of(&key, PART).and_then(|room| room.ids()) else {
                continue;
            };
            let (fields,): (Vec<(String, u64)>,) =
                connection.query(RedisUse::UnreadComparison, redis::pipe().cmd("HGETALL").arg(&key)).await?;
            counts.extend(fields.into_iter().filter_map(|(actor, unread)| {
                let actor_id = ActorId::parse(&actor).ok()?;
                Some(UnreadCount { tenant_id: tenant_id.clone(), room_id: room_id.clone(), actor_id, unread })
            }));
        }
        if next == "0" {
            return Ok(counts);
        }
        cursor = next;
    }
}
