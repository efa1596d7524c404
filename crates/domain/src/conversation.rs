//! Messages, threads and mentions.

mod addressees;
mod content;
mod mentions;
mod say;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use self::content::{Attachment, MessageBody};
pub use self::mentions::mentions_in;
pub(crate) use self::say::{AutomaticReply, BUBBLE_TTL, MENTIONS, TEXT, bubble_ttl_ms, given_mentions};
pub use self::say::{MAX_MENTIONS, PostMessage, Say, SayAction};
use crate::kernel::{ActorId, Notification, NotifiedMessage, payloads, rule_set};

/// The settings of the conversation.
#[derive(Clone, Copy, Debug)]
pub struct ConversationRules {
    /// The longest message, in Unicode scalar values.
    pub max_message_chars: usize,
    /// The longest body of a message, in Unicode scalar values.
    pub max_body_chars: usize,
}

impl Default for ConversationRules {
    fn default() -> Self {
        Self { max_message_chars: 120, max_body_chars: 32_768 }
    }
}
rule_set!(ConversationRules);

/// How much of the conversation a speaker used as context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContextWindow {
    /// The speaker's name for it.
    pub id: Option<String>,
    /// How many items it holds.
    pub max_items: i64,
}

/// A message and its place in the conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    /// The message.
    pub message_id: String,
    /// The thread it belongs to: its own id for the first of a thread.
    pub thread_id: String,
    /// The message above it in the thread.
    pub parent_message_id: Option<String>,
    /// The message it answers.
    pub reply_to_message_id: Option<String>,
    /// The mentioned actors, in order.
    pub mentions: Vec<ActorId>,
    /// The context that the speaker used.
    pub context_window: ContextWindow,
    /// The text.
    pub text: String,
    /// The body; only for readers that asked for bodies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The length of the body in characters; missing: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_chars: Option<usize>,
    /// The beginning of the body, on one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// What the message refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Whatever the speaker adds.
    pub metadata: Map<String, Value>,
}

/// The text that is shown over a speaker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bubble {
    /// The text.
    pub text: String,
    /// How long it is shown, in milliseconds.
    pub ttl_ms: i64,
}

payloads! {
    /// An actor posted a message.
    ConversationMessagePosted {
        /// The message, and its place in the conversation.
        conversation: Conversation,
        /// The speech bubble of the speaker.
        bubble: Bubble,
    }
    /// A message mentions an actor.
    MentionCreated {
        /// The mentioned actor.
        mentioned_actor_id: ActorId,
        /// The message that mentions it.
        source_message_id: String,
        /// The thread of the message.
        thread_id: Option<String>,
        /// What the inbox item of the mentioned actor shows of the message; none: it gets no item.
        #[serde(skip)]
        notified: Option<NotifiedMessage>,
    } => {
        fn mentioned(&self) -> Option<&ActorId> {
            Some(&self.mentioned_actor_id)
        }

        fn notifications(&self) -> Vec<Notification> {
            let members = json!({
                "mentionedActorId": self.mentioned_actor_id,
                "sourceMessageId": self.source_message_id,
                "threadId": self.thread_id,
            });
            let mention = Notification::new("mention", self.mentioned_actor_id.clone(), members);
            let of = |message: &NotifiedMessage| Notification {
                thread_id: self.thread_id.clone(),
                message: Some(message.clone()),
                ..mention
            };
            self.notified.as_ref().map(of).into_iter().collect()
        }
    }
    /// A bubble without a message. Reserved: nothing appends it.
    BubblePosted {
        /// The bubble.
        bubble: Bubble,
    }
}
