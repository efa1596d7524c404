//! The payload of every event type, as stored.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{EventType, Payload};
use crate::{
    conversation::Conversation,
    inbox::InboxNotice,
    kernel::{
        ids::{ActorId, RoomId},
        time::Timestamp,
    },
    presence::{
        Status,
        position::{Leg, Point},
    },
};

macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident { $($field:ident : $of:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        #[expect(missing_docs, reason = "the fields are the contract's, section 6.3")]
        pub struct $name {
            $(pub $field: $of,)*
        }
    )*};
}

macro_rules! plain {
    ($($name:ident)*) => {$(
        impl Payload for $name {
            const TYPE: EventType = EventType::$name;
        }
    )*};
}

/// Which reaction made an actor act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReactionRef {
    /// The subscription that fired.
    pub source_subscription_id: uuid::Uuid,
    /// The event that made it fire.
    pub source_event_id: uuid::Uuid,
    /// How many reactions lie between this one and something that an actor did itself.
    pub hops: u32,
}

/// What hangs over the speaker's head, and how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bubble {
    /// What is said.
    pub text: String,
    /// How long it is shown.
    pub ttl_ms: i64,
}

/// Where an actor says it enters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SentPosition {
    /// East.
    pub x: f64,
    /// South.
    pub y: f64,
}

payloads! {
    /// An actor came into the room.
    AgentEntered {
        source: String, reason: String, entered_at: Timestamp, position: Option<SentPosition>, metadata: Map<String, Value>,
    }
    /// An actor left, or was made to.
    AgentLeft {
        source: String, reason: String, left_at: Timestamp, forced: bool, operator_id: Option<ActorId>, metadata: Map<String, Value>,
    }
    /// An actor's presence went from one status to another.
    StatusChanged {
        from_status: Option<Status>, to_status: Status, reason: String, source: String, changed_at: Timestamp,
        last_heartbeat_at: Option<Timestamp>, expires_at: Option<Timestamp>, operator_id: Option<ActorId>,
        metadata: Map<String, Value>, from: Option<Status>, to: Status,
    }
    /// An actor showed that it is there.
    PresenceHeartbeat {
        status: Status, ttl_ms: i64, last_heartbeat_at: Timestamp, expires_at: Timestamp,
    }
    /// An actor was mentioned in a message.
    MentionCreated {
        mentioned_actor_id: ActorId, source_message_id: String, thread_id: Option<String>,
    }
    /// The way to an intent's target was found.
    IntentPlanned {
        intent: String, target: Point, label: String, from: Point, path: Vec<Leg>,
    }
    /// An intent's target was reached.
    IntentCompleted {
        intent: String, target: Point, label: String, final_position: Point, outcome: String,
    }
    /// A room or an agent was saved.
    SnapshotCreated {
        scope: String, version: u64, expires_at: Option<Timestamp>, snapshot_ref: SnapshotRef,
    }
    /// What a snapshot is of.
    SnapshotRef { room_id: RoomId, actor_id: Option<ActorId> }
    /// The room's context was pinned.
    RoomContextPinned {
        version: u64, content: String, metadata: Map<String, Value>, pinned_by: ActorId,
    }
    /// An operator acted on a room or an actor.
    OperatorOverrideApplied {
        action: String, target_actor_id: Option<ActorId>, reason: Option<String>, metadata: Map<String, Value>,
        override_state: OverrideSummary,
    }
    /// The overrides of a room after an operator acted.
    OverrideSummary {
        room_paused: bool, paused_by: Option<ActorId>, muted_actor_ids: Vec<ActorId>,
    }
    /// A task was created.
    TaskCreated {
        task_id: uuid::Uuid, title: String, state: String, assignee_actor_id: Option<ActorId>, progress: i64, created_by: ActorId,
    }
    /// A task was changed.
    TaskUpdated {
        task_id: uuid::Uuid, changed_fields: Vec<String>, state: String, assignee_actor_id: Option<ActorId>, progress: i64,
    }
    /// A task went to somebody.
    TaskAssigned {
        task_id: uuid::Uuid, from_assignee_actor_id: Option<ActorId>, to_assignee_actor_id: Option<ActorId>, assigned_by: ActorId,
    }
    /// A task's progress changed.
    TaskProgressUpdated { task_id: uuid::Uuid, from_progress: i64, to_progress: i64 }
    /// A task was done.
    TaskCompleted {
        task_id: uuid::Uuid, completed_by: ActorId, completed_at: Timestamp, progress: i64,
    }
    /// A task was handed over, accepted, blocked or finished.
    TaskHandoff {
        handoff_id: uuid::Uuid, task_id: uuid::Uuid, action: String, from_assignee_actor_id: Option<ActorId>,
        to_assignee_actor_id: Option<ActorId>, initiated_by: ActorId, owner_actor_id: ActorId, state: String, progress: i64,
        note: Option<String>, blocked_reason: Option<String>, thread_id: Option<String>, reply_to_event_id: Option<String>,
        metadata: Map<String, Value>, target_actor_ids: Vec<ActorId>, at: Timestamp,
    }
    /// A shared object, whole.
    SharedObjectCreated {
        object_id: uuid::Uuid, object_type: String, object_key: Option<String>, title: Option<String>, content: Option<String>,
        data: Map<String, Value>, quantity: Option<i64>, metadata: Map<String, Value>, version: u64, created_by: ActorId,
        updated_by: ActorId, created_at: Timestamp, updated_at: Timestamp,
    }
    /// A shared object after a change, whole, and what changed.
    SharedObjectUpdated {
        object_id: uuid::Uuid, object_type: String, object_key: Option<String>, title: Option<String>, content: Option<String>,
        data: Map<String, Value>, quantity: Option<i64>, metadata: Map<String, Value>, version: u64, created_by: ActorId,
        updated_by: ActorId, created_at: Timestamp, updated_at: Timestamp, changed_fields: Vec<String>,
    }
    /// A room got a record.
    RoomCreated {
        room_id: RoomId, room_type: String, display_name: Option<String>, owner_actor_id: Option<ActorId>, metadata: Map<String, Value>,
        payment_provider: Option<String>, payment_ref: Option<String>, payment_amount_usd: Option<f64>,
    }
    /// A room's record changed.
    RoomUpdated {
        room_id: RoomId, room_type: String, display_name: Option<String>, owner_actor_id: Option<ActorId>, metadata: Map<String, Value>,
        payment_provider: Option<String>, payment_ref: Option<String>, payment_amount_usd: Option<f64>,
    }
    /// A private table was opened.
    TableSessionCreated {
        session_id: uuid::Uuid, room_id: RoomId, owner_actor_id: ActorId, plan_id: String, invited_actor_ids: Vec<ActorId>,
        status: String, started_at: Timestamp, expires_at: Option<Timestamp>, payment_provider: String,
        payment_ref: Option<String>, payment_amount_usd: f64, metadata: Map<String, Value>,
    }
    /// A private table changed.
    TableSessionUpdated {
        session_id: uuid::Uuid, status: String, plan_id: String, invited_actor_ids: Vec<ActorId>, started_at: Timestamp,
        expires_at: Option<Timestamp>, ended_at: Option<Timestamp>, metadata: Map<String, Value>, changed_fields: Vec<String>,
    }
}

/// An actor took steps, by a command, an intent or a reaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActorMoved {
    /// Where to and how far.
    #[serde(flatten)]
    pub leg: Leg,
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// The label of an intent's target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_label: Option<String>,
    /// Which reaction moved the actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaction: Option<ReactionRef>,
}

/// An actor said something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationMessagePosted {
    /// The message and its place in the conversation.
    pub conversation: Conversation,
    /// What is shown over the speaker.
    pub bubble: Bubble,
    /// Which reaction made the actor speak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaction: Option<ReactionRef>,
}

/// An actor ordered something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderChanged {
    /// What.
    pub item_id: String,
    /// In which size.
    pub size: String,
    /// Which reaction ordered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaction: Option<ReactionRef>,
}

/// A private table was closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableSessionEnded {
    /// The session.
    pub session_id: uuid::Uuid,
    /// When.
    pub ended_at: Timestamp,
    /// Whose it was.
    pub owner_actor_id: ActorId,
    /// `expired` when nobody ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A bubble without a conversation; declared by the contract and reserved, never produced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BubblePosted {
    /// What is shown.
    pub bubble: Bubble,
}

plain! {
    AgentEntered AgentLeft StatusChanged PresenceHeartbeat ActorMoved ConversationMessagePosted OrderChanged IntentPlanned
    IntentCompleted SnapshotCreated RoomContextPinned TaskCreated TaskUpdated TaskProgressUpdated TaskCompleted
    SharedObjectCreated SharedObjectUpdated RoomCreated RoomUpdated TableSessionCreated TableSessionUpdated
    TableSessionEnded BubblePosted
}

impl Payload for MentionCreated {
    const TYPE: EventType = EventType::MentionCreated;

    fn mentioned(&self) -> Option<&ActorId> {
        Some(&self.mentioned_actor_id)
    }

    fn notices(&self) -> Vec<InboxNotice> {
        vec![InboxNotice::mention(self)]
    }
}

impl Payload for TaskAssigned {
    const TYPE: EventType = EventType::TaskAssigned;

    fn notices(&self) -> Vec<InboxNotice> {
        InboxNotice::task_assigned(self).into_iter().collect()
    }
}

impl Payload for TaskHandoff {
    const TYPE: EventType = EventType::TaskHandoff;

    fn notices(&self) -> Vec<InboxNotice> {
        InboxNotice::task_handoff(self)
    }
}

impl Payload for OperatorOverrideApplied {
    const TYPE: EventType = EventType::OperatorOverrideApplied;

    fn notices(&self) -> Vec<InboxNotice> {
        InboxNotice::operator_override(self).into_iter().collect()
    }
}
