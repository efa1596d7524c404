//! The command `say`: an actor posts a message.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::addressees::{Addressees, Mentions};
use super::content::{Content, MessageBody};
use super::{
    Bubble, ContextWindow, Conversation, ConversationMessagePosted, ConversationRules, MentionCreated,
};
use crate::actor_command::{Action, ActorCommand, MentionReport, PresenceEffect};
use crate::kernel::{
    ActorId, ActorInRoom, CAUSATION_ID, Code, CommandContext, CommandError, DomainError, EmittedEvent, Field,
    Fields, MAX_REFERENCE_CHARS, NotifiedMessage, Query, Rules, too_large,
};
use crate::permissions::Capability;
use crate::tables::plan::Feature;

/// The most actors that one message may mention.
pub const MAX_MENTIONS: usize = 20;
/// The text.
pub(crate) const TEXT: Field = Field::new(
    "text",
    "What the actor says, in one line. @Name mentions an actor.",
    "hey @Kai, a table is free",
);
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
    content: Content,
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

fn read_mentions(fields: &Fields, text: &str, body: &str) -> Result<Mentions, DomainError> {
    let mentions = Mentions::new(given_mentions(fields)?, text, body);
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
            mentions: Mentions::new(reply.mentions, &reply.text, "").at_most(MAX_MENTIONS),
            context_window: ContextWindow { id: None, max_items: DEFAULT_CONTEXT_ITEMS },
            text: reply.text,
            content: Content::default(),
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
        let body = self.content.body.as_ref();
        let (body_chars, preview) = body.map(|body| (body.chars, body.preview.clone())).unzip();
        Conversation {
            thread_id: thread_id.clone(),
            parent_message_id: self.parent_message_id.clone(),
            reply_to_message_id: self.reply_to_message_id.clone(),
            mentions,
            context_window: self.context_window.clone(),
            text: self.text.clone(),
            body: None,
            body_chars,
            preview,
            attachments: self.content.attachments.clone(),
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
        let rules = *rules.get::<ConversationRules>();
        let text = fields.required_text(TEXT.up_to(rules.max_message_chars)).map_err(to_body)?;
        let content = Content::read(fields, rules)?;
        Ok(Self {
            message_id: fields.trimmed_text(MESSAGE_ID)?,
            thread_id: fields.trimmed_text(THREAD_ID)?,
            parent_message_id: fields.trimmed_text(PARENT_MESSAGE_ID)?,
            reply_to_message_id: fields.trimmed_text(REPLY_TO_MESSAGE_ID)?,
            mentions: read_mentions(fields, &text, content.body.as_ref().map_or("", |body| &body.text))?,
            context_window: ContextWindow {
                id: fields.trimmed_text(CONTEXT_WINDOW_ID)?,
                max_items: fields
                    .clamped(CONTEXT_WINDOW_MAX_ITEMS, 0..=MAX_CONTEXT_ITEMS)?
                    .unwrap_or(DEFAULT_CONTEXT_ITEMS),
            },
            metadata: fields.object(METADATA)?.unwrap_or_default(),
            bubble_ttl_ms: bubble_ttl_ms(fields)?,
            cause: fields.trimmed_text(CAUSATION_ID)?,
            content,
            text,
        })
    }

    fn said(&self) -> Option<Cow<'_, str>> {
        Some(match &self.content.body {
            None => Cow::Borrowed(&self.text),
            Some(body) => format!("{}\n{}", self.text, body.hash).into(),
        })
    }

    fn reads(&self, actor: &ActorInRoom) -> Vec<Query> {
        self.mentions.reads(actor)
    }

    fn mentions(
        &self,
        actor: &ActorInRoom,
        ctx: &CommandContext<'_>,
    ) -> Result<Option<MentionReport>, CommandError> {
        let addressees = self.mentions.addressees(actor, ctx)?;
        let states = addressees.states(actor, ctx)?;
        Ok(Some(MentionReport { addressees: states, unresolved_mentions: addressees.unresolved }))
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
        if let Some(body) = &self.content.body {
            let ActorInRoom { tenant_id, room_id, .. } = actor.clone();
            ctx.put(&MessageBody { sequence: posted.sequence, tenant_id, room_id, body: body.text.clone() });
        }
        let Conversation { message_id, thread_id, text, preview, .. } = payload.conversation;
        let notified = NotifiedMessage { message_id, text, preview };
        for mentioned in mentioned.iter().filter(|mentioned| **mentioned != actor.actor_id) {
            let mention = MentionCreated {
                notified: (!unresolved.contains(mentioned)).then(|| notified.clone()),
                mentioned_actor_id: mentioned.clone(),
                source_message_id: notified.message_id.clone(),
                thread_id: Some(thread_id.clone()),
            };
            ctx.append(actor, &mention, Some(&posted.cause()))?;
        }
        Ok(posted)
    }
}

/// The error of a text that is too long says where the rest belongs.
fn to_body(error: DomainError) -> DomainError {
    match error.code {
        Code::OutOfBounds => {
            let message = format!("{}; put the rest into body", error.message);
            error.saying(message)
        }
        _ => error,
    }
}
