//! What was said in the room: the chat, the messages, and the threads they form.

use std::collections::VecDeque;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::payload_view::PayloadView;
use super::recent::{Keyed, LastChanged, NewestFirst};
use crate::conversation::ContextWindow;
use crate::kernel::{ActorId, Event, Sequence, Timestamp};

/// The most chat entries that a room shows.
pub const MAX_CHAT: usize = 100;
/// The most messages that a room shows.
pub const MAX_MESSAGES: usize = 200;
/// The most threads that a room shows; the one without a message for the longest time is dropped.
pub const MAX_THREADS: usize = 200;
/// The most message ids that a thread lists; its count goes on.
pub const MAX_THREAD_MESSAGES: usize = 200;
/// The most participants that a thread lists; the first of them are dropped.
pub const MAX_THREAD_PARTICIPANTS: usize = 200;

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatEntry {
    /// The speaker.
    pub actor_id: ActorId,
    /// What was said.
    pub text: String,
    /// When.
    pub ts: Timestamp,
    /// The event.
    pub event_id: Uuid,
}

/// A message and its place in the conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageEntry {
    /// The message.
    pub message_id: String,
    /// The thread it belongs to.
    pub thread_id: String,
    /// The message above it in the thread.
    pub parent_message_id: Option<String>,
    /// The speaker.
    pub actor_id: ActorId,
    /// What was said.
    pub text: String,
    /// The mentioned actors, in order.
    pub mentions: Vec<ActorId>,
    /// The context that the speaker used.
    pub context_window: Option<ContextWindow>,
    /// The event.
    pub event_id: Uuid,
    /// The event's place in the log.
    pub sequence: Sequence,
    /// When.
    pub ts: Timestamp,
}

/// A thread of messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThreadEntry {
    /// The thread.
    pub thread_id: String,
    /// What it began with: the first message's parent, or the first message.
    pub root_message_id: String,
    /// Its newest messages, oldest first.
    pub message_ids: VecDeque<String>,
    /// The speakers, in the order of their first messages.
    pub participants: VecDeque<ActorId>,
    /// How many messages it ever had.
    pub message_count: u64,
    /// When its last message was posted.
    pub last_message_at: Timestamp,
    /// The event of its last message.
    pub last_event_id: Uuid,
}

impl Keyed for ThreadEntry {
    fn id(&self) -> &str {
        &self.thread_id
    }

    fn changed_at(&self) -> Timestamp {
        self.last_message_at
    }
}

/// The text of a message: in the conversation, else over the speaker's head, else beside both.
pub(super) fn text_of(event: &Event) -> String {
    let payload = PayloadView::by(event);
    let places = [payload.part("conversation"), payload.part("bubble"), Some(payload)];
    places.into_iter().flatten().find_map(|place| place.text("text")).unwrap_or_default()
}

fn message_of(event: &Event) -> MessageEntry {
    let conversation = PayloadView::by(event).part("conversation");
    let text = |key| conversation.and_then(|conversation| conversation.text(key));
    let message_id = text("messageId").unwrap_or_else(|| event.event_id.to_string());
    let parent_message_id = text("parentMessageId");
    let window = conversation.and_then(|conversation| conversation.object("contextWindow"));
    MessageEntry {
        thread_id: text("threadId")
            .or_else(|| parent_message_id.clone())
            .unwrap_or_else(|| message_id.clone()),
        message_id,
        parent_message_id,
        actor_id: event.actor_id.clone(),
        text: text_of(event),
        mentions: conversation.map(|conversation| conversation.actors("mentions")).unwrap_or_default(),
        context_window: window.and_then(|window| serde_json::from_value(Value::Object(window)).ok()),
        event_id: event.event_id,
        sequence: event.sequence,
        ts: event.timestamp,
    }
}

/// Appends, and drops the first if there are too many.
fn append_within<T>(list: &mut VecDeque<T>, member: T, max: usize) {
    list.push_back(member);
    if list.len() > max {
        list.pop_front();
    }
}

/// What was said in a room.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Conversations {
    pub(super) chat: NewestFirst<ChatEntry, MAX_CHAT>,
    pub(super) messages: NewestFirst<MessageEntry, MAX_MESSAGES>,
    pub(super) threads: LastChanged<ThreadEntry, MAX_THREADS>,
}

impl Conversations {
    pub(super) fn apply(&mut self, event: &Event) {
        let message = message_of(event);
        self.continue_thread(&message);
        self.chat.prepend(ChatEntry {
            actor_id: message.actor_id.clone(),
            text: message.text.clone(),
            ts: message.ts,
            event_id: message.event_id,
        });
        self.messages.prepend(message);
    }

    fn continue_thread(&mut self, message: &MessageEntry) {
        let mut thread = self.threads.take(&message.thread_id).unwrap_or_else(|| ThreadEntry {
            thread_id: message.thread_id.clone(),
            root_message_id: message.parent_message_id.as_ref().unwrap_or(&message.message_id).clone(),
            message_ids: VecDeque::new(),
            participants: VecDeque::new(),
            message_count: 0,
            last_message_at: message.ts,
            last_event_id: message.event_id,
        });
        append_within(&mut thread.message_ids, message.message_id.clone(), MAX_THREAD_MESSAGES);
        if !thread.participants.contains(&message.actor_id) {
            append_within(&mut thread.participants, message.actor_id.clone(), MAX_THREAD_PARTICIPANTS);
        }
        thread.message_count += 1;
        thread.last_message_at = message.ts;
        thread.last_event_id = message.event_id;
        self.threads.put(thread);
    }
}
