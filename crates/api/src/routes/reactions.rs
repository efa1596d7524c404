//! `/v1/reactions/subscriptions`: the rules by which actors react.

use agentcafe_domain::{
    kernel::{
        error::DomainError,
        fields::Fields,
        ids::{ActorId, RoomId, TenantId},
        record::{RecordQuery, SortKey},
    },
    reactions::{
        ANY_EVENT, CreateReaction, DeleteReaction, MAX_SUBSCRIPTIONS, ReactionSubscription, StoredReaction,
        UpdateReaction, manage::unknown,
    },
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    answer,
    app::App,
    error::ApiError,
    input::{PathId, ReadRequest, Subject, WriteRequest},
    paging,
};

/// What a list of reaction subscriptions is asked for.
pub(crate) struct ReactionsQuery {
    tenant: TenantId,
    room: Option<RoomId>,
    source_actor: Option<ActorId>,
    target_actor: Option<ActorId>,
    event_type: Option<String>,
    enabled: Option<bool>,
    cursor: Option<SortKey>,
    limit: usize,
}

impl ReactionsQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            room: query.room("roomId")?,
            source_actor: query.actor("sourceActorId")?,
            target_actor: query.actor("targetActorId")?,
            event_type: query.trimmed_text("eventType")?,
            enabled: query.flag("enabled")?,
            cursor: paging::cursor::<StoredReaction>(query)?,
            limit: query.limit(MAX_SUBSCRIPTIONS, MAX_SUBSCRIPTIONS)?,
        })
    }

    fn find(&self) -> RecordQuery {
        RecordQuery::all::<StoredReaction>("created_at", self.limit)
            .newest_first()
            .is("tenant_id", &self.tenant)
            .is_if_given("room_id", self.room.as_ref())
            .is_if_given("source_actor_id", self.source_actor.as_ref())
            .is_if_given("target_actor_id", self.target_actor.as_ref())
            .is_if_given("enabled", self.enabled)
            .behind(self.cursor.clone())
    }

    fn is_pulled_by_type(&self, rule: &StoredReaction) -> bool {
        let triggers = &rule.subscription.trigger_event_types;
        let pulls = |kind: &String| triggers.iter().any(|name| name == kind || name == ANY_EVENT);
        self.event_type.as_ref().is_none_or(pulls)
    }
}

/// The answer to a list.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReactionsResponse {
    subscriptions: Vec<ReactionSubscription>,
    count: usize,
    next_cursor: Option<String>,
}

pub(crate) async fn list(request: ReadRequest) -> Result<Response, ApiError> {
    let reactions = ReactionsQuery::read(&request.query)?;
    let find = reactions.find();
    // No column tells the types: all that a tenant can have are read, and cut to the page afterwards.
    let all = RecordQuery { limit: MAX_SUBSCRIPTIONS, ..find.clone() };
    let mut found: Vec<StoredReaction> = request.app.engine.store.find(all).await?;
    found.retain(|rule| reactions.is_pulled_by_type(rule));
    let is_cut = found.len() > reactions.limit;
    found.truncate(reactions.limit);
    let last = found.last().filter(|_| is_cut);
    let next_cursor = last.map(|last| paging::cursor_behind(&find, last));
    let subscriptions: Vec<_> = found.into_iter().map(|rule| rule.subscription).collect();
    Ok(answer::found(&ReactionsResponse { count: subscriptions.len(), subscriptions, next_cursor }))
}

/// The answer to a question for one.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ReactionResponse {
    subscription: ReactionSubscription,
}

/// The tenant whose subscription it must be; any if none is given.
pub(crate) fn tenant(query: &Fields) -> Result<Option<TenantId>, DomainError> {
    query.tenant("tenantId")
}

/// Who deletes, and in which tenant.
pub(crate) fn deletion(query: &Fields) -> Result<(), DomainError> {
    DeleteReaction::read("", query).map(|_| ())
}

async fn stored(app: &App, id: Option<Uuid>) -> Result<Option<StoredReaction>, ApiError> {
    match id {
        Some(id) => Ok(app.engine.store.get(StoredReaction::key_of(id)).await?),
        None => Ok(None),
    }
}

pub(crate) async fn by_id(PathId(id): PathId, request: ReadRequest) -> Result<Response, ApiError> {
    let tenant = tenant(&request.query)?;
    let found = stored(&request.app, Uuid::parse_str(&id).ok()).await?.map(|rule| rule.subscription);
    let visible = |rule: &ReactionSubscription| tenant.is_none_or(|tenant| tenant == rule.tenant_id);
    let subscription = found.filter(visible).ok_or_else(|| unknown(&id))?;
    Ok(answer::found(&ReactionResponse { subscription }))
}

pub(crate) async fn create(request: WriteRequest) -> Result<Response, ApiError> {
    let command = CreateReaction::read(&request.body, request.rules())?;
    let (tenant, room, actor) = command.subject();
    let (tenant, room, actor) = (tenant.clone(), room.cloned(), actor.cloned());
    let subject = Subject { tenant: &tenant, room: room.as_ref(), actor: actor.as_ref() };
    request.execute(subject, &[tenant.as_str(), "reactions", "create"], command).await
}

pub(crate) async fn change(PathId(id): PathId, request: WriteRequest) -> Result<Response, ApiError> {
    let command = UpdateReaction::read(&id, &request.query, &request.body, request.rules())?;
    let known = stored(&request.app, command.id()).await?;
    let (tenant, requester) = command.subject();
    let (room, actor) = about(known.as_ref(), requester);
    let subject = Subject { tenant: &tenant, room: room.as_ref(), actor: actor.as_ref() };
    let scope = [tenant.as_str(), "reactions", "PATCH", &id];
    request.execute(subject, &scope, command.expecting(known)).await
}

pub(crate) async fn delete(PathId(id): PathId, request: WriteRequest) -> Result<Response, ApiError> {
    let command = DeleteReaction::read(&id, &request.query)?;
    let known = stored(&request.app, command.id()).await?;
    let (tenant, requester) = command.subject();
    let (room, actor) = about(known.as_ref(), requester);
    let subject = Subject { tenant: &tenant, room: room.as_ref(), actor: actor.as_ref() };
    let scope = [tenant.as_str(), "reactions", "DELETE", &id];
    request.execute(subject, &scope, command.expecting(known)).await
}

/// The room and the actor that a trace names: those of the subscription, unless somebody says who asks.
fn about(known: Option<&StoredReaction>, requester: Option<&ActorId>) -> (Option<RoomId>, Option<ActorId>) {
    let rule = known.map(|known| &known.subscription);
    let actor = requester.or(rule.map(|rule| &rule.target_actor_id)).cloned();
    (rule.and_then(|rule| rule.room_id.clone()), actor)
}
