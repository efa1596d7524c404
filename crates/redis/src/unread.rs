//! Copies of the unread counts of inboxes. The store has the truth; a copy says when it was true, so that an older one never
//! takes the place of a newer one, whichever node comes first.

use agentcafe_domain::{
    inbox::UnreadCount,
    kernel::{ids::ActorId, time::Timestamp},
};
use redis::Pipeline;

use crate::{
    connection::{Away, RedisConnection},
    keys::{Keys, RoomName},
};

/// How long it is remembered when a copy was true: longer than any copy is on its way.
const REMEMBERED_MS: u64 = 600_000;
/// How many keys are looked at in one step.
const KEYS_AT_ONCE: usize = 500;
/// What the keys of counts end with.
const PART: &str = "inbox:unread";
/// Puts a count in its place, or removes it if nothing is unread, unless a newer one was there.
const PUT: &str = "\
if tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0') > tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
if ARGV[2] == '0' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return 1";

/// Copies counts that were true at some time.
///
/// # Errors
/// [`Away`] if Redis cannot be asked.
pub async fn put<'a>(
    connection: &RedisConnection,
    keys: &Keys,
    counts: impl IntoIterator<Item = (&'a UnreadCount, Timestamp)>,
) -> Result<(), Away> {
    let mut pipe = Pipeline::new();
    for (count, at) in counts {
        let room = RoomName::of(&count.tenant_id, &count.room_id);
        pipe.cmd("EVAL").arg(PUT).arg(2);
        pipe.arg(keys.room(&room, PART)).arg(keys.room(&room, "inbox:unread:at"));
        pipe.arg(count.actor_id.as_str()).arg(count.unread).arg(at.as_millis()).arg(REMEMBERED_MS).ignore();
    }
    if pipe.is_empty() { Ok(()) } else { connection.query(&pipe).await }
}

/// The copy of an actor's count in a room.
///
/// # Errors
/// [`Away`] if Redis cannot be asked.
pub async fn get(
    connection: &RedisConnection,
    keys: &Keys,
    room: &RoomName,
    actor: &ActorId,
) -> Result<u64, Away> {
    let mut pipe = redis::pipe();
    pipe.cmd("HGET").arg(keys.room(room, PART)).arg(actor.as_str());
    let (count,): (Option<u64>,) = connection.query(&pipe).await?;
    Ok(count.unwrap_or_default())
}

/// All counts that there are copies of, as far as their keys can be read.
///
/// # Errors
/// [`Away`] if Redis cannot be asked.
pub async fn all(connection: &RedisConnection, keys: &Keys) -> Result<Vec<UnreadCount>, Away> {
    let mut counts = Vec::new();
    let mut place = "0".to_owned();
    loop {
        let mut pipe = redis::pipe();
        pipe.cmd("SCAN").arg(&place).arg("MATCH").arg(keys.rooms_pattern() + PART);
        pipe.arg("COUNT").arg(KEYS_AT_ONCE);
        let ((next, found),): ((String, Vec<String>),) = connection.query(&pipe).await?;
        for key in found {
            let Some((tenant_id, room_id)) = keys.room_of(&key, PART).and_then(|room| room.ids()) else {
                continue;
            };
            let (fields,): (Vec<(String, u64)>,) =
                connection.query(redis::pipe().cmd("HGETALL").arg(&key)).await?;
            counts.extend(fields.into_iter().filter_map(|(actor, unread)| {
                let actor_id = ActorId::parse(&actor).ok()?;
                Some(UnreadCount { tenant_id: tenant_id.clone(), room_id: room_id.clone(), actor_id, unread })
            }));
        }
        if next == "0" {
            return Ok(counts);
        }
        place = next;
    }
}
