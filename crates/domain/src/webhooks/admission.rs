//! Access of subscriptions to rooms, and to events at private tables.

use uuid::Uuid;

use super::Subscription;
use crate::kernel::{
    ActorId, ActorInRoom, CommandContext, CommandError, DomainError, Query, RecordQuery, RoomId, TenantId,
    Timestamp,
};
use crate::keys::Principal;
use crate::permissions;
use crate::rooms::{Room, RoomType};
use crate::tables::TableSession;
use crate::tables::access::{self, AccessRequirement};
use crate::tables::plan::Feature;

/// The most sessions of a room, from the newest on, among which the one is looked for that an event happened in.
const MAX_SESSIONS: usize = 16;

/// The tenant and the room of a subscription, and the actor whose access it has.
pub(super) struct SubscriptionSubject<'a> {
    pub(super) tenant_id: &'a TenantId,
    pub(super) room_id: Option<&'a RoomId>,
    pub(super) reader: Option<&'a ActorId>,
}

/// The actor whose access to private tables a subscription gets that names `actor`: that one, if the caller may be it, else the
/// caller's own.
pub(super) fn reader(principal: &Principal, actor: Option<&ActorId>) -> Option<ActorId> {
    match principal.binding() {
        Some(binding) => binding.acting_as(actor),
        None => actor.cloned(),
    }
}

impl<'a> SubscriptionSubject<'a> {
    pub(super) fn of(subscription: &'a Subscription) -> Self {
        Self {
            tenant_id: &subscription.tenant_id,
            room_id: subscription.room_id.as_ref(),
            reader: subscription.reader(),
        }
    }

    fn actor(&self) -> Option<ActorInRoom> {
        Some(ActorInRoom::new(self.tenant_id, self.room_id?, self.reader?))
    }

    /// What [`SubscriptionSubject::check`] always reads.
    pub(super) fn reads(&self) -> Vec<Query> {
        match self.actor() {
            Some(actor) => permissions::reads(&actor).into_iter().chain([access::read(&actor)]).collect(),
            None => Vec::new(),
        }
    }

    /// Checks that the caller may have what happens there sent to it, as [`SubscriptionSubject::check`] does.
    ///
    /// # Errors
    /// As [`Principal::check_listens`] and [`SubscriptionSubject::check`].
    pub(super) fn check_for(
        &self,
        principal: &Principal,
        ctx: &CommandContext<'_>,
        action: &'static str,
    ) -> Result<(), CommandError> {
        principal.check_listens(self.room_id.is_some())?;
        self.check(ctx, action)
    }

    /// Checks a mutation of the subscription: access to a private table, then the overrides of operators.
    ///
    /// # Errors
    /// As [`access::check`] and [`permissions::not_overridden`]; `ERR_MISSING_FIELD {field: "actorId"}` at a private table.
    pub(super) fn check(&self, ctx: &CommandContext<'_>, action: &'static str) -> Result<(), CommandError> {
        let Some(room_id) = self.room_id else { return Ok(()) };
        let Some(actor) = self.actor() else {
            let room: Option<Room> = ctx.get(vec![self.tenant_id.into(), room_id.into()])?;
            let is_private = room.is_some_and(|room| room.room_type == RoomType::PrivateTable);
            let missing =
                || DomainError::missing("actorId").with("roomId", room_id.as_str()).with("action", action);
            return if is_private { Err(missing().into()) } else { Ok(()) };
        };
        let required = AccessRequirement::new(action).with_feature(Feature::EventSubscriptions);
        access::check(ctx, &actor, required)?;
        permissions::not_overridden(ctx, &actor, action)
    }
}

/// The newest sessions of a private table.
pub fn sessions_of(tenant: &TenantId, room: &RoomId) -> RecordQuery {
    RecordQuery::all::<TableSession>("updated_at", MAX_SESSIONS)
        .newest_first()
        .is("tenant_id", tenant)
        .is("room_id", room)
}

/// Whether an actor may receive an event of a private table: if it was at that table at the time of the event, and the plan
/// included subscriptions.
pub fn may_know(sessions: &[TableSession], actor: Option<&ActorId>, at: Timestamp) -> bool {
    let Some(actor) = actor else { return false };
    sessions.iter().any(|session| {
        let ends_at = session.ended_at.unwrap_or(session.expires_at);
        let covers = session.started_at <= at && at <= ends_at;
        covers && session.entitles(actor) && session.has(Feature::EventSubscriptions)
    })
}

/// The identity of a delivery: the same for every attempt, so that a receiver can drop repeats.
pub fn delivery_id(event_id: Uuid, subscription_id: Uuid) -> String {
    format!("msg_{event_id}_{subscription_id}")
}
