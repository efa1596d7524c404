//! Renders an event as a line: when, where, who, what.

use agentcafe_domain::kernel::EventType;
use agentcafe_domain::reactions::ANNOTATION;
use agentcafe_domain::rooms::{RoomCreated, RoomUpdated};
use serde_json::Value;

use super::colour::Phrase;
use super::feed::Event;

mod people;
mod work;

/// What a line shows of an event's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    /// The room: the stream has several.
    pub(super) room: bool,
    /// The tenant, unless it is the default one: the stream has several.
    pub(super) tenant: bool,
}

/// The line of an event.
pub(super) fn render(event: &Event, label: Label) -> Phrase {
    let line = Phrase::default().dim(clock(&event.timestamp)).plain("  ");
    let line = match place(event, label) {
        Some(place) => line.dim(place).plain("  "),
        None => line,
    };
    line.and(sentence(event).unwrap_or_else(|| raw(event)))
}

fn place(event: &Event, label: Label) -> Option<String> {
    let Event { tenant_id, room_id, .. } = event;
    if label.tenant && tenant_id != "default" {
        Some(format!("{tenant_id}/{room_id}"))
    } else {
        label.room.then(|| room_id.clone())
    }
}

/// The hours, minutes and seconds of a time in RFC 3339.
fn clock(timestamp: &str) -> &str {
    timestamp.get("2026-01-02T".len().."2026-01-02T03:04:05".len()).unwrap_or(timestamp)
}

/// The raw payload, for types without a sentence.
fn raw(event: &Event) -> Phrase {
    let payload = Value::Object(event.payload.clone());
    Phrase::about(&event.actor_id).plain(&event.kind).plain(" ").dim(payload)
}

/// Who did what; none for an unknown type or an invalid payload.
fn sentence(event: &Event) -> Option<Phrase> {
    use EventType as Type;
    let who = Phrase::about(&event.actor_id);
    let is_reaction = event.payload.contains_key(ANNOTATION);
    Some(match EventType::parse(&event.kind)? {
        Type::AgentEntered => people::entered(who, &event.payload()?),
        Type::AgentLeft => people::left(who, &event.payload()?),
        Type::StatusChanged => people::status_changed(who, &event.payload()?),
        Type::PresenceHeartbeat => people::heartbeat(who, &event.payload()?),
        Type::ActorMoved => people::moved(who, &event.payload()?, is_reaction),
        Type::ConversationMessagePosted => people::said(who, &event.payload()?, is_reaction),
        Type::BubblePosted => people::bubble(who, &event.payload()?),
        Type::MentionCreated => people::mentioned(&event.actor_id, &event.payload()?),
        Type::OrderChanged => people::ordered(who, &event.payload()?, is_reaction),
        Type::IntentPlanned => people::set_off(who, &event.payload()?),
        Type::IntentCompleted => people::arrived(who, &event.payload()?),
        Type::SnapshotCreated => work::snapshot(who, &event.payload()?),
        Type::RoomContextPinned => work::pinned(who, &event.payload()?),
        Type::OperatorOverrideApplied => work::operator(who, &event.payload()?),
        Type::TaskCreated => work::task_created(who, &event.payload()?),
        Type::TaskUpdated => work::task_updated(who, &event.payload()?),
        Type::TaskAssigned => work::task_assigned(who, &event.payload()?),
        Type::TaskProgressUpdated => work::task_progress(who, &event.payload()?),
        Type::TaskCompleted => work::task_completed(who, &event.payload()?),
        Type::TaskHandoff => work::handoff(who, &event.payload()?),
        Type::SharedObjectCreated => work::object_created(who, &event.payload()?),
        Type::SharedObjectUpdated => work::object_updated(who, &event.payload()?),
        Type::RoomCreated => work::room(who, "creates", &event.payload::<RoomCreated>()?.room),
        Type::RoomUpdated => work::room(who, "changes", &event.payload::<RoomUpdated>()?.room),
        Type::TableSessionCreated => work::table_opened(who, &event.payload()?),
        Type::TableSessionUpdated => work::table_changed(who, &event.payload()?),
        Type::TableSessionEnded => work::table_closed(who, &event.payload()?),
    })
}
