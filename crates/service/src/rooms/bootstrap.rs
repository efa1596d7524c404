//! An agent's first look: the room, its inbox and its tasks, in one call.

use agentcafe_domain::inbox::{InboxItem, UnreadCount, unread_counts};
use agentcafe_domain::kernel::{
    ActorId, Event, EventType, Field, OperationError, RecordQuery, RoomId, Sequence, TenantId,
};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::presence::Presence;
use agentcafe_domain::rooms::Room;
use agentcafe_domain::rooms::pin::PinnedContext;
use agentcafe_domain::tasks::{Task, TaskState};
use agentcafe_eventlog::LogPosition;
use agentcafe_store::{EventFilter, EventQuery};
use schemars::JsonSchema;
use serde::Serialize;

use super::active::{self, ActiveRoom, ActiveRoomPage, RoomReader};
use crate::inbox::newest_unread;
use crate::operation::{Call, Operation, parameters};
use crate::presence::active_in;
use crate::read_access;
use crate::service::Service;
use crate::tasks::unfinished_of;

const ACTOR_ID: Field =
    Field::new("actorId", "The actor whose inbox and tasks are summarised. Default: none.", "Nova")
        .of_caller();
const INCLUDE_BACKLOG: Field =
    Field::new("includeBacklog", "Whether to list open and active tasks. Default: true.", "true");
const ROOM_LIMIT: Field = Field::new("roomLimit", "The largest number of rooms that are listed.", "20");

const DEFAULT_ROOM_LIMIT: i64 = 20;
const MAX_ROOM_LIMIT: i64 = 200;
const MAX_ACTIVE_ROOMS: usize = 20;
const MAX_INBOX: usize = 20;
const MAX_ASSIGNED_TASKS: usize = 20;
const MAX_PRESENCE: usize = 100;
const MAX_ROOM_TASKS: usize = 40;
/// How far back the actor's newest message is searched, in events of all rooms: the cost does not grow with the log.
const MAX_SCANNED: u64 = 20_000;

parameters! {
    /// Reads what an agent needs to begin.
    ReadBootstrap(fields) {
        room_limit: i64 = fields.integer(ROOM_LIMIT, 1..=MAX_ROOM_LIMIT)?.unwrap_or(DEFAULT_ROOM_LIMIT),
        actor: Option<ActorId> = fields.actor(ACTOR_ID)?,
        tenant: TenantId = fields.tenant_or_default()?,
        room: RoomId = fields.room_or_main()?,
        viewer: Option<ActorId> = read_access::viewer(fields)?.or_else(|| actor.clone()),
        include_backlog: bool = fields.flag(INCLUDE_BACKLOG)?.unwrap_or(true),
    }
}

/// What an agent needs to begin.
pub struct Bootstrap {
    /// The tenant.
    pub tenant: TenantId,
    /// The room.
    pub room: RoomId,
    /// The agent, if it is named.
    pub actor: Option<ActorId>,
    /// Rooms of the tenant, the last changed first; the main room and the agent's are always among them.
    pub rooms: Vec<Room>,
    /// The rooms with the newest events, the newest first.
    pub active_rooms: Vec<ActiveRoom>,
    /// The agent's own state, if it is named.
    pub actor_view: Option<ActorView>,
    /// The state of the room.
    pub room_view: RoomView,
    /// Where to follow the log from: everything that is not in this answer comes after its head.
    pub log: LogPosition,
}

/// What waits for the actor.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActorView {
    actor_id: ActorId,
    /// The number of items that are not acknowledged.
    unread_count: u64,
    /// The thread of the newest item in the inbox.
    suggested_thread_id: Option<String>,
    /// The presence of the actor.
    presence: Option<Presence>,
    /// The newest items that are not acknowledged.
    inbox: Vec<InboxItem>,
    /// Tasks of the actor that are open or active.
    assigned_tasks: Vec<Task>,
}

/// What is going on in the room.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomView {
    room_id: RoomId,
    /// The presence of the actor.
    presence: Vec<Presence>,
    /// Tasks of the room that are open or active.
    open_or_active_tasks: Vec<Task>,
    /// The pinned context of the room; null if nothing is pinned.
    pinned_context: Option<PinnedContext>,
}

impl Operation for ReadBootstrap {
    type Output = Bootstrap;

    const SCOPES: &'static [Scope] = &[Scope::Inbox, Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<Bootstrap, OperationError> {
        let service = call.service;
        service.may_read(&self.tenant, &self.room, self.viewer.as_ref()).await?;
        // Read first: whatever happens while the rest is read comes after this head.
        let log = service.store().log_position();
        let rooms = self.rooms(call).await?;
        let reader = RoomReader { actor: self.actor.clone(), viewer: self.viewer.clone() };
        let page = ActiveRoomPage::first(MAX_ACTIVE_ROOMS);
        let active_rooms = active::list(call, &self.tenant, &reader, page).await?.rooms;
        let room_view = self.room_view(service).await?;
        let actor_view = match &self.actor {
            Some(actor) => Some(self.actor_view(call, actor.clone()).await?),
            None => None,
        };
        let Self { tenant, room, actor, .. } = self;
        Ok(Bootstrap { tenant, room, actor, rooms, active_rooms, actor_view, room_view, log })
    }
}

impl ReadBootstrap {
    async fn rooms(&self, call: &Call<'_>) -> Result<Vec<Room>, OperationError> {
        let (service, principal) = (call.service, &call.caller.principal);
        let is_reached = |room: &RoomId| principal.reaches(&self.tenant, Some(room));
        let room_limit = usize::try_from(self.room_limit).unwrap_or(1);
        let query =
            RecordQuery::all::<Room>("updated_at", room_limit).newest_first().is("tenant_id", &self.tenant);
        let mut rooms: Vec<Room> = service.find(query).await?;
        rooms.retain(|room| is_reached(&room.room_id));
        for wanted in [&RoomId::main(), &self.room].into_iter().filter(|room| is_reached(room)) {
            if rooms.iter().all(|room| room.room_id != *wanted) {
                let stored = service.get(vec![(&self.tenant).into(), wanted.into()]).await?;
                let room =
                    stored.unwrap_or_else(|| Room::without_record(self.tenant.clone(), wanted.clone()));
                rooms.insert(0, room);
            }
        }
        Ok(rooms)
    }

    async fn room_view(&self, service: &Service) -> Result<RoomView, OperationError> {
        let (tenant, room) = (&self.tenant, &self.room);
        let presence = service.find(active_in(tenant, room, MAX_PRESENCE)).await?;
        let mut open_or_active_tasks: Vec<Task> = Vec::new();
        let states = if self.include_backlog { &[TaskState::Active, TaskState::Open][..] } else { &[] };
        for state in states {
            let left = MAX_ROOM_TASKS - open_or_active_tasks.len();
            let query = RecordQuery::all::<Task>("updated_at", left)
                .newest_first()
                .is("tenant_id", tenant)
                .is("room_id", room)
                .is("state", state.as_str());
            open_or_active_tasks.extend(service.find::<Task>(query).await?);
        }
        let pinned_context = service.find(PinnedContext::active(tenant, room)).await?.pop();
        Ok(RoomView { room_id: room.clone(), presence, open_or_active_tasks, pinned_context })
    }

    async fn actor_view(&self, call: &Call<'_>, actor_id: ActorId) -> Result<ActorView, OperationError> {
        let (service, tenant) = (call.service, &self.tenant);
        // With an API key that is bound to rooms, what is in the others does not exist.
        let room = Some(&self.room).filter(|_| call.caller.principal.is_bound_to_rooms());
        let mut counts: Vec<UnreadCount> = service.find(unread_counts(tenant, room, Some(&actor_id))).await?;
        let unread = newest_unread(tenant, &actor_id, MAX_INBOX).is_if_given("room_id", room);
        let mut inbox: Vec<InboxItem> = service.find(unread).await?;
        let assigned = unfinished_of(tenant, &actor_id, MAX_ASSIGNED_TASKS).is_if_given("room_id", room);
        let mut assigned_tasks: Vec<Task> = service.find(assigned).await?;
        let viewer = self.viewer.as_ref();
        service.retain_readable(&mut counts, viewer).await?;
        service.retain_readable(&mut inbox, viewer).await?;
        service.retain_readable(&mut assigned_tasks, viewer).await?;
        let suggested_thread_id = match inbox.iter().find_map(|item| item.thread_id.clone()) {
            Some(thread) => Some(thread),
            None => self.thread_of_newest_message(service, &actor_id).await?,
        };
        Ok(ActorView {
            unread_count: counts.iter().map(|count| count.unread).sum(),
            suggested_thread_id,
            presence: service.get(vec![tenant.into(), (&self.room).into(), (&actor_id).into()]).await?,
            inbox,
            assigned_tasks,
            actor_id,
        })
    }

    /// The thread in which the actor spoke last in this room, if that is not long ago.
    async fn thread_of_newest_message(
        &self,
        service: &Service,
        actor: &ActorId,
    ) -> Result<Option<String>, OperationError> {
        let filter = EventFilter {
            tenant: Some(self.tenant.clone()),
            room: Some(self.room.clone()),
            actor: Some(actor.clone()),
            types: Some(vec![EventType::ConversationMessagePosted]),
            ..EventFilter::default()
        };
        let after = Sequence(service.store().recent_events().head().0.saturating_sub(MAX_SCANNED));
        let newest =
            service.store().events(EventQuery { after, ..EventQuery::newest(filter, 1) }).await?.events;
        let event = newest.first().and_then(|event| serde_json::from_slice::<Event>(&event.json).ok());
        Ok(event.and_then(|event| event.payload["conversation"]["threadId"].as_str().map(str::to_owned)))
    }
}
