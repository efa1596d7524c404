//! Writes the read models of rooms, their streams and the projector's cursor, in one transaction.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{Sequence, Timestamp};
use agentcafe_domain::projection::actors::CompactActor;
use agentcafe_domain::projection::{PROJECTION_VERSION, RoomProjection};
use redis::Pipeline;
use serde::Serialize;

use crate::connection::{RedisConnection, RedisUnavailable, RedisUse};
use crate::keys::{Keys, ROOM_PARTS, RoomName};

/// The read models of one projector.
pub struct ReadModels {
    connection: Arc<RedisConnection>,
    keys: Keys,
    /// What the read models depend on beside the log. Another projector cannot resume from them.
    shape: String,
    limits: ReadModelLimits,
}

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct ReadModelLimits {
    /// The most events in the stream of a room.
    pub stream_maxlen: u64,
    /// How long presence is kept after the projector stopped; none: forever.
    pub presence_ttl: Option<Duration>,
}

/// An event for the stream of its room.
#[derive(Clone, Debug)]
pub struct StreamEntry {
    /// The position of the event in the log.
    pub sequence: Sequence,
    /// The fields of the entry, in order.
    pub fields: [(&'static str, String); 9],
}

/// The changes of a room since it was last written.
pub struct RoomWrite<'a> {
    /// The room.
    pub room: &'a RoomName,
    /// The state after them.
    pub projection: &'a RoomProjection,
    /// The new events, in order.
    pub entries: Vec<StreamEntry>,
}

/// What Redis holds of a room.
#[derive(Debug)]
pub enum StoredRoom {
    /// Nothing, and nothing was ever written.
    New,
    /// The state as it was last written.
    Stored(Box<RoomProjection>),
    /// Nothing valid although it was written: someone else changed the keys.
    Missing,
}

/// The outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// Everything was written.
    Committed,
    /// Nothing was written: the stored cursor is not the expected one. Another projector wrote, or Redis lost data.
    Conflict,
}

impl ReadModels {
    /// The read models of the rooms in `scope`.
    #[must_use]
    pub fn new(connection: Arc<RedisConnection>, keys: Keys, scope: &str, limits: ReadModelLimits) -> Self {
        let shape = format!("fold {PROJECTION_VERSION}, {} events, {scope}", limits.stream_maxlen);
        Self { connection, keys, shape, limits }
    }

    /// The connection.
    #[must_use]
    pub fn connection(&self) -> &Arc<RedisConnection> {
        &self.connection
    }

    /// The stored cursor; none if no projector with this configuration has written.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis does not answer.
    pub async fn cursor(&self) -> Result<Option<Sequence>, RedisUnavailable> {
        let mut pipe = redis::pipe();
        pipe.cmd("MGET").arg(self.keys.projector("cursor")).arg(self.keys.projector("shape"));
        let ((cursor, shape),): ((Option<u64>, Option<String>),) =
            self.connection.query(RedisUse::ReadModelReads, &pipe).await?;
        Ok(cursor.filter(|_| shape.as_ref() == Some(&self.shape)).map(Sequence))
    }

    /// The id of the log that the cursor is of; none if no projector has written it.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis does not answer.
    pub async fn log_id(&self) -> Result<Option<String>, RedisUnavailable> {
        let mut pipe = redis::pipe();
        let (log_id,) = self
            .connection
            .query(RedisUse::ReadModelReads, pipe.cmd("GET").arg(self.keys.projector("log")))
            .await?;
        Ok(log_id)
    }

    /// Writes the id of the log, before the first cursor in it.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis does not answer.
    pub async fn set_log_id(&self, log_id: &str) -> Result<(), RedisUnavailable> {
        let mut pipe = redis::pipe();
        self.connection
            .query(
                RedisUse::ReadModelUpkeep,
                pipe.cmd("SET").arg(self.keys.projector("log")).arg(log_id).ignore(),
            )
            .await
    }

    /// Removes everything that a projector wrote, while `owner` holds the lock. The cursor is removed first, so that an interrupted
    /// removal is repeated.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis does not answer, or another projector has taken the lock.
    pub async fn clear(&self, owner: &str, ttl: Duration) -> Result<(), RedisUnavailable> {
        let mut pipe = redis::pipe();
        pipe.cmd("DEL").arg(&["cursor", "shape", "log"].map(|part| self.keys.projector(part))).ignore();
        pipe.cmd("DEL").arg(&[self.keys.projector("rooms"), self.keys.projector("present")]).ignore();
        self.connection.query::<()>(RedisUse::ReadModelUpkeep, &pipe).await?;
        let mut cursor = "0".to_owned();
        loop {
            if !self.acquire_lock(owner, ttl).await? {
                return Err(RedisUnavailable("another projector has taken the lock".to_owned()));
            }
            let (next, found) =
                self.connection.scan(RedisUse::ReadModelUpkeep, &self.keys.rooms_pattern(), &cursor).await?;
            let ours: Vec<String> = found.into_iter().filter(|key| self.keys.is_projected(key)).collect();
            if !ours.is_empty() {
                self.connection
                    .query::<()>(RedisUse::ReadModelUpkeep, redis::pipe().cmd("UNLINK").arg(ours).ignore())
                    .await?;
            }
            if next == "0" {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// What Redis holds of rooms, in their order.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis does not answer.
    pub async fn load(&self, rooms: &[RoomName]) -> Result<Vec<StoredRoom>, RedisUnavailable> {
        if rooms.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for room in rooms {
            pipe.cmd("SISMEMBER").arg(self.keys.projector("rooms")).arg(room.as_str());
            pipe.cmd("GET").arg(self.keys.room(room, "fold"));
        }
        let answers: Vec<redis::Value> = self.connection.query(RedisUse::ReadModelReads, &pipe).await?;
        let read = |pair: &[redis::Value]| -> Option<StoredRoom> {
            let is_member: bool = redis::from_redis_value(pair[0].clone()).ok()?;
            let stored: Option<String> = redis::from_redis_value(pair[1].clone()).ok()?;
            Some(match stored.map(|text| serde_json::from_str(&text)) {
                Some(Ok(projection)) => StoredRoom::Stored(Box::new(projection)),
                Some(Err(_)) => StoredRoom::Missing,
                None if is_member => StoredRoom::Missing,
                None => StoredRoom::New,
            })
        };
        Ok(answers.chunks_exact(2).map(|pair| read(pair).unwrap_or(StoredRoom::Missing)).collect())
    }

    /// The rooms that had present actors when they were last written.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis does not answer.
    pub async fn present(&self) -> Result<Vec<RoomName>, RedisUnavailable> {
        let (names,): (Vec<String>,) = self
            .connection
            .query(
                RedisUse::ReadModelReads,
                redis::pipe().cmd("SMEMBERS").arg(self.keys.projector("present")),
            )
            .await?;
        Ok(names.into_iter().map(RoomName::from_key_part).collect())
    }

    /// The number of rooms with read models.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis does not answer.
    pub async fn room_count(&self) -> Result<u64, RedisUnavailable> {
        let (count,) = self
            .connection
            .query(RedisUse::ReadModelReads, redis::pipe().cmd("SCARD").arg(self.keys.projector("rooms")))
            .await?;
        Ok(count)
    }

    /// Takes or renews the projector's lock for `ttl`; `false` if another projector holds it.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis does not answer.
    pub async fn acquire_lock(&self, owner: &str, ttl: Duration) -> Result<bool, RedisUnavailable> {
        let key = self.keys.projector("lock");
        let ms = whole_ms(ttl);
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(&key).arg(owner).arg("NX").arg("PX").arg(ms).ignore();
        pipe.cmd("GET").arg(&key);
        let (holder,): (Option<String>,) = self.connection.query(RedisUse::ProjectorLock, &pipe).await?;
        if holder.as_deref() != Some(owner) {
            return Ok(false);
        }
        self.connection
            .query::<()>(RedisUse::ProjectorLock, redis::pipe().cmd("PEXPIRE").arg(&key).arg(ms).ignore())
            .await?;
        Ok(true)
    }

    /// Releases the lock, if `owner` holds it.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis does not answer.
    pub async fn release_lock(&self, owner: &str) -> Result<(), RedisUnavailable> {
        let key = self.keys.projector("lock");
        let (holder,): (Option<String>,) =
            self.connection.query(RedisUse::ProjectorLock, redis::pipe().cmd("GET").arg(&key)).await?;
        if holder.as_deref() == Some(owner) {
            self.connection
                .query::<()>(RedisUse::ProjectorLock, redis::pipe().cmd("DEL").arg(&key).ignore())
                .await?;
        }
        Ok(())
    }

    /// Writes rooms and the new cursor in one transaction, if the stored cursor is `before`.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis does not answer; the write may have been committed.
    pub async fn write(
        &self,
        before: Option<Sequence>,
        cursor: Sequence,
        rooms: Vec<RoomWrite<'_>>,
        now: Timestamp,
    ) -> Result<WriteOutcome, RedisUnavailable> {
        let mut session = self.connection.session(RedisUse::ReadModelWrites)?;
        let mut check = redis::pipe();
        check.cmd("WATCH").arg(self.keys.projector("cursor")).ignore();
        check.cmd("GET").arg(self.keys.projector("cursor"));
        let (found,): (Option<u64>,) = session.query(RedisUse::ReadModelReads, &check).await?;
        if found.map(Sequence) != before {
            session.query::<()>(RedisUse::ReadModelReads, redis::pipe().cmd("UNWATCH").ignore()).await?;
            return Ok(WriteOutcome::Conflict);
        }
        let mut pipe = redis::pipe();
        pipe.atomic();
        for write in rooms {
            self.write_room(&mut pipe, write, now);
        }
        pipe.cmd("SET").arg(self.keys.projector("cursor")).arg(cursor.0).ignore();
        pipe.cmd("SET").arg(self.keys.projector("shape")).arg(&self.shape).ignore();
        // A transaction whose watched cursor changed is not executed and answers nil.
        let done: Option<redis::Value> = session.query(RedisUse::ReadModelWrites, &pipe).await?;
        Ok(if done.is_some() { WriteOutcome::Committed } else { WriteOutcome::Conflict })
    }

    fn write_room(&self, pipe: &mut Pipeline, write: RoomWrite<'_>, now: Timestamp) {
        let RoomWrite { room, projection, entries } = write;
        let [state, snapshot, _, chat, orders, stream, fold] =
            ROOM_PARTS.map(|part| self.keys.room(room, part));
        pipe.cmd("SET").arg(state).arg(json(&projection.state())).ignore();
        pipe.cmd("SET").arg(snapshot).arg(json(&projection.compact())).ignore();
        pipe.cmd("SET").arg(fold).arg(json(projection)).ignore();
        replace_list(pipe, &chat, &projection.chat());
        replace_list(pipe, &orders, &projection.orders());
        let max = usize::try_from(self.limits.stream_maxlen).unwrap_or(usize::MAX);
        let skipped = entries.len().saturating_sub(max);
        for StreamEntry { sequence, fields } in entries.into_iter().skip(skipped) {
            pipe.cmd("XADD").arg(&stream).arg("MAXLEN").arg("=").arg(self.limits.stream_maxlen);
            pipe.arg(format!("{sequence}-0"));
            for (name, value) in fields {
                pipe.arg(name).arg(value);
            }
            pipe.ignore();
        }
        pipe.cmd("SADD").arg(self.keys.projector("rooms")).arg(room.as_str()).ignore();
        self.write_present(pipe, room, projection, now);
    }

    /// Writes the present actors of rooms again, after presences have expired.
    ///
    /// # Errors
    /// [`RedisUnavailable`] if Redis does not answer.
    pub async fn write_presence<'a>(
        &self,
        rooms: impl Iterator<Item = (&'a RoomName, &'a RoomProjection)>,
        now: Timestamp,
    ) -> Result<(), RedisUnavailable> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        for (room, projection) in rooms {
            self.write_present(&mut pipe, room, projection, now);
        }
        if pipe.is_empty() { Ok(()) } else { self.connection.query(RedisUse::ReadModelUpkeep, &pipe).await }
    }

    fn write_present(
        &self,
        pipe: &mut Pipeline,
        room: &RoomName,
        projection: &RoomProjection,
        now: Timestamp,
    ) {
        let key = self.keys.room(room, "presence");
        let present = present(projection, now);
        pipe.cmd("DEL").arg(&key).ignore();
        if present.is_empty() {
            pipe.cmd("SREM").arg(self.keys.projector("present")).arg(room.as_str()).ignore();
            return;
        }
        pipe.cmd("SADD").arg(self.keys.projector("present")).arg(room.as_str()).ignore();
        pipe.cmd("HSET").arg(&key);
        for actor in &present {
            pipe.arg(actor.actor_id.as_str()).arg(json(actor));
        }
        pipe.ignore();
        if let Some(ttl) = self.limits.presence_ttl {
            let longest = present.iter().map(|actor| time_left(actor, now).unwrap_or(ttl)).max();
            let ms = whole_ms(longest.unwrap_or(ttl).min(ttl)).max(1);
            pipe.cmd("PEXPIRE").arg(&key).arg(ms).ignore();
        }
    }
}

/// The present actors of a room: active, and not expired.
#[must_use]
pub fn present(projection: &RoomProjection, now: Timestamp) -> Vec<CompactActor> {
    let mut present = projection.active_actors();
    present.retain(|actor| time_left(actor, now).is_none_or(|time| !time.is_zero()));
    present
}

/// The time until an actor's presence expires; none if it never does.
fn time_left(actor: &CompactActor, now: Timestamp) -> Option<Duration> {
    let ends_at = actor.presence.as_ref()?.expires_at?;
    let ms = ends_at.as_millis().saturating_sub(now.as_millis());
    Some(Duration::from_millis(u64::try_from(ms).unwrap_or_default()))
}

fn replace_list<T: Serialize>(pipe: &mut Pipeline, key: &str, entries: &[T]) {
    pipe.cmd("DEL").arg(key).ignore();
    if !entries.is_empty() {
        pipe.cmd("RPUSH").arg(key).arg(entries.iter().map(json).collect::<Vec<_>>()).ignore();
    }
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("a read model has text keys and finite numbers")
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
