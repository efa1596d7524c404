//! An agent's memory of a room: its newest events, summarised. One definition for the projection and for
//! `GET /v1/memory/local`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::conversations::text_of;
use super::effects::EventEffects;
use super::payload_view::PayloadView;
use crate::kernel::{ActorId, Event, EventType, Sequence, Timestamp};

/// The most that is remembered.
pub const MAX_MEMORY: usize = 5;

/// The types of events that are remembered.
pub fn remembered_types() -> Vec<EventType> {
    EventType::ALL.iter().copied().filter(|kind| EventEffects::of(*kind).is_remembered).collect()
}

/// Something that is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemoryEntry {
    /// The event.
    pub event_id: Uuid,
    /// The event's place in the log.
    pub sequence: Sequence,
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// The actor that did it.
    pub actor_id: ActorId,
    /// When.
    pub ts: Timestamp,
    /// What is remembered of it, by type.
    #[serde(flatten)]
    pub details: MemoryDetails,
}

/// Declares what is remembered of an event, by its type, once for clients and once as it is stored.
macro_rules! memory_details {
    ($($(#[$doc:meta])* $variant:ident { $($(#[$meaning:meta])* $member:ident : $of:ty,)* })*) => {
        /// What is remembered of an event, by its type.
        #[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
        #[serde(untagged, rename_all_fields = "camelCase")]
        pub enum MemoryDetails {
            $($(#[$doc])* $variant { $($(#[$meaning])* $member: $of,)* },)*
        }

        /// [`MemoryDetails`] as they are stored: with the name of the variant, which clients do not get.
        #[derive(Serialize, Deserialize)]
        #[serde(remote = "MemoryDetails")]
        pub(super) enum StoredDetails {
            $($variant { $($member: $of,)* },)*
        }
    };
}

memory_details! {
    /// Something was said.
    Message {
        /// What was said.
        text: String,
        /// The thread of the message.
        thread_id: Option<String>,
        /// The actors that were mentioned.
        mentions: Vec<ActorId>,
    }
    /// Something was ordered.
    Order {
        /// What was ordered.
        item_id: Option<String>,
        /// The size of the order.
        size: Option<String>,
    }
    /// Steps were taken.
    Move {
        /// The direction of the move.
        direction: Option<String>,
        /// The number of steps.
        steps: i64,
    }
    /// An intent's target was reached.
    Intent {
        /// The intent.
        intent: Option<String>,
        /// The result of the intent.
        outcome: Option<String>,
    }
    /// An operator acted.
    Override {
        /// What the operator did.
        action: Option<String>,
        /// The actor that the operator acted on; null: the whole room.
        target_actor_id: Option<ActorId>,
        /// Why; null if the operator gave no reason.
        reason: Option<String>,
    }
    /// A task was created or changed.
    Task {
        /// The task.
        task_id: Option<String>,
        /// The state of the task.
        state: Option<String>,
        /// How much is done, in percent.
        progress: i64,
    }
    /// A task got another assignee.
    TaskAssignment {
        /// The task.
        task_id: Option<String>,
        /// The assignee before; null: none.
        from_assignee_actor_id: Option<ActorId>,
        /// The assignee now; null: none.
        to_assignee_actor_id: Option<ActorId>,
    }
    /// A task's progress changed.
    TaskProgress {
        /// The task.
        task_id: Option<String>,
        /// How much was done before, in percent.
        from_progress: Option<i64>,
        /// How much is done now, in percent.
        to_progress: Option<i64>,
    }
    /// A task was done.
    TaskCompletion {
        /// The task.
        task_id: Option<String>,
        /// The actor that completed the task.
        completed_by: Option<ActorId>,
    }
    /// A shared object was created or changed.
    Object {
        /// The object.
        object_id: Option<String>,
        /// The type of the object.
        object_type: Option<String>,
        /// The client's own name for the object.
        object_key: Option<String>,
        /// The version of the object.
        version: i64,
        /// The fields that were changed.
        changed_fields: Vec<String>,
    }
    /// That it happened is all there is to remember.
    Nothing {}
}

/// What is remembered of an event; none if its type is not remembered.
pub fn memory_entry(event: &Event) -> Option<MemoryEntry> {
    EventEffects::of(event.kind).is_remembered.then(|| MemoryEntry {
        event_id: event.event_id,
        sequence: event.sequence,
        kind: event.kind,
        actor_id: event.actor_id.clone(),
        ts: event.timestamp,
        details: details(event),
    })
}

fn details(event: &Event) -> MemoryDetails {
    let payload = PayloadView::by(event);
    let task_id = || payload.text("taskId");
    match event.kind {
        EventType::ConversationMessagePosted => message(event),
        EventType::OrderChanged => {
            MemoryDetails::Order { item_id: payload.text("itemId"), size: payload.text("size") }
        }
        EventType::ActorMoved => {
            MemoryDetails::Move { direction: payload.text("direction"), steps: payload.steps() }
        }
        EventType::IntentCompleted => {
            MemoryDetails::Intent { intent: payload.text("intent"), outcome: payload.text("outcome") }
        }
        EventType::OperatorOverrideApplied => MemoryDetails::Override {
            action: payload.text("action"),
            target_actor_id: payload.actor("targetActorId"),
            reason: payload.text("reason"),
        },
        EventType::SharedObjectCreated | EventType::SharedObjectUpdated => MemoryDetails::Object {
            object_id: payload.text("objectId"),
            object_type: payload.text("objectType"),
            object_key: payload.text("objectKey"),
            version: payload.integer("version").unwrap_or(1).max(1),
            changed_fields: payload.texts("changedFields"),
        },
        EventType::TaskCreated | EventType::TaskUpdated => MemoryDetails::Task {
            task_id: task_id(),
            state: payload.text("state"),
            progress: payload.integer("progress").unwrap_or(0),
        },
        EventType::TaskAssigned => MemoryDetails::TaskAssignment {
            task_id: task_id(),
            from_assignee_actor_id: payload.actor("fromAssigneeActorId"),
            to_assignee_actor_id: payload.actor("toAssigneeActorId"),
        },
        EventType::TaskProgressUpdated => MemoryDetails::TaskProgress {
            task_id: task_id(),
            from_progress: payload.integer("fromProgress"),
            to_progress: payload.integer("toProgress"),
        },
        EventType::TaskCompleted => {
            MemoryDetails::TaskCompletion { task_id: task_id(), completed_by: payload.actor("completedBy") }
        }
        _ => MemoryDetails::Nothing {},
    }
}

fn message(event: &Event) -> MemoryDetails {
    let conversation = PayloadView::by(event).part("conversation");
    let text = |key| conversation.and_then(|conversation| conversation.text(key));
    MemoryDetails::Message {
        text: text_of(event),
        thread_id: text("threadId").or_else(|| text("messageId")),
        mentions: conversation.map(|conversation| conversation.actors("mentions")).unwrap_or_default(),
    }
}
