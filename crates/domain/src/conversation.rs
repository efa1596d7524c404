//! Messages, threads and mentions: the meaning of the command `say`.

mod addressees;
mod mentions;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::addressees::{Addressees, Mentions};
pub use self::mentions::mentions_in;
use crate::actor_command::{Action, ActorCommand, PresenceEffect};
use crate::kernel::{
    ActorId, ActorInRoom, CAUSATION_ID, CommandContext, CommandError, DomainError, EmittedEvent, Field,
    Fields, MAX_REFERENCE_CHARS, Notification, Query, Rules, payloads, rule_set, too_large,
};
use crate::permissions::Capability;
use crate::tables::plan::Feature;

/// The settings of the conversation.
#[derive(Clone, Copy, Debug)]
pub struct ConversationRules {
    /// The longest message, in Unicode scalar values.
    pub max_message_chars: usize,
}

impl Default for ConversationRules {
    fn default() -> Self {
        Self { max_message_chars: 120 }
    }
}
rule_set!(ConversationRules);

/// The most actors that one message may mention.
pub const MAX_MENTIONS: usize = 20;
/// The text.
pub(crate) const TEXT: Field =
    Field::new("text", "What the actor says. @Name mentions an actor.", "hey @Kai, a table is free");
const MESSAGE_ID: Field = Field::new("messageId", "The id of the message. Default: a new id.", "message-1")
    .up_to(MAX_REFERENCE_CHARS);
const THREAD_ID: Field = Field::new(
    "threadId",
    "The thread of the message. Default: the thread that parentMessageId starts, else a new thread.",
    "thread-1",
)
.up_to(MAX_REFERENCE_CHARS);
const PARENT_MESSAGE_ID: Field =
    Field::new("parentMessageId", "The message above this one in its thread.", "message-1")
        .up_to(MAX_REFERENCE_CHARS);
const REPLY_TO_MESSAGE_ID: Field =
    Field::new("replyToMessageId", "The message that this one answers.", "message-1")
        .up_to(MAX_REFERENCE_CHARS);
pub(crate) const MENTIONS: Field = Field::new(
    "mentions",
    "The actors that the message mentions, known or not. Default: those that its text names with @.",
    r#"["Kai"]"#,
)
.up_to(MAX_MENTIONS);
const CONTEXT_WINDOW_ID: Field =
    Field::new("contextWindowId", "The speaker's name for the context that it used.", "window-1")
        .up_to(MAX_REFERENCE_CHARS);
const CONTEXT_WINDOW_MAX_ITEMS: Field =
    Field::new("contextWindowMaxItems", "How many items that context holds.", "20");
const METADATA: Field =
    Field::new("metadata", "Free data of the speaker, stored as it is.", r#"{"mood":"curious"}"#);
pub(crate) const BUBBLE_TTL: Field =
    Field::new("ttlMs", "How long the speech bubble is shown, in milliseconds.", "7000");
const BUBBLE_TTL_MS: std::ops::RangeInclusive<i64> = 2_000..=30_000;
const DEFAULT_BUBBLE_TTL_MS: i64 = 7_000;
const DEFAULT_CONTEXT_ITEMS: i64 = 20;
const MAX_CONTEXT_ITEMS: i64 = 10_000;

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
    /// Whatever the speaker adds.
    pub metadata: Map<String, Value>,
}

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
        /// Whether the mentioned actor gets an inbox item.
        #[serde(skip)]
        notifies: bool,
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
            let mention = Notification { thread_id: self.thread_id.clone(), ..mention };
            Vec::from_iter(self.notifies.then_some(mention))
        }
    }
    /// A bubble without a message. Reserved: nothing appends it.
    BubblePosted { bubble: Bubble }
}

/// `POST /v1/commands/say`: an actor says something.
pub type Say = ActorCommand<SayAction>;

/// `POST /v1/conversations/messages`: the same, as a message of a conversation.
pub type PostMessage = ActorCommand<SayAction<true>>;

/// The fields of a body, before ids are given to the message. `IS_MESSAGE` tells a [`PostMessage`] from a [`Say`].
#[derive(Clone, Debug)]
pub struct SayAction<const IS_MESSAGE: bool = false> {
    message_id: Option<String>,
    thread_id: Option<String>,
    parent_message_id: Option<String>,
    reply_to_message_id: Option<String>,
    mentions: Mentions,
    context_window: ContextWindow,
    text: String,
    metadata: Map<String, Value>,
    bubble_ttl_ms: i64,
    cause: Option<String>,
}

/// How long the bubble of a message is shown, in milliseconds.
///
/// # Errors
/// `ERR_OUT_OF_BOUNDS {field, min, max, value}` if it is not a number.
pub(crate) fn bubble_ttl_ms(fields: &Fields) -> Result<i64, DomainError> {
    Ok(fields.clamped(BUBBLE_TTL, BUBBLE_TTL_MS)?.unwrap_or(DEFAULT_BUBBLE_TTL_MS))
}

/// The mentioned actors, if the sender lists them.
///
/// # Errors
/// `ERR_VALIDATION {field}`, `ERR_OUT_OF_BOUNDS {field, max, value}`.
pub(crate) fn given_mentions(fields: &Fields) -> Result<Option<Vec<ActorId>>, DomainError> {
    fields.actors(MENTIONS)
}

fn read_mentions(fields: &Fields, text: &str) -> Result<Mentions, DomainError> {
    let mentions = Mentions::new(given_mentions(fields)?, text);
    if mentions.count() > MAX_MENTIONS {
        return Err(too_large(MENTIONS.name, MAX_MENTIONS, mentions.count(), "actors"));
    }
    Ok(mentions)
}

/// A message in answer to an event.
pub(crate) struct AutomaticReply {
    pub(crate) text: String,
    /// The mentioned actors; else those that the text names.
    pub(crate) mentions: Option<Vec<ActorId>>,
    pub(crate) bubble_ttl_ms: i64,
    /// The thread that is answered in.
    pub(crate) thread_id: Option<String>,
    /// The message that is answered.
    pub(crate) message_id: Option<String>,
    pub(crate) metadata: Map<String, Value>,
    /// The event that is answered.
    pub(crate) cause: String,
}

impl SayAction {
    /// The reply to a message: below it, in its thread.
    pub(crate) fn of_reaction(reply: AutomaticReply) -> Self {
        Self {
            message_id: None,
            thread_id: reply.thread_id,
            parent_message_id: reply.message_id.clone(),
            reply_to_message_id: reply.message_id,
            mentions: Mentions::new(reply.mentions, &reply.text).at_most(MAX_MENTIONS),
            context_window: ContextWindow { id: None, max_items: DEFAULT_CONTEXT_ITEMS },
            text: reply.text,
            metadata: reply.metadata,
            bubble_ttl_ms: reply.bubble_ttl_ms,
            cause: Some(reply.cause),
        }
    }
}

impl<const IS_MESSAGE: bool> SayAction<IS_MESSAGE> {
    fn conversation(&self, fresh_id: String, mentions: Vec<ActorId>) -> Conversation {
        let message_id = self.message_id.clone().unwrap_or(fresh_id);
        let thread_id = self.thread_id.as_ref().or(self.parent_message_id.as_ref()).unwrap_or(&message_id);
        Conversation {
            thread_id: thread_id.clone(),
            parent_message_id: self.parent_message_id.clone(),
            reply_to_message_id: self.reply_to_message_id.clone(),
            mentions,
            context_window: self.context_window.clone(),
            text: self.text.clone(),
            metadata: self.metadata.clone(),
            message_id,
        }
    }
}

impl<const IS_MESSAGE: bool> Action for SayAction<IS_MESSAGE> {
    const LABEL: &'static str = if IS_MESSAGE { "conversation_message" } else { "say" };
    const KEY_SCOPE: &'static str =
        if IS_MESSAGE { "/v1/conversations/messages" } else { "/v1/commands/say" };
    const CAPABILITY: Capability = Capability::Speak;
    const PRESENCE_EFFECT: PresenceEffect = PresenceEffect::Busy;
    const FEATURE: Option<Feature> = Some(Feature::BasicThreadChat);

    fn read(fields: &Fields, rules: &Rules) -> Result<Self, DomainError> {
        let text = fields.required_text(TEXT.up_to(rules.get::<ConversationRules>().max_message_chars))?;
        Ok(Self {
            message_id: fields.trimmed_text(MESSAGE_ID)?,
            thread_id: fields.trimmed_text(THREAD_ID)?,
            parent_message_id: fields.trimmed_text(PARENT_MESSAGE_ID)?,
            reply_to_message_id: fields.trimmed_text(REPLY_TO_MESSAGE_ID)?,
            mentions: read_mentions(fields, &text)?,
            context_window: ContextWindow {
                id: fields.trimmed_text(CONTEXT_WINDOW_ID)?,
                max_items: fields
                    .clamped(CONTEXT_WINDOW_MAX_ITEMS, 0..=MAX_CONTEXT_ITEMS)?
                    .unwrap_or(DEFAULT_CONTEXT_ITEMS),
            },
            metadata: fields.object(METADATA)?.unwrap_or_default(),
            bubble_ttl_ms: bubble_ttl_ms(fields)?,
            cause: fields.trimmed_text(CAUSATION_ID)?,
            text,
        })
    }

    fn text(&self) -> Option<&str> {
        Some(&self.text)
    }

    fn reads(&self, actor: &ActorInRoom) -> Vec<Query> {
        self.mentions.reads(actor)
    }

    fn unresolved_mentions(
        &self,
        actor: &ActorInRoom,
        ctx: &CommandContext<'_>,
    ) -> Result<Option<Vec<ActorId>>, CommandError> {
        Ok(Some(self.mentions.addressees(actor, ctx)?.unresolved))
    }

    fn perform(
        &self,
        actor: &ActorInRoom,
        ctx: &mut CommandContext<'_>,
    ) -> Result<EmittedEvent, CommandError> {
        let Addressees { mentioned, unresolved } = self.mentions.addressees(actor, ctx)?;
        let payload = ConversationMessagePosted {
            bubble: Bubble { text: self.text.clone(), ttl_ms: self.bubble_ttl_ms },
            conversation: self.conversation(ctx.fresh_id().to_string(), mentioned.clone()),
        };
        let posted = ctx.append(actor, &payload, self.cause.as_deref())?;
        for mentioned in mentioned.iter().filter(|mentioned| **mentioned != actor.actor_id) {
            let mention = MentionCreated {
                notifies: !unresolved.contains(mentioned),
                mentioned_actor_id: mentioned.clone(),
                source_message_id: payload.conversation.message_id.clone(),
                thread_id: Some(payload.conversation.thread_id.clone()),
            };
            ctx.append(actor, &mention, Some(&posted.cause()))?;
        }
        Ok(posted)
    }
}
