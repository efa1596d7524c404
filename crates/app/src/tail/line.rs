//! What a line says about an event: when, where, who, what.

use agentcafe_domain::{kernel::event::EventType, reactions::ANNOTATION};
use serde_json::Value;

use super::{colour::Phrase, event::Event};

mod people;
mod work;

/// What has to be said about where an event happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    /// Rooms are mixed.
    pub(super) room: bool,
    /// Tenants are mixed; the one of requests that name none goes without saying.
    pub(super) tenant: bool,
}

/// The line about an event.
pub(super) fn of(event: &Event, label: Label) -> Phrase {
    let line = Phrase::default().dim(clock(&event.timestamp)).plain("  ");
    let line = match place(event, label) {
        Some(place) => line.dim(place).plain("  "),
        None => line,
    };
    line.and(sentence(event).unwrap_or_else(|| as_it_is(event)))
}

fn place(event: &Event, label: Label) -> Option<String> {
    let Event { tenant_id, room_id, .. } = event;
    if label.tenant && tenant_id != "default" {
        Some(format!("{tenant_id}/{room_id}"))
    } else {
        label.room.then(|| room_id.clone())
    }
}

/// Hours, minutes and seconds of a moment in RFC 3339.
fn clock(timestamp: &str) -> &str {
    timestamp.get("2026-01-02T".len().."2026-01-02T03:04:05".len()).unwrap_or(timestamp)
}

/// An event that no sentence is known for.
fn as_it_is(event: &Event) -> Phrase {
    let payload = Value::Object(event.payload.clone());
    Phrase::about(&event.actor_id).plain(&event.kind).plain(" ").dim(payload)
}

/// Who did what; none for a type, or a payload, that is not known.
fn sentence(event: &Event) -> Option<Phrase> {
    use EventType as Type;
    let who = Phrase::about(&event.actor_id);
    let is_reaction = event.payload.contains_key(ANNOTATION);
    Some(match EventType::parse(&event.kind)? {
        Type::AgentEntered => people::entered(who, &event.read()?),
        Type::AgentLeft => people::left(who, &event.read()?),
        Type::StatusChanged => people::status_changed(who, &event.read()?),
        Type::PresenceHeartbeat => people::heartbeat(who, &event.read()?),
        Type::ActorMoved => people::moved(who, &event.read()?, is_reaction),
        Type::ConversationMessagePosted => people::said(who, &event.read()?, is_reaction),
        Type::BubblePosted => people::bubble(who, &event.read()?),
        Type::MentionCreated => people::mentioned(&event.actor_id, &event.read()?),
        Type::OrderChanged => people::ordered(who, &event.read()?, is_reaction),
        Type::IntentPlanned => people::set_off(who, &event.read()?),
        Type::IntentCompleted => people::arrived(who, &event.read()?),
        Type::SnapshotCreated => work::snapshot(who, &event.read()?),
        Type::RoomContextPinned => work::pinned(who, &event.read()?),
        Type::OperatorOverrideApplied => work::operator(who, &event.read()?),
        Type::TaskCreated => work::task_created(who, &event.read()?),
        Type::TaskUpdated => work::task_updated(who, &event.read()?),
        Type::TaskAssigned => work::task_assigned(who, &event.read()?),
        Type::TaskProgressUpdated => work::task_progress(who, &event.read()?),
        Type::TaskCompleted => work::task_completed(who, &event.read()?),
        Type::TaskHandoff => work::handoff(who, &event.read()?),
        Type::SharedObjectCreated => work::object_created(who, &event.read()?),
        Type::SharedObjectUpdated => work::object_updated(who, &event.read()?),
        Type::RoomCreated => work::room_created(who, &event.read()?),
        Type::RoomUpdated => work::room_updated(who, &event.read()?),
        Type::TableSessionCreated => work::table_opened(who, &event.read()?),
        Type::TableSessionUpdated => work::table_changed(who, &event.read()?),
        Type::TableSessionEnded => work::table_closed(who, &event.read()?),
    })
}

#[cfg(test)]
mod tests;
