//! What the projector keeps: read models of rooms, their streams, and how far it has come, in one transaction.

use std::{sync::Arc, time::Duration};

use agentcafe_domain::{
    kernel::{ids::Sequence, time::Timestamp},
    projection::{PROJECTION_VERSION, RoomProjection, actors::CompactActor},
};
use redis::Pipeline;
use serde::Serialize;

use crate::{
    connection::{Away, RedisConnection},
    keys::{Keys, ROOM_PARTS, RoomName},
};

/// How many keys are looked at, or deleted, at once.
const KEYS_AT_ONCE: usize = 500;

/// Where the projector keeps its read models, and how.
pub struct ReadModels {
    connection: Arc<RedisConnection>,
    keys: Keys,
    shape: String,
    stream_maxlen: u64,
    presence_ttl: Option<Duration>,
}

/// How much is kept, and how long.
#[derive(Clone, Copy, Debug)]
pub struct ReadModelLimits {
    /// The most events in the stream of a room.
    pub stream_maxlen: u64,
    /// How long who is present stays known when the projector is gone; none: for ever.
    pub presence_ttl: Option<Duration>,
}

/// An event for the stream of its room.
#[derive(Clone, Debug)]
pub struct StreamEntry {
    /// Its place in the log.
    pub sequence: Sequence,
    /// Names and values, in order.
    pub fields: [(&'static str, String); 9],
}

/// What happened in a room since it was written last.
pub struct RoomWrite<'a> {
    /// The room.
    pub room: &'a RoomName,
    /// How it is now.
    pub projection: &'a RoomProjection,
    /// The new events, in order.
    pub entries: Vec<StreamEntry>,
}

/// What is known of a room.
#[derive(Debug)]
pub enum Known {
    /// Nothing: nothing ever happened there.
    New,
    /// How it was.
    Aside(Box<RoomProjection>),
    /// There should be something, but there is not: somebody else removes what is ours.
    Missing,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All of it is there.
    Whole,
    /// Nothing of it: what is there is not what was written last. Somebody else writes, or Redis lost something.
    Overtaken,
}

impl ReadModels {
    /// Read models of what `scope` names, behind a link.
    #[must_use]
    pub fn new(connection: Arc<RedisConnection>, keys: Keys, scope: &str, limits: ReadModelLimits) -> Self {
        let ReadModelLimits { stream_maxlen, presence_ttl } = limits;
        let shape = format!("fold {PROJECTION_VERSION}, {stream_maxlen} events, {scope}");
        Self { connection, keys, shape, stream_maxlen, presence_ttl }
    }

    /// The connection.
    #[must_use]
    pub fn connection(&self) -> &Arc<RedisConnection> {
        &self.connection
    }

    /// How far this kind of projector has come; none if it has not begun.
    ///
    /// # Errors
    /// [`Away`] if Redis cannot be asked.
    pub async fn cursor(&self) -> Result<Option<Sequence>, Away> {
        let mut pipe = redis::pipe();
        pipe.cmd("MGET").arg(self.keys.cursor()).arg(self.keys.shape());
        let ((cursor, shape),): ((Option<u64>, Option<String>),) = self.connection.query(&pipe).await?;
        Ok(cursor.filter(|_| shape.as_ref() == Some(&self.shape)).map(Sequence))
    }

    /// Removes everything that a projector wrote here, as long as one has the right to write. Broken off, it can be begun
    /// again: the cursor goes first.
    ///
    /// # Errors
    /// [`Away`] if Redis cannot be asked, or another projector has taken over.
    pub async fn clear(&self, who: &str, time: Duration) -> Result<(), Away> {
        let mut pipe = redis::pipe();
        pipe.cmd("DEL").arg(&[self.keys.cursor(), self.keys.shape()]).ignore();
        pipe.cmd("DEL").arg(&[self.keys.rooms(), self.keys.present()]).ignore();
        self.connection.query::<()>(&pipe).await?;
        let mut place = "0".to_owned();
        loop {
            if !self.hold(who, time).await? {
                return Err(Away("another projector has taken over".to_owned()));
            }
            let mut pipe = redis::pipe();
            pipe.cmd("SCAN").arg(&place).arg("MATCH").arg(self.keys.rooms_pattern());
            pipe.arg("COUNT").arg(KEYS_AT_ONCE);
            let ((next, found),): ((String, Vec<String>),) = self.connection.query(&pipe).await?;
            let ours: Vec<String> = found.into_iter().filter(|key| self.keys.is_projected(key)).collect();
            if !ours.is_empty() {
                self.connection.query::<()>(redis::pipe().cmd("UNLINK").arg(ours).ignore()).await?;
            }
            if next == "0" {
                return Ok(());
            }
            place = next;
        }
    }

    /// What is known of rooms, in their order.
    ///
    /// # Errors
    /// [`Away`] if Redis cannot be asked.
    pub async fn known(&self, rooms: &[RoomName]) -> Result<Vec<Known>, Away> {
        if rooms.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = redis::pipe();
        for room in rooms {
            pipe.cmd("SISMEMBER").arg(self.keys.rooms()).arg(room.as_str());
            pipe.cmd("GET").arg(self.keys.room(room, "fold"));
        }
        let answers: Vec<redis::Value> = self.connection.query(&pipe).await?;
        let read = |pair: &[redis::Value]| -> Option<Known> {
            let is_member: bool = redis::from_redis_value(pair[0].clone()).ok()?;
            let aside: Option<String> = redis::from_redis_value(pair[1].clone()).ok()?;
            Some(match aside.map(|text| serde_json::from_str(&text)) {
                Some(Ok(projection)) => Known::Aside(Box::new(projection)),
                Some(Err(_)) => Known::Missing,
                None if is_member => Known::Missing,
                None => Known::New,
            })
        };
        Ok(answers.chunks_exact(2).map(|pair| read(pair).unwrap_or(Known::Missing)).collect())
    }

    /// The rooms in which somebody was when they were written last.
    ///
    /// # Errors
    /// [`Away`] if Redis cannot be asked.
    pub async fn present(&self) -> Result<Vec<RoomName>, Away> {
        let (names,): (Vec<String>,) =
            self.connection.query(redis::pipe().cmd("SMEMBERS").arg(self.keys.present())).await?;
        Ok(names.into_iter().map(RoomName::read).collect())
    }

    /// How many rooms there are read models of.
    ///
    /// # Errors
    /// [`Away`] if Redis cannot be asked.
    pub async fn room_count(&self) -> Result<u64, Away> {
        let (count,) = self.connection.query(redis::pipe().cmd("SCARD").arg(self.keys.rooms())).await?;
        Ok(count)
    }

    /// Takes, or keeps, the right to write, for so long; false if another projector has it.
    ///
    /// # Errors
    /// [`Away`] if Redis cannot be asked.
    pub async fn hold(&self, who: &str, time: Duration) -> Result<bool, Away> {
        let key = self.keys.lock();
        let ms = whole_ms(time);
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(&key).arg(who).arg("NX").arg("PX").arg(ms).ignore();
        pipe.cmd("GET").arg(&key);
        let (holder,): (Option<String>,) = self.connection.query(&pipe).await?;
        if holder.as_deref() != Some(who) {
            return Ok(false);
        }
        self.connection.query::<()>(redis::pipe().cmd("PEXPIRE").arg(&key).arg(ms).ignore()).await?;
        Ok(true)
    }

    /// Gives up the right to write.
    ///
    /// # Errors
    /// [`Away`] if Redis cannot be asked.
    pub async fn release(&self, who: &str) -> Result<(), Away> {
        let key = self.keys.lock();
        let (holder,): (Option<String>,) = self.connection.query(redis::pipe().cmd("GET").arg(&key)).await?;
        if holder.as_deref() == Some(who) {
            self.connection.query::<()>(redis::pipe().cmd("DEL").arg(&key).ignore()).await?;
        }
        Ok(())
    }

    /// Writes rooms and the new cursor, all or nothing, if the cursor is still the one that was written last.
    ///
    /// # Errors
    /// [`Away`] if Redis cannot be asked; then it is not known whether anything was written.
    pub async fn write(
        &self,
        before: Option<Sequence>,
        cursor: Sequence,
        rooms: Vec<RoomWrite<'_>>,
        now: Timestamp,
    ) -> Result<Written, Away> {
        let mut session = self.connection.session()?;
        let mut look = redis::pipe();
        look.cmd("WATCH").arg(self.keys.cursor()).ignore();
        look.cmd("GET").arg(self.keys.cursor());
        let (found,): (Option<u64>,) = session.query(&look).await?;
        if found.map(Sequence) != before {
            session.query::<()>(redis::pipe().cmd("UNWATCH").ignore()).await?;
            return Ok(Written::Overtaken);
        }
        let mut pipe = redis::pipe();
        pipe.atomic();
        for write in rooms {
            self.room(&mut pipe, write, now);
        }
        pipe.cmd("SET").arg(self.keys.cursor()).arg(cursor.0).ignore();
        pipe.cmd("SET").arg(self.keys.shape()).arg(&self.shape).ignore();
        // A transaction in which the cursor changed after all is not carried out, which is told by no answer.
        let done: Option<redis::Value> = session.query(&pipe).await?;
        Ok(if done.is_some() { Written::Whole } else { Written::Overtaken })
    }

    fn room(&self, pipe: &mut Pipeline, write: RoomWrite<'_>, now: Timestamp) {
        let RoomWrite { room, projection, entries } = write;
        let [state, snapshot, _, chat, orders, stream, aside] =
            ROOM_PARTS.map(|part| self.keys.room(room, part));
        pipe.cmd("SET").arg(state).arg(json(&projection.state())).ignore();
        pipe.cmd("SET").arg(snapshot).arg(json(&projection.reduced())).ignore();
        pipe.cmd("SET").arg(aside).arg(json(projection)).ignore();
        list(pipe, &chat, &projection.chat());
        list(pipe, &orders, &projection.orders());
        let max = usize::try_from(self.stream_maxlen).unwrap_or(usize::MAX);
        let skipped = entries.len().saturating_sub(max);
        for StreamEntry { sequence, fields } in entries.into_iter().skip(skipped) {
            pipe.cmd("XADD").arg(&stream).arg("MAXLEN").arg("=").arg(self.stream_maxlen);
            pipe.arg(format!("{sequence}-0"));
            for (name, value) in fields {
                pipe.arg(name).arg(value);
            }
            pipe.ignore();
        }
        pipe.cmd("SADD").arg(self.keys.rooms()).arg(room.as_str()).ignore();
        self.presence_of(pipe, room, projection, now);
    }

    /// Writes who is present in rooms, as time goes by.
    ///
    /// # Errors
    /// [`Away`] if Redis cannot be asked.
    pub async fn write_presence<'a>(
        &self,
        rooms: impl Iterator<Item = (&'a RoomName, &'a RoomProjection)>,
        now: Timestamp,
    ) -> Result<(), Away> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        for (room, projection) in rooms {
            self.presence_of(&mut pipe, room, projection, now);
        }
        if pipe.is_empty() { Ok(()) } else { self.connection.query(&pipe).await }
    }

    fn presence_of(&self, pipe: &mut Pipeline, room: &RoomName, projection: &RoomProjection, now: Timestamp) {
        let key = self.keys.room(room, "presence");
        let present = present(projection, now);
        pipe.cmd("DEL").arg(&key).ignore();
        if present.is_empty() {
            pipe.cmd("SREM").arg(self.keys.present()).arg(room.as_str()).ignore();
            return;
        }
        pipe.cmd("SADD").arg(self.keys.present()).arg(room.as_str()).ignore();
        pipe.cmd("HSET").arg(&key);
        for actor in &present {
            pipe.arg(actor.actor_id.as_str()).arg(json(actor));
        }
        pipe.ignore();
        if let Some(ttl) = self.presence_ttl {
            let longest = present.iter().map(|actor| left(actor, now).unwrap_or(ttl)).max();
            let ms = whole_ms(longest.unwrap_or(ttl).min(ttl)).max(1);
            pipe.cmd("PEXPIRE").arg(&key).arg(ms).ignore();
        }
    }
}

/// Who is in a room: who counts as there, and whose time has not run out.
#[must_use]
pub fn present(projection: &RoomProjection, now: Timestamp) -> Vec<CompactActor> {
    let mut present = projection.active_actors();
    present.retain(|actor| left(actor, now).is_none_or(|left| !left.is_zero()));
    present
}

/// How long an actor's presence still holds; none if that was never said.
fn left(actor: &CompactActor, now: Timestamp) -> Option<Duration> {
    let ends_at = actor.presence.as_ref()?.expires_at?;
    let ms = ends_at.as_millis().saturating_sub(now.as_millis());
    Some(Duration::from_millis(u64::try_from(ms).unwrap_or_default()))
}

fn list<T: Serialize>(pipe: &mut Pipeline, key: &str, entries: &[T]) {
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
