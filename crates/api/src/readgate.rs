//! Who may read what happens at a private table: everybody, unless `PRIVATE_TABLE_READ_GATE=members`; and who may replay it.

use agentcafe_domain::{
    actor::ActorInRoom,
    fields::Fields,
    gate::{self, Gate},
    ids::{ActorId, RoomId, TenantId},
    plan::Feature,
    refusal::{Code, Refusal},
    room::{Room, RoomType},
    session::TableSession,
};
use agentcafe_engine::Engine;
use agentcafe_store::EventFilter;

use crate::problem::Problem;

const VIEWER: &str = "viewerActorId";
const READ: Gate<'_> = Gate { action: "read", feature: None, takes_seat: false };
const REPLAY: Gate<'_> = Gate { action: "replay", feature: Some(Feature::Replay), takes_seat: false };

/// Reads who wants to read.
pub(crate) fn viewer(query: &Fields) -> Result<Option<ActorId>, Refusal> {
    query.actor(VIEWER)
}

/// Lets the viewer read what is kept of a room.
pub(crate) async fn may_read(
    engine: &Engine,
    tenant: &TenantId,
    room: &RoomId,
    viewer: Option<&ActorId>,
) -> Result<(), Problem> {
    if !engine.rules.private_tables.gates_reads {
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
) -> Result<(), Problem> {
    match room {
        Some(room) => may_read(engine, tenant, room, viewer).await,
        None if engine.rules.private_tables.gates_reads => Err(Refusal::new(Code::Forbidden)
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
) -> Result<(), Problem> {
    if !engine.rules.private_tables.gates_reads {
        return Ok(());
    }
    let tenant = filter.tenant.get_or_insert_with(TenantId::standard);
    may_list(engine, tenant, filter.room.as_ref(), viewer).await
}

/// Lets the viewer replay a room: at a private table that is part of a plan, whether reading is gated or not.
pub(crate) async fn may_replay(
    engine: &Engine,
    tenant: &TenantId,
    room: &RoomId,
    viewer: Option<&ActorId>,
) -> Result<(), Problem> {
    pass(engine, tenant, room, viewer, REPLAY, "actorId").await
}

async fn pass(
    engine: &Engine,
    tenant: &TenantId,
    room: &RoomId,
    viewer: Option<&ActorId>,
    gate: Gate<'_>,
    field: &str,
) -> Result<(), Problem> {
    let record: Option<Room> = engine.store.get(vec![tenant.into(), room.into()]).await?;
    if record.is_none_or(|room| room.room_type != RoomType::PrivateTable) {
        return Ok(());
    }
    let Some(viewer) = viewer else {
        let refusal = Refusal::missing(field).saying(format!("{VIEWER} must say who wants to read"));
        return Err(refusal.with("roomId", room.as_str()).with("action", gate.action).into());
    };
    let session = engine.store.find::<TableSession>(gate::active_session(tenant, room)).await?.pop();
    let (tenant_id, room_id, actor_id) = (tenant.clone(), room.clone(), viewer.clone());
    let actor = ActorInRoom { tenant_id, room_id, actor_id };
    gate::allow(session.as_ref(), &actor, gate, engine.now())?;
    Ok(())
}
