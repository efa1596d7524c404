//! The newest events of a room, as the projector keeps them: what realtime nodes replay.

use agentcafe_domain::kernel::ids::Sequence;
use redis::{Value, from_redis_value};

use crate::{
    connection::{Away, RedisConnection},
    keys::{Keys, RoomName},
};

/// An event of a room's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its place in the log.
    pub sequence: Sequence,
    /// All of it, as JSON.
    pub json: String,
}

/// A room as it was after an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomState {
    /// The newest event that is in it.
    pub sequence: Sequence,
    /// The room, as JSON: what stands under `:state:snapshot`.
    pub json: String,
}

/// The newest events of a room, at most so many, oldest first.
///
/// # Errors
/// [`Away`] if Redis cannot be asked.
pub async fn newest(
    connection: &RedisConnection,
    keys: &Keys,
    room: &RoomName,
    max: usize,
) -> Result<Vec<Kept>, Away> {
    let key = keys.room(room, "stream");
    let mut pipe = redis::pipe();
    pipe.cmd("XREVRANGE").arg(key).arg("+").arg("-").arg("COUNT").arg(max);
    let (entries,): (Vec<Value>,) = connection.query(&pipe).await?;
    let mut kept: Vec<Kept> = entries.into_iter().filter_map(entry).collect();
    kept.reverse();
    Ok(kept)
}

/// The events of a room behind a sequence, at most so many, oldest first.
///
/// # Errors
/// [`Away`] if Redis cannot be asked.
pub async fn after(
    connection: &RedisConnection,
    keys: &Keys,
    room: &RoomName,
    after: Sequence,
    max: usize,
) -> Result<Vec<Kept>, Away> {
    let key = keys.room(room, "stream");
    let mut pipe = redis::pipe();
    pipe.cmd("XRANGE").arg(key).arg(format!("({after}-0")).arg("+").arg("COUNT").arg(max);
    let (entries,): (Vec<Value>,) = connection.query(&pipe).await?;
    Ok(entries.into_iter().filter_map(entry).collect())
}

/// A room with the sequence of its newest event; none if nothing is kept of it.
///
/// # Errors
/// [`Away`] if Redis cannot be asked.
pub async fn state(
    connection: &RedisConnection,
    keys: &Keys,
    room: &RoomName,
) -> Result<Option<RoomState>, Away> {
    let mut pipe = redis::pipe();
    pipe.atomic();
    pipe.cmd("GET").arg(keys.room(room, "state:snapshot"));
    pipe.cmd("XREVRANGE").arg(keys.room(room, "stream")).arg("+").arg("-").arg("COUNT").arg(1);
    let (json, newest): (Option<String>, Vec<Value>) = connection.query(&pipe).await?;
    let newest = newest.into_iter().find_map(entry);
    Ok(json.zip(newest).map(|(json, newest)| RoomState { sequence: newest.sequence, json }))
}

/// Reads an entry: its id, and its fields one behind the other. What is none of ours is passed over.
fn entry(value: Value) -> Option<Kept> {
    let (id, fields): (String, Vec<String>) = from_redis_value(value).ok()?;
    let sequence = Sequence(id.strip_suffix("-0")?.parse().ok()?);
    let (_, json) =
        fields.chunks_exact(2).find_map(|pair| Some((pair[0] == "event").then_some(())?).zip(pair.get(1)))?;
    Some(Kept { sequence, json: json.clone() })
}
