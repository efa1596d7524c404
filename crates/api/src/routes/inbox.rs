//! `GET /v1/inbox` and the acknowledgements.

use agentcafe_domain::{
    inbox::{AckInboxItem, AckInboxItems, InboxItem, UnreadCount, unread_counts},
    kernel::{
        error::DomainError,
        fields::Fields,
        ids::{ActorId, RoomId, Sequence, TenantId},
        record::{Comparison, RecordQuery},
    },
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer,
    app::App,
    error::ApiError,
    input::{PathId, ReadRequest, Subject, WriteRequest},
};

const LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;

/// What a list of inbox items is asked for.
pub(crate) struct InboxQuery {
    tenant: TenantId,
    room: Option<RoomId>,
    actor: Option<ActorId>,
    unread_only: bool,
    cursor: Option<Sequence>,
    limit: usize,
    descending: bool,
}

impl InboxQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            room: query.room("roomId")?,
            actor: query.actor("actorId")?,
            unread_only: query.flag("unreadOnly")?.unwrap_or(false),
            cursor: query.sequence("cursor")?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
            descending: query.is_descending(),
        })
    }

    fn items(&self) -> RecordQuery {
        let mut find = RecordQuery::all::<InboxItem>("inbox_seq", self.limit)
            .is("tenant_id", &self.tenant)
            .is_if_given("actor_id", self.actor.as_ref())
            .is_if_given("room_id", self.room.as_ref())
            .is_if_given("acked", self.unread_only.then_some(false));
        find.descending = self.descending;
        let Some(cursor) = self.cursor else { return find };
        let beyond = if self.descending { Comparison::Below } else { Comparison::Above };
        find.only("inbox_seq", beyond, i64::try_from(cursor.0).unwrap_or(i64::MAX))
    }
}

/// The unread items of an actor, newest first.
pub(crate) fn newest_unread(tenant: &TenantId, actor: &ActorId, limit: usize) -> RecordQuery {
    RecordQuery::all::<InboxItem>("inbox_seq", limit)
        .newest_first()
        .is("tenant_id", tenant)
        .is("actor_id", actor)
        .is("acked", false)
}

/// The answer to a list.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InboxResponse {
    tenant_id: TenantId,
    room_id: Option<RoomId>,
    actor_id: Option<ActorId>,
    unread_only: bool,
    order: &'static str,
    count: usize,
    next_cursor: Sequence,
    unread_count: u64,
    projected_unread_count: Option<u64>,
    items: Vec<InboxItem>,
}

pub(crate) async fn list(request: ReadRequest) -> Result<Response, ApiError> {
    let inbox = InboxQuery::read(&request.query)?;
    let store = &request.app.engine.store;
    let counts = unread_counts(&inbox.tenant, inbox.room.as_ref(), inbox.actor.as_ref());
    let counts: Vec<UnreadCount> = store.find(counts).await?;
    let items: Vec<InboxItem> = store.find(inbox.items()).await?;
    let given = inbox.cursor.unwrap_or(Sequence::START);
    let projected_unread_count = projected(&request.app, &inbox).await;
    Ok(answer::found(&InboxResponse {
        tenant_id: inbox.tenant,
        room_id: inbox.room,
        actor_id: inbox.actor,
        unread_only: inbox.unread_only,
        order: if inbox.descending { "desc" } else { "asc" },
        count: items.len(),
        next_cursor: items.last().map_or(given, |item| item.inbox_seq),
        unread_count: counts.iter().map(|count| count.unread).sum(),
        projected_unread_count,
        items,
    }))
}

/// The copy of the count that Redis has, for an actor in a room; none if Redis is away.
async fn projected(app: &App, inbox: &InboxQuery) -> Option<u64> {
    let redis = app.engine.redis.as_ref()?;
    redis.unread_count(&inbox.tenant, inbox.room.as_ref()?, inbox.actor.as_ref()?).await
}

pub(crate) async fn ack_one(PathId(id): PathId, request: WriteRequest) -> Result<Response, ApiError> {
    let command = AckInboxItem::read(&id, &request.query, &request.body)?;
    let (tenant, room, actor) = command.owner();
    let (tenant, room, actor) = (tenant.clone(), room.cloned(), actor.clone());
    let inbox_id = command.inbox_id().to_string();
    let scope = [tenant.as_str(), actor.as_str(), "inbox", &inbox_id, "ack"];
    let subject = Subject { tenant: &tenant, room: room.as_ref(), actor: Some(&actor) };
    request.execute(subject, &scope, command).await
}

pub(crate) async fn ack_many(request: WriteRequest) -> Result<Response, ApiError> {
    let command = AckInboxItems::read(&request.body)?;
    let (tenant, room, actor) = command.owner();
    let (tenant, room, actor) = (tenant.clone(), room.cloned(), actor.clone());
    let scope_room = room.as_ref().map_or("all", RoomId::as_str);
    let scope = [tenant.as_str(), actor.as_str(), "inbox", "ack", scope_room];
    let subject = Subject { tenant: &tenant, room: room.as_ref(), actor: Some(&actor) };
    request.execute(subject, &scope, command).await
}
