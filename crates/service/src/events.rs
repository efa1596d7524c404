//! The log: pages of it, long polls, and streams.

use std::sync::Arc;

use agentcafe_domain::kernel::{
    Code, DomainError, EVENT_TENANT_FILTER, EventType, Field, Fields, OperationError, ROOM_FILTER, Sequence,
    TYPES,
};
use agentcafe_eventlog::MessageBodies;
use agentcafe_store::EventFilter;
use uuid::Uuid;

use crate::service::Service;

mod follow;
mod list;
mod listener;
mod poll;

pub use follow::{FollowEvents, FollowedEvents, LogSubscriber};
pub use list::{ListEvents, ListMentions, PageEnd, ReadTimeline, TimelineEnd};
pub use poll::{PollEnd, PollEvents};

/// Whether messages have their bodies.
const BODIES: Field = Field::new(
    "bodies",
    "Whether messages have their bodies, and not only the beginning of them. Default: false.",
    "true",
);

/// The types that a `types` parameter names; a name that no event has matches nothing.
pub(crate) fn types(fields: &Fields) -> Option<Vec<EventType>> {
    let names = fields.names(TYPES);
    let mut types: Vec<_> = names.iter().filter_map(|name| EventType::parse(name)).collect();
    types.sort_unstable();
    types.dedup();
    (!names.is_empty()).then_some(types)
}

/// Tenant, room, author and types; what is missing matches all. `author` is the parameter that names the author.
fn filter(fields: &Fields, author: Field) -> Result<EventFilter, DomainError> {
    Ok(EventFilter {
        tenant: fields.tenant(EVENT_TENANT_FILTER)?,
        room: fields.room(ROOM_FILTER)?,
        actor: fields.actor(author)?,
        mentioned: None,
        types: types(fields),
    })
}

/// Whether the caller wants the bodies of messages.
fn wants_bodies(fields: &Fields) -> Result<bool, DomainError> {
    Ok(fields.flag(BODIES)?.unwrap_or(false))
}

/// What holds the bodies of messages, for a caller that wants them.
fn bodies(service: &Service, wanted: bool) -> Option<Arc<dyn MessageBodies>> {
    wanted.then(|| Arc::clone(&service.engine.store) as Arc<dyn MessageBodies>)
}

/// The sequence of the event that `afterEventId` names; the start of the log if the parameter is missing.
async fn sequence_of(service: &Service, id: Option<String>) -> Result<Sequence, OperationError> {
    let Some(id) = id else { return Ok(Sequence::START) };
    let found = match Uuid::parse_str(&id) {
        Ok(event_id) => service.store().sequence_of(event_id).await?,
        Err(_) => None,
    };
    found.ok_or_else(|| DomainError::new(Code::NotFound).with("afterEventId", id).into())
}
