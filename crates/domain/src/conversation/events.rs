//! The payloads of events about what is said.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Conversation;
use crate::kernel::{ActorId, Notification, payloads};

/// The text that is shown over a speaker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bubble {
    /// The text.
    pub text: String,
    /// How long it is shown, in milliseconds.
    pub ttl_ms: i64,
}

payloads! {
    /// An actor posted a message.
    ConversationMessagePosted { conversation: Conversation, bubble: Bubble }
    /// A message mentions an actor.
    MentionCreated {
        mentioned_actor_id: ActorId, source_message_id: String, thread_id: Option<String>,
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
            vec![Notification { thread_id: self.thread_id.clone(), ..mention }]
        }
    }
    /// A bubble without a message. Reserved: nothing appends it.
    BubblePosted { bubble: Bubble }
}
