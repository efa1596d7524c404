//! Who may read what happens at a private table: everybody, unless `PRIVATE_TABLE_READ_GATE=members`; and who may replay it.

use std::collections::HashMap;

use agentcafe_domain::{
    kernel::{
        actor::ActorInRoom,
        error::{Code, DomainError},
        fields::Fields,
        ids::{ActorId, RoomId, TenantId},
    },
    rooms::{Room, RoomType},
    tables::{
        PrivateTableRules, TableSession,
        access::{self, AccessRequirement},
        plan::Feature,
    },
};
use agentcafe_engine::Engine;
use agentcafe_store::EventFilter;

use crate::error::ApiError;

const VIEWER: &str = "viewerActorId";
const READ: AccessRequirement<'_> = AccessRequirement { action: "read", feature: None, takes_seat: false };
const REPLAY: AccessRequirement<'_> =
    AccessRequirement { action: "replay", feature: Some(Feature::Replay), takes_seat: false };

/// Reads who wants to read.
pub(crate) fn viewer(query: &Fields) -> Result<Option<ActorId>, DomainError> {
    query.actor(VIEWER)
}

/// Lets the viewer read what is kept of a room.
pub(crate) async fn may_read(
    engine: &Engine,
    tenant: &TenantId,
    room: &RoomId,
    viewer: Option<&ActorId>,
) -> Result<(), ApiError> {
    if !engine.rules.get::<PrivateTableRules>().gates_reads {
        return Ok(());
    }
    pass(engine, tenant, room, viewer, READ, VIEWER).await
}

/// As [`may_read`], for lists that may be of one room or of all; where reading is gated, they must be of one.
pub(crate) async fn may_list(
    engine: &Engine,
    tenant: &TenantId,
    room: Option<&RoomId>,
    viewer: Option<&ActorId>,
) -> Result<(), ApiError> {
    match room {
        Some(room) => may_read(engine, tenant, room, viewer).await,
        None if engine.rules.get::<PrivateTableRules>().gates_reads => Err(DomainError::new(Code::Forbidden)
            .saying("only rooms can be read here (PRIVATE_TABLE_READ_GATE=members): name one as roomId")
            .with("field", "roomId")
            .into()),
        None => Ok(()),
    }
}

/// As [`may_list`], for the log: where reading is gated, a missing tenant is the standard one, as everywhere else.
pub(crate) async fn may_follow(
    engine: &Engine,
    filter: &mut EventFilter,
    viewer: Option<&ActorId>,
) -> Result<(), ApiError> {
    if !engine.rules.get::<PrivateTableRules>().gates_reads {
        return Ok(());
    }
    let tenant = filter.tenant.get_or_insert_with(TenantId::default);
    may_list(engine, tenant, filter.room.as_ref(), viewer).await
}

/// Lets the viewer read a session, also one that has ended, if it is its owner or its guest.
pub(crate) fn may_see_session(
    engine: &Engine,
    session: &TableSession,
    viewer: Option<&ActorId>,
) -> Result<(), DomainError> {
    if !engine.rules.get::<PrivateTableRules>().gates_reads
        || viewer.is_some_and(|viewer| session.entitles(viewer))
    {
        return Ok(());
    }
    let Some(viewer) = viewer else { return Err(nobody(&session.room_id, READ, VIEWER)) };
    Err(DomainError::new(Code::Forbidden)
        .saying("the viewer neither owns the session nor is invited to it")
        .with("tenantId", session.tenant_id.as_str())
        .with("roomId", session.room_id.as_str())
        .with("actorId", viewer.as_str())
        .with("action", READ.action)
        .with("sessionId", session.session_id.to_string()))
}

/// The rooms that the entries of a list are about, which may be many: what is of rooms that the viewer may not read is left out.
pub(crate) struct Rooms<'a> {
    engine: &'a Engine,
    viewer: Option<&'a ActorId>,
    known: HashMap<(TenantId, RoomId), bool>,
}

impl<'a> Rooms<'a> {
    /// No room is known yet.
    pub(crate) fn seen_by(engine: &'a Engine, viewer: Option<&'a ActorId>) -> Self {
        Self { engine, viewer, known: HashMap::new() }
    }

    /// Leaves the entries that the viewer may read; `place` says where each belongs.
    pub(crate) async fn retain<T>(
        &mut self,
        entries: &mut Vec<T>,
        place: impl Fn(&T) -> (TenantId, RoomId),
    ) -> Result<(), ApiError> {
        if !self.engine.rules.get::<PrivateTableRules>().gates_reads {
            return Ok(());
        }
        for entry in &*entries {
            let (tenant, room) = place(entry);
            if !self.known.contains_key(&(tenant.clone(), room.clone())) {
                let held = hold(self.engine, &tenant, &room, self.viewer, READ, VIEWER).await?;
                self.known.insert((tenant, room), held.is_ok());
            }
        }
        entries.retain(|entry| self.known.get(&place(entry)).copied().unwrap_or(false));
        Ok(())
    }
}

/// Lets the viewer replay a room: at a private table that is part of a plan, whether reading is gated or not.
pub(crate) async fn may_replay(
    engine: &Engine,
    tenant: &TenantId,
    room: &RoomId,
    viewer: Option<&ActorId>,
) -> Result<(), ApiError> {
    pass(engine, tenant, room, viewer, REPLAY, "actorId").await
}

async fn pass(
    engine: &Engine,
    tenant: &TenantId,
    room: &RoomId,
    viewer: Option<&ActorId>,
    table_access: AccessRequirement<'_>,
    field: &str,
) -> Result<(), ApiError> {
    Ok(hold(engine, tenant, room, viewer, table_access, field).await??)
}

/// Holds a reading against the room: what it is refused with, if it is.
async fn hold(
    engine: &Engine,
    tenant: &TenantId,
    room: &RoomId,
    viewer: Option<&ActorId>,
    table_access: AccessRequirement<'_>,
    field: &str,
) -> Result<Result<(), DomainError>, ApiError> {
    let record: Option<Room> = engine.store.get(vec![tenant.into(), room.into()]).await?;
    if record.is_none_or(|room| room.room_type != RoomType::PrivateTable) {
        return Ok(Ok(()));
    }
    let Some(viewer) = viewer else { return Ok(Err(nobody(room, table_access, field))) };
    let session = engine.store.find::<TableSession>(access::active_session(tenant, room)).await?.pop();
    let (tenant_id, room_id, actor_id) = (tenant.clone(), room.clone(), viewer.clone());
    let actor = ActorInRoom { tenant_id, room_id, actor_id };
    Ok(access::allow(session.as_ref(), &actor, table_access, engine.now()).map(|_| ()))
}

/// Nobody says who wants to read.
fn nobody(room: &RoomId, table_access: AccessRequirement<'_>, field: &str) -> DomainError {
    let error = DomainError::missing(field).saying(format!("{VIEWER} must say who wants to read"));
    error.with("roomId", room.as_str()).with("action", table_access.action)
}
