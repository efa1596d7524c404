//! What events of each type change: one row per type, the only place in which the projections list all types.

use super::tasks::TaskEntry;
use crate::kernel::{Event, EventType};
use crate::presence::Status;

/// What an event changes in its room, and what is computed from it.
#[derive(Clone, Copy, Debug)]
pub struct EventEffects {
    /// The part of the room beside its actors that the event changes.
    pub(super) part: Option<RoomPart>,
    /// Whether it shows that its actor is in the room. Tasks, objects, rooms, tables, pins, snapshots and overrides are possible
    /// from anywhere, and a change of status follows an event that shows more.
    pub(super) shows_actor: bool,
    /// The status that it gives its actor; none: that of its payload, or no other.
    pub(super) status: Option<Status>,
    /// Whether it is remembered. Heartbeats and changes of status are not: they would flush the rest.
    pub(super) is_remembered: bool,
    /// What it counts as in the collaboration score.
    pub counts_as: Option<Contribution>,
}

/// A part of a room.
#[derive(Clone, Copy, Debug)]
pub(super) enum RoomPart {
    Conversations,
    Orders,
    /// One task, and how the event changes it.
    Tasks(fn(&mut TaskEntry, &Event)),
    Objects,
    PinnedContext,
}

/// What an event contributes to a collaboration.
#[derive(Clone, Copy, Debug)]
pub enum Contribution {
    /// A task was finished.
    CompletedTask,
    /// A task got another assignee.
    Coordination,
    /// A shared object was created or changed.
    ObjectEdit,
    /// A message was posted.
    ConversationTurn,
}

impl EventEffects {
    /// Changes nothing that a room shows.
    const NONE: Self =
        Self { part: None, shows_actor: false, status: None, is_remembered: false, counts_as: None };

    const fn changes(self, part: RoomPart) -> Self {
        Self { part: Some(part), ..self }
    }

    const fn shows_actor(self) -> Self {
        Self { shows_actor: true, ..self }
    }

    const fn status(self, status: Status) -> Self {
        Self { status: Some(status), ..self }
    }

    const fn remembered(self) -> Self {
        Self { is_remembered: true, ..self }
    }

    const fn counts_as(self, contribution: Contribution) -> Self {
        Self { counts_as: Some(contribution), ..self }
    }

    /// The effects of events of a type.
    pub const fn of(kind: EventType) -> Self {
        use Contribution::{CompletedTask, ConversationTurn, Coordination, ObjectEdit};
        use RoomPart::{Conversations, Objects, Orders, PinnedContext, Tasks};
        use Status::{Busy, Idle, Thinking};
        let none = Self::NONE;
        match kind {
            EventType::AgentEntered | EventType::ActorMoved => none.shows_actor().status(Busy).remembered(),
            EventType::AgentLeft => none.remembered(),
            EventType::PresenceHeartbeat | EventType::IntentPlanned => none.shows_actor(),
            EventType::IntentCompleted => none.shows_actor().status(Idle).remembered(),
            EventType::ConversationMessagePosted => {
                let message = none.changes(Conversations).shows_actor().status(Thinking);
                message.remembered().counts_as(ConversationTurn)
            }
            EventType::BubblePosted => none.changes(Conversations).shows_actor().status(Thinking),
            EventType::OrderChanged => none.changes(Orders).shows_actor().status(Busy).remembered(),
            EventType::TaskCreated | EventType::TaskUpdated => {
                none.changes(Tasks(TaskEntry::describe)).status(Busy).remembered()
            }
            EventType::TaskAssigned => {
                let assigned = none.changes(Tasks(TaskEntry::assign)).status(Busy);
                assigned.remembered().counts_as(Coordination)
            }
            EventType::TaskProgressUpdated => {
                none.changes(Tasks(TaskEntry::set_progress)).status(Busy).remembered()
            }
            EventType::TaskCompleted => {
                let completed = none.changes(Tasks(TaskEntry::complete)).status(Idle);
                completed.remembered().counts_as(CompletedTask)
            }
            EventType::SharedObjectCreated | EventType::SharedObjectUpdated => {
                none.changes(Objects).status(Busy).remembered().counts_as(ObjectEdit)
            }
            EventType::RoomContextPinned => none.changes(PinnedContext).remembered(),
            EventType::OperatorOverrideApplied => none.status(Busy).remembered(),
            EventType::StatusChanged
            | EventType::MentionCreated
            | EventType::SnapshotCreated
            | EventType::TaskHandoff
            | EventType::RoomCreated
            | EventType::RoomUpdated
            | EventType::TableSessionCreated
            | EventType::TableSessionUpdated
            | EventType::TableSessionEnded => none,
        }
    }
}
