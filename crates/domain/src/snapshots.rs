//! Snapshots: what agents save of a room, or of themselves in it, version by version, for a while or for good.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::kernel::{
    ACTOR_ID, ActorId, ActorInRoom, Cell, Command, CommandContext, CommandError, Comparison, DomainError,
    Field, Fields, Key, Query, Record, RecordQuery, Reply, RoomId, StepCode, Success, TenantId, Timestamp,
    payloads, record, response, wire_enum,
};
use crate::permissions;
use crate::tables::access::{self, AccessRequirement};

/// The largest state, in bytes of JSON.
pub const MAX_STATE_BYTES: usize = 256 << 10;
/// How long a snapshot may be kept, in seconds: up to a year.
const TTL_SECONDS: std::ops::RangeInclusive<i64> = 1..=31_536_000;
/// How long it is kept by default.
const DEFAULT_TTL_SECONDS: i64 = 3_600;
const STATE: Field = Field::new(
    "state",
    "What is saved: at most 256 KiB of JSON. Default: an empty object.",
    r#"{"tables":{"table_1":"free"}}"#,
)
.up_to(MAX_STATE_BYTES)
.in_example();
const TTL: Field =
    Field::new("ttlSeconds", "How long it is kept, in seconds; null: for good. Default: 3600.", "3600");
/// Its label in policies.
const ACTION: &str = "snapshot_create";
/// The value of the actor column in keys of snapshots of rooms.
const NO_ACTOR: &str = "-";

payloads! {
    /// A snapshot of a room or an actor was created.
    SnapshotCreated {
        /// What it is of.
        #[schemars(with = "SnapshotScope")]
        scope: String,
        /// Its version: 1 for the first, then increasing by 1.
        version: u64,
        /// When it expires; null: never.
        expires_at: Option<Timestamp>,
        /// The room, and the actor if there is one, that it is of.
        snapshot_ref: SnapshotRef,
    }
}

/// The room, and the actor if there is one, that a snapshot is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotRef {
    /// The room.
    pub room_id: RoomId,
    /// The actor; none for a snapshot of the room.
    pub actor_id: Option<ActorId>,
}

wire_enum! {
    /// What a snapshot is of.
    #[derive(JsonSchema)]
    pub enum SnapshotScope {
        /// A room.
        Room = "room",
        /// An actor in a room.
        Agent = "agent",
    }
}

/// What was saved. It never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// What it is of.
    pub scope: SnapshotScope,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// The actor; none if it is the room's.
    pub actor_id: Option<ActorId>,
    /// 1 for the first, then increasing by 1, also when older ones are gone.
    pub version: u64,
    /// What was saved.
    pub state: Map<String, Value>,
    /// When it was saved.
    pub created_at: Timestamp,
    /// From when on it is not there any more; never, if none.
    pub expires_at: Option<Timestamp>,
}

// Snapshots that never expire sort behind all others, so that one comparison finds those that exist.
record!(Snapshot in "snapshots" as snapshot:
    [tenant_id, room_id, scope, actor_id = actor_cell(&snapshot.actor_id), version]
    expires_at = snapshot.expires_at.map_or(i64::MAX, Timestamp::as_millis));

/// The last version that was given: it outlives the snapshots.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastVersion {
    #[serde(flatten)]
    of: SnapshotSubject,
    version: u64,
}

record!(LastVersion in "snapshot_versions" as last:
    [tenant_id = &last.of.tenant_id, room_id = &last.of.room_id, scope = &last.of.scope,
     actor_id = actor_cell(&last.of.actor_id)]);

fn actor_cell(actor: &Option<ActorId>) -> Cell {
    actor.as_ref().map_or_else(|| NO_ACTOR.into(), Cell::from)
}

/// What snapshots are of: a room, or an actor in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotSubject {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// Which of both.
    pub scope: SnapshotScope,
    /// The actor; none for a room.
    pub actor_id: Option<ActorId>,
}

impl SnapshotSubject {
    fn key(&self) -> Key {
        vec![
            (&self.tenant_id).into(),
            (&self.room_id).into(),
            (&self.scope).into(),
            actor_cell(&self.actor_id),
        ]
    }

    /// The actor as scopes of idempotency keys name it.
    pub fn actor_or_none(&self) -> &str {
        self.actor_id.as_ref().map_or(NO_ACTOR, ActorId::as_str)
    }

    /// The newest snapshot that has not expired at `now`, or the one with this version.
    pub fn newest(&self, version: Option<u64>, now: Timestamp) -> RecordQuery {
        let [tenant, room, scope, actor]: [Cell; 4] =
            self.key().try_into().expect("the key has four columns");
        RecordQuery::all::<Snapshot>("version", 1)
            .newest_first()
            .is("tenant_id", tenant)
            .is("room_id", room)
            .is("scope", scope)
            .is("actor_id", actor)
            .is_if_given("version", version.as_ref())
            .only("expires_at", Comparison::Above, now)
    }
}

/// `POST /v1/snapshots/{room|agent}`: saves a state.
pub struct CreateSnapshot {
    actor: ActorInRoom,
    of: SnapshotSubject,
    /// The state and its time to live in seconds, or why they are invalid; checked after the rights of the actor.
    what: Result<(Map<String, Value>, Option<i64>), DomainError>,
}

response! {
    /// The answer to a [`CreateSnapshot`].
    CreateSnapshotResponse {
        /// The snapshot that was saved.
        snapshot: Snapshot,
    }
}

impl CreateSnapshot {
    /// Reads the body.
    ///
    /// # Errors
    /// A field that identifies the actor is not valid, or the state is no object; the command refuses the rest when it is decided.
    pub fn read(fields: &Fields, scope: SnapshotScope) -> Result<Self, DomainError> {
        let tenant_id = fields.tenant_or_default()?;
        let room_id = fields.room_or_main()?;
        let (actor_id, subject) = match scope {
            SnapshotScope::Room => (fields.actor_or_system(ACTOR_ID)?, None),
            SnapshotScope::Agent => {
                fields.required_actor(ACTOR_ID).map(|actor| (actor.clone(), Some(actor)))?
            }
        };
        let state = fields.object(STATE)?.unwrap_or_default();
        Ok(Self {
            of: SnapshotSubject {
                tenant_id: tenant_id.clone(),
                room_id: room_id.clone(),
                scope,
                actor_id: subject,
            },
            actor: ActorInRoom { tenant_id, room_id, actor_id },
            what: ttl_seconds(fields).map(|ttl| (state, ttl)),
        })
    }

    /// The actor that saves.
    pub fn actor(&self) -> &ActorInRoom {
        &self.actor
    }

    /// What is saved.
    pub fn of(&self) -> &SnapshotSubject {
        &self.of
    }
}

/// How long it is kept, in seconds; null means for ever.
fn ttl_seconds(fields: &Fields) -> Result<Option<i64>, DomainError> {
    let given = fields.bounded_integer(TTL, TTL_SECONDS)?;
    let for_ever = fields.body().and_then(|body| body.get(TTL.name)).is_some_and(Value::is_null);
    Ok(if for_ever { None } else { given.or(Some(DEFAULT_TTL_SECONDS)) })
}

impl Command for CreateSnapshot {
    fn reads(&self) -> Vec<Query> {
        let own = [access::read(&self.actor), Query::one::<LastVersion>(self.of.key())];
        permissions::reads(&self.actor).into_iter().chain(own).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        access::check(ctx, &self.actor, AccessRequirement::new(ACTION))?;
        permissions::not_overridden(ctx, &self.actor, ACTION)?;
        let (state, ttl_seconds) = self.what.clone()?;
        let last: Option<LastVersion> = ctx.get(self.of.key())?;
        let version = last.map_or(0, |last| last.version) + 1;
        let SnapshotSubject { tenant_id, room_id, scope, actor_id } = self.of.clone();
        let expires_at = ttl_seconds.map(|seconds| ctx.now.plus_ms(seconds * 1_000));
        let event = SnapshotCreated {
            scope: scope.as_str().to_owned(),
            version,
            expires_at,
            snapshot_ref: SnapshotRef { room_id: room_id.clone(), actor_id: actor_id.clone() },
        };
        ctx.append(&self.actor, &event, None)?;
        let created_at = ctx.now;
        let snapshot =
            Snapshot { scope, tenant_id, room_id, actor_id, version, state, created_at, expires_at };
        ctx.put(&snapshot);
        ctx.put(&LastVersion { of: self.of.clone(), version });
        ctx.step(StepCode::SnapshotCreated, json!({ "scope": scope.as_str(), "version": version }));
        Ok(CreateSnapshotResponse::reply(ctx, Success::Created, snapshot))
    }
}

/// Deletes snapshots that have expired. It reads nothing: a snapshot never changes, and its version is never given again.
pub struct DeleteExpiredSnapshots {
    /// Those of [`DeleteExpiredSnapshots::due`].
    pub expired: Vec<Snapshot>,
}

impl DeleteExpiredSnapshots {
    /// The most snapshots that one command deletes: they are read before, and may be large.
    pub const BATCH: usize = 50;

    /// The snapshots that have expired at `now`.
    pub fn due(now: Timestamp) -> RecordQuery {
        RecordQuery::all::<Snapshot>("expires_at", Self::BATCH).only("expires_at", Comparison::AtMost, now)
    }
}

impl Command for DeleteExpiredSnapshots {
    fn reads(&self) -> Vec<Query> {
        Vec::new()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        for snapshot in &self.expired {
            ctx.delete::<Snapshot>(snapshot.key());
        }
        Ok(Reply::new(Success::Ok, &self.expired.len()))
    }
}
