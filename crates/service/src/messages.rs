//! Messages by their id, and threads.

use agentcafe_domain::kernel::{
    ActorId, CURSOR, Code, DomainError, Event, Field, Fields, OperationError, ROOM_FILTER, RoomId, Sequence,
    TenantId, Timestamp,
};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::search::IndexEntry;
use agentcafe_eventlog::{LoggedEvent, MAX_PAGE_BYTES};
use agentcafe_store::{IndexBehind, MessageKey, MessageQuery};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::operation::{Call, Operation, parameters};
use crate::read_access;

const VIEW: Field = Field::new(
    "view",
    "lines: one line of text for each message; full: whole messages. Default: lines.",
    "full",
);

const LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;
/// The most messages with one id that are examined: clients choose ids, each in its rooms.
const MAX_SAME_ID: usize = 200;
/// The most pages of a thread that one request examines; only a page with messages of rooms that the caller may not read is
/// followed by another.
const MAX_PAGES: usize = 5;

/// The index does not have everything yet, so what was not found may exist.
pub(crate) fn behind(IndexBehind { indexed_to, head }: IndexBehind) -> OperationError {
    let message = "the index of messages is being built; try again";
    let mut error = OperationError::unavailable(message);
    error.error = error.error.with("indexedTo", indexed_to.0).with("head", head.0);
    error
}

/// A message.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The place of its event in the log.
    sequence: Sequence,
    /// Its event.
    event_id: Uuid,
    /// When it was posted.
    at: Timestamp,
    tenant_id: TenantId,
    room_id: RoomId,
    /// The author.
    actor_id: ActorId,
    /// The message.
    message_id: String,
    /// The thread that it belongs to.
    thread_id: String,
    /// The message and its place in the conversation, as in its event, and its body.
    conversation: Map<String, Value>,
}

/// A message on one line.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageLine {
    /// The message.
    message_id: String,
    /// The place of its event in the log.
    sequence: Sequence,
    /// When it was posted.
    at: Timestamp,
    /// The author.
    actor_id: ActorId,
    /// The text.
    text: String,
    /// The length of the body in characters; missing: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_chars: Option<u64>,
    /// The message that it answers, else the one above it in its thread.
    reply_to: Option<String>,
    /// The mentioned actors.
    mentions: Value,
}

/// Reads the event of an entry.
fn conversation(event: &LoggedEvent) -> Option<(Event, Map<String, Value>)> {
    let mut event: Event = serde_json::from_slice(&event.json).ok()?;
    let conversation = event.payload.remove("conversation");
    match conversation {
        Some(Value::Object(conversation)) => Some((event, conversation)),
        _ => None,
    }
}

impl Message {
    fn new(entry: IndexEntry, event: &LoggedEvent) -> Option<Self> {
        let (event, conversation) = conversation(event)?;
        Some(Self {
            sequence: event.sequence,
            event_id: event.event_id,
            at: event.timestamp,
            tenant_id: event.tenant_id,
            room_id: event.room_id,
            actor_id: event.actor_id,
            message_id: entry.id,
            thread_id: entry.thread_id?,
            conversation,
        })
    }
}

impl MessageLine {
    fn new(entry: IndexEntry, event: &LoggedEvent) -> Option<Self> {
        let (event, mut conversation) = conversation(event)?;
        Some(Self {
            message_id: entry.id,
            sequence: event.sequence,
            at: event.timestamp,
            actor_id: event.actor_id,
            text: conversation.get("text")?.as_str()?.to_owned(),
            body_chars: conversation.get("bodyChars").and_then(Value::as_u64),
            reply_to: entry.reply_to,
            mentions: conversation.remove("mentions").unwrap_or_else(|| Value::Array(Vec::new())),
        })
    }
}

/// Reads the events of entries, with bodies if they are shown in full, as many as a page holds, and shows each. Also returns the last of them if it holds no more.
async fn shown<T>(
    call: &Call<'_>,
    entries: Vec<IndexEntry>,
    is_full: bool,
    show: fn(IndexEntry, &LoggedEvent) -> Option<T>,
) -> Result<(Vec<T>, Option<Sequence>), OperationError> {
    let sequences: Vec<Sequence> = entries.iter().map(|entry| entry.sequence).collect();
    let wanted = sequences.len();
    let store = call.service.store();
    let events = match is_full {
        true => store.events_with_bodies_at(sequences, MAX_PAGE_BYTES).await?,
        false => store.events_at(sequences, MAX_PAGE_BYTES).await?,
    };
    let cut_at = events.last().map(|last| last.sequence).filter(|_| events.len() < wanted);
    let mut entries = entries.into_iter();
    let mut entry_of = |event: &LoggedEvent| entries.find(|entry| entry.sequence == event.sequence);
    Ok((events.iter().filter_map(|event| show(entry_of(event)?, event)).collect(), cut_at))
}

/// Who reads, and where.
struct Reader {
    tenant: TenantId,
    room: Option<RoomId>,
    viewer: Option<ActorId>,
}

impl Reader {
    fn read(fields: &Fields) -> Result<Self, DomainError> {
        let (tenant, room) = (fields.tenant_or_default()?, fields.reachable_room(ROOM_FILTER)?);
        Ok(Self { tenant, room, viewer: read_access::viewer(fields)? })
    }

    fn query(&self, key: MessageKey, after: Sequence, limit: usize) -> MessageQuery {
        MessageQuery { tenant: self.tenant.clone(), key, room: self.room.clone(), after, limit }
    }
}

parameters! {
    /// Reads one message.
    GetMessage(fields, input) {
        id: String = input.id.clone(),
        reader: Reader = Reader::read(fields)?,
    }
}

/// One message.
#[derive(Serialize, JsonSchema)]
pub struct OneMessage {
    /// The message.
    message: Message,
}

impl Operation for GetMessage {
    type Output = OneMessage;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<OneMessage, OperationError> {
        let Self { id, reader } = self;
        let query = reader.query(MessageKey::Id(id.clone()), Sequence::START, MAX_SAME_ID);
        let page = call.service.store().messages(query).await?;
        let principal = &call.caller.principal;
        let is_reached = |entry: &IndexEntry| principal.reaches(&entry.tenant_id, Some(&entry.room_id));
        let mut refusal = None;
        for entry in page.entries.into_iter().filter(is_reached) {
            match call.service.may_read(&entry.tenant_id, &entry.room_id, reader.viewer.as_ref()).await {
                Ok(()) => {
                    let (messages, _) = shown(call, vec![entry], true, Message::new).await?;
                    let message = messages.into_iter().next().ok_or_else(OperationError::internal)?;
                    return Ok(OneMessage { message });
                }
                Err(error) => {
                    refusal.get_or_insert(error);
                }
            }
        }
        let refusal = refusal.or_else(|| page.behind.map(behind));
        Err(refusal.unwrap_or_else(|| not_found("messageId", &id).into()))
    }
}

fn not_found(field: &str, id: &str) -> DomainError {
    let error = DomainError::new(Code::NotFound).saying("there is none that this caller may read");
    error.with(field, id)
}

parameters! {
    /// Lists the messages of a thread, oldest first.
    ReadThread(fields, input) {
        id: String = input.id.clone(),
        reader: Reader = Reader::read(fields)?,
        is_full: bool = fields.choice(VIEW, &[("lines", false), ("full", true)])?.unwrap_or(false),
        cursor: Option<Sequence> = fields.sequence(CURSOR)?,
        limit: usize = fields.limit(LIMIT, MAX_LIMIT)?,
    }
}

/// The messages of a thread in one of its views.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ThreadMessages {
    /// With `view=full`.
    Full(Vec<Message>),
    /// Otherwise.
    Lines(Vec<MessageLine>),
}

/// A page of a thread.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Thread {
    tenant_id: TenantId,
    /// The thread.
    thread_id: String,
    /// The messages, oldest first.
    messages: ThreadMessages,
    /// The number of entries in this answer.
    count: usize,
    /// The cursor to continue from; unchanged if nothing was found.
    next_cursor: Sequence,
    /// Whether there may be more messages after `nextCursor` already.
    has_more: bool,
}

/// What a request reads of a thread.
struct ThreadPage {
    entries: Vec<IndexEntry>,
    next_cursor: Sequence,
    has_more: bool,
}

impl ReadThread {
    /// Collects the entries that the caller may read.
    async fn page(&self, call: &Call<'_>) -> Result<ThreadPage, OperationError> {
        let (reader, given) = (&self.reader, self.cursor.unwrap_or(Sequence::START));
        let mut page = ThreadPage { entries: Vec::new(), next_cursor: given, has_more: true };
        for _ in 0..MAX_PAGES {
            let left = self.limit - page.entries.len();
            let query = reader.query(MessageKey::Thread(self.id.clone()), page.next_cursor, left);
            let mut found = call.service.store().messages(query).await?;
            page.has_more = found.has_more;
            page.next_cursor = found.entries.last().map_or(page.next_cursor, |last| last.sequence);
            let (principal, viewer) = (&call.caller.principal, reader.viewer.as_ref());
            call.service.retain_visible(&mut found.entries, principal, viewer).await?;
            page.entries.append(&mut found.entries);
            match found.behind {
                Some(missing) if page.entries.is_empty() => return Err(behind(missing)),
                None if page.has_more && page.entries.len() < self.limit => {}
                _ => break,
            }
        }
        Ok(page)
    }
}

impl Operation for ReadThread {
    type Output = Thread;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<Thread, OperationError> {
        let ThreadPage { entries, mut next_cursor, mut has_more } = self.page(call).await?;
        if entries.is_empty() && !has_more && self.cursor.is_none() {
            return Err(not_found("threadId", &self.id).into());
        }
        let (messages, count, cut_at) = if self.is_full {
            let (messages, cut_at) = shown(call, entries, true, Message::new).await?;
            let count = messages.len();
            (ThreadMessages::Full(messages), count, cut_at)
        } else {
            let (lines, cut_at) = shown(call, entries, false, MessageLine::new).await?;
            let count = lines.len();
            (ThreadMessages::Lines(lines), count, cut_at)
        };
        if let Some(last) = cut_at {
            (next_cursor, has_more) = (last, true);
        }
        let (tenant_id, thread_id) = (self.reader.tenant, self.id);
        Ok(Thread { tenant_id, thread_id, messages, count, next_cursor, has_more })
    }
}
