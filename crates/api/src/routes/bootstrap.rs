//! `GET /v1/bootstrap`: where an agent is, and what waits for it, in one call.

use agentcafe_domain::{
    inbox::{InboxItem, UnreadCount, unread_counts},
    kernel::{
        error::DomainError,
        event::{Event, EventType},
        fields::Fields,
        ids::{ActorId, RoomId, Sequence, TenantId},
        record::{Comparison, RecordQuery},
    },
    presence::Presence,
    rooms::{Room, pin::PinnedContext},
    tasks::{Task, TaskState},
};
use agentcafe_store::{EventFilter, EventQuery, Store};
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Serialize;

use super::{inbox::newest_unread, presence::active_in};
use crate::{answer, error::ApiError, input::ReadRequest, read_access};

const ROOM_LIMIT: i64 = 20;
const MAX_ROOM_LIMIT: i64 = 200;
const MAX_INBOX: usize = 20;
const MAX_ASSIGNED_TASKS: usize = 20;
const MAX_PRESENCE: usize = 100;
const MAX_ROOM_TASKS: usize = 40;
/// How far back the actor's newest message is looked for, in events of all rooms: what this costs does not grow.
const MAX_LOOKED_BACK: u64 = 20_000;

/// What a bootstrap is asked for.
pub(crate) struct BootstrapQuery {
    tenant: TenantId,
    room: RoomId,
    actor: Option<ActorId>,
    viewer: Option<ActorId>,
    include_backlog: bool,
    room_limit: usize,
}

impl BootstrapQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        let room_limit = query.integer("roomLimit", 1..=MAX_ROOM_LIMIT)?.unwrap_or(ROOM_LIMIT);
        let actor = query.actor("actorId")?;
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            room: query.room("roomId")?.unwrap_or_else(RoomId::main),
            viewer: read_access::viewer(query)?.or_else(|| actor.clone()),
            actor,
            include_backlog: query.flag("includeBacklog")?.unwrap_or(true),
            room_limit: usize::try_from(room_limit).unwrap_or(1),
        })
    }
}

/// The answer.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Bootstrap {
    discovery: Discovery,
    actor: Option<ActorView>,
    room: RoomView,
    cursor: Sequence,
}

/// Where to go from here. Paths are relative and carry the ids, never a credential.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Discovery {
    canonical_api_version: &'static str,
    default_tenant_id: TenantId,
    default_room_id: RoomId,
    resolved_room_id: RoomId,
    rooms: Vec<Room>,
    stream_path: String,
    poll_path: String,
    commands_path: String,
    heartbeat_path: String,
    inbox_path: String,
    timeline_path: String,
}

/// What waits for the actor.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ActorView {
    actor_id: ActorId,
    unread_count: u64,
    suggested_thread_id: Option<String>,
    presence: Option<Presence>,
    inbox: Vec<InboxItem>,
    assigned_tasks: Vec<Task>,
}

/// What is going on in the room.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct RoomView {
    room_id: RoomId,
    presence: Vec<Presence>,
    open_or_active_tasks: Vec<Task>,
    pinned_context: Option<PinnedContext>,
}

pub(crate) async fn bootstrap(request: ReadRequest) -> Result<Response, ApiError> {
    let bootstrap = BootstrapQuery::read(&request.query)?;
    let engine = &request.app.engine;
    read_access::may_read(engine, &bootstrap.tenant, &bootstrap.room, bootstrap.viewer.as_ref()).await?;
    let store = &engine.store;
    // Read first: whatever happens while the rest is read comes after this cursor.
    let cursor = store.recent_events().head();
    let discovery = discover(store, &bootstrap).await?;
    let room = view_room(store, &bootstrap).await?;
    let actor = match &bootstrap.actor {
        Some(actor) => Some(view_actor(store, &bootstrap, actor.clone()).await?),
        None => None,
    };
    Ok(answer::found(&Bootstrap { discovery, actor, room, cursor }))
}

async fn discover(store: &Store, request: &BootstrapQuery) -> Result<Discovery, ApiError> {
    let find = RecordQuery::all::<Room>("updated_at", request.room_limit)
        .newest_first()
        .is("tenant_id", &request.tenant);
    let mut rooms: Vec<Room> = store.find(find).await?;
    for wanted in [&RoomId::main(), &request.room] {
        if rooms.iter().all(|room| room.room_id != *wanted) {
            let stored = store.get(vec![(&request.tenant).into(), wanted.into()]).await?;
            rooms.insert(
                0,
                stored.unwrap_or_else(|| Room::without_record(request.tenant.clone(), wanted.clone())),
            );
        }
    }
    let encode = |id: &str| utf8_percent_encode(id, NON_ALPHANUMERIC).to_string();
    let mut ids =
        format!("tenantId={}&roomId={}", encode(request.tenant.as_str()), encode(request.room.as_str()));
    let without_actor = ids.clone();
    if let Some(actor) = &request.actor {
        ids.push_str(&format!("&actorId={}", encode(actor.as_str())));
    }
    Ok(Discovery {
        canonical_api_version: "v1",
        default_tenant_id: TenantId::default(),
        default_room_id: RoomId::main(),
        resolved_room_id: request.room.clone(),
        rooms,
        // On these two, `actorId` would filter by author: an agent wants to hear the others.
        stream_path: format!("/v1/streams/market-events?{without_actor}"),
        timeline_path: format!("/v1/timeline?{without_actor}"),
        poll_path: format!("/v1/events/poll?{ids}"),
        commands_path: format!("/v1/commands?{ids}"),
        heartbeat_path: format!("/v1/presence/heartbeat?{ids}"),
        inbox_path: format!("/v1/inbox?{ids}"),
    })
}

async fn view_room(store: &Store, request: &BootstrapQuery) -> Result<RoomView, ApiError> {
    let (tenant, room) = (&request.tenant, &request.room);
    let presence = store.find(active_in(tenant, room, MAX_PRESENCE)).await?;
    let mut open_or_active_tasks: Vec<Task> = Vec::new();
    let states = if request.include_backlog { &[TaskState::Active, TaskState::Open][..] } else { &[] };
    for state in states {
        let left = MAX_ROOM_TASKS - open_or_active_tasks.len();
        let find = RecordQuery::all::<Task>("updated_at", left)
            .newest_first()
            .is("tenant_id", tenant)
            .is("room_id", room)
            .is("state", state.as_str());
        open_or_active_tasks.extend(store.find::<Task>(find).await?);
    }
    let pinned_context = store.find(PinnedContext::active(tenant, room)).await?.pop();
    Ok(RoomView { room_id: room.clone(), presence, open_or_active_tasks, pinned_context })
}

async fn view_actor(
    store: &Store,
    request: &BootstrapQuery,
    actor_id: ActorId,
) -> Result<ActorView, ApiError> {
    let tenant = &request.tenant;
    let counts: Vec<UnreadCount> = store.find(unread_counts(tenant, None, Some(&actor_id))).await?;
    let inbox: Vec<InboxItem> = store.find(newest_unread(tenant, &actor_id, MAX_INBOX)).await?;
    let assigned = RecordQuery::all::<Task>("updated_at", MAX_ASSIGNED_TASKS)
        .newest_first()
        .is("tenant_id", tenant)
        .is("assignee_actor_id", &actor_id)
        .only("state", Comparison::IsNot, TaskState::Done.as_str());
    let suggested_thread_id = match inbox.iter().find_map(|item| item.thread_id.clone()) {
        Some(thread) => Some(thread),
        None => thread_of_newest_message(store, request, &actor_id).await?,
    };
    Ok(ActorView {
        unread_count: counts.iter().map(|count| count.unread).sum(),
        suggested_thread_id,
        presence: store.get(vec![tenant.into(), (&request.room).into(), (&actor_id).into()]).await?,
        inbox,
        assigned_tasks: store.find(assigned).await?,
        actor_id,
    })
}

/// The thread in which the actor spoke last in this room, if that is not long ago.
async fn thread_of_newest_message(
    store: &Store,
    request: &BootstrapQuery,
    actor: &ActorId,
) -> Result<Option<String>, ApiError> {
    let filter = EventFilter {
        tenant: Some(request.tenant.clone()),
        room: Some(request.room.clone()),
        actor: Some(actor.clone()),
        types: Some(vec![EventType::ConversationMessagePosted]),
        ..EventFilter::default()
    };
    let after = Sequence(store.recent_events().head().0.saturating_sub(MAX_LOOKED_BACK));
    let newest = store.events(EventQuery { after, ..EventQuery::newest(filter, 1) }).await?.events;
    let event = newest.first().and_then(|event| serde_json::from_slice::<Event>(&event.json).ok());
    let thread =
        event.and_then(|event| event.payload["conversation"]["threadId"].as_str().map(str::to_owned));
    Ok(thread)
}
