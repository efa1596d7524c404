//! Reads the state and the newest events of a room, which the projector writes and realtime nodes replay.

use agentcafe_domain::kernel::Sequence;
use redis::{Value, from_redis_value};

use crate::connection::{RedisConnection, RedisUnavailable, RedisUse};
use crate::keys::{Keys, RoomName};

/// An event of a room's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamedEvent {
    /// Its position in the log.
    pub sequence: Sequence,
    /// The whole event as JSON.
    pub json: String,
}

/// The state of a room after an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomState {
    /// The last event in the state.
    pub sequence: Sequence,
    /// The state as JSON.
    pub json: String,
}

/// The newest `max` events of a room, oldest first.
///
/// # Errors
/// [`RedisUnavailable`] if Redis does not answer.
pub async fn newest(
    connection: &RedisConnection,
    keys: &Keys,
    room: &RoomName,
    max: usize,
) -> Result<Vec<StreamedEvent>, RedisUnavailable> {
    let mut events = range(connection, keys, room, ["XREVRANGE", "+", "-"], max).await?;
    events.reverse();
    Ok(events)
}

/// The events of a room after a sequence, at most `max`, oldest first.
///
/// # Errors
/// [`RedisUnavailable`] if Redis does not answer.
pub async fn after(
    connection: &RedisConnection,
    keys: &Keys,
    room: &RoomName,
    after: Sequence,
    max: usize,
) -> Result<Vec<StreamedEvent>, RedisUnavailable> {
    range(connection, keys, room, ["XRANGE", &format!("({after}-0"), "+"], max).await
}

async fn range(
    connection: &RedisConnection,
    keys: &Keys,
    room: &RoomName,
    [command, from, to]: [&str; 3],
    max: usize,
) -> Result<Vec<StreamedEvent>, RedisUnavailable> {
    let mut pipe = redis::pipe();
    pipe.cmd(command).arg(keys.room(room, "stream")).arg(from).arg(to).arg("COUNT").arg(max);
    let (entries,): (Vec<Value>,) = connection.query(RedisUse::Replays, &pipe).await?;
    Ok(entries.into_iter().filter_map(entry).collect())
}

/// The state of a room; none if Redis has none.
///
/// # Errors
/// [`RedisUnavailable`] if Redis does not answer.
pub async fn state(
    connection: &RedisConnection,
    keys: &Keys,
    room: &RoomName,
) -> Result<Option<RoomState>, RedisUnavailable> {
    let mut pipe = redis::pipe();
    pipe.atomic();
    pipe.cmd("GET").arg(keys.room(room, "state:snapshot"));
    pipe.cmd("XREVRANGE").arg(keys.room(room, "stream")).arg("+").arg("-").arg("COUNT").arg(1);
    let (json, newest): (Option<String>, Vec<Value>) = connection.query(RedisUse::Replays, &pipe).await?;
    let newest = newest.into_iter().find_map(entry);
    Ok(json.zip(newest).map(|(json, newest)| RoomState { sequence: newest.sequence, json }))
}

/// Parses a stream entry: its id, then the names and values of its fields. Foreign entries are ignored.
fn entry(value: Value) -> Option<StreamedEvent> {
    let (id, fields): (String, Vec<String>) = from_redis_value(value).ok()?;
    let sequence = Sequence(id.strip_suffix("-0")?.parse().ok()?);
    let (_, json) =
        fields.chunks_exact(2).find_map(|pair| Some((pair[0] == "event").then_some(())?).zip(pair.get(1)))?;
    Some(StreamedEvent { sequence, json: json.clone() })
}
