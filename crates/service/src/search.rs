//! Search: messages, rooms, tasks and shared objects by their words.

use std::sync::Arc;

use agentcafe_domain::kernel::{
    ACTOR_FILTER, ActorId, Binding, Code, DomainError, Field, Fields, Key, OperationError, ROOM_FILTER,
    Record, RoomId, Sequence, TenantId,
};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::objects::SharedObject;
use agentcafe_domain::rooms::Room;
use agentcafe_domain::search::query::WordQuery;
use agentcafe_domain::search::{self, Change, DocumentKind, IndexEntry, SearchScope, Searchable, snippet};
use agentcafe_domain::tasks::Task;
use agentcafe_eventlog::{LoggedEvent, MAX_PAGE_BYTES};
use agentcafe_store::FoundDocuments;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::messages::behind;
use crate::operation::{Call, Operation, parameters};
use crate::read_access;

const QUERY: Field = Field::new(
    "q",
    "Words that are all to be found; \"words in quotes\" follow each other; the last word may be a beginning.",
    "deploy failed",
)
.up_to(400);
const KINDS: Field =
    Field::new("kinds", "Only these, separated by commas: message, room, task, object.", "message,task");
const THREAD: Field = Field::new("threadId", "Only messages of this thread.", "thread-1");
const BEFORE: Field = Field::new("cursor", "Continue here: the nextCursor of the page before.", "");

/// What is encoded in a segment or a parameter of a path.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

const LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;
/// The most pages of the index that one request examines; only a page with hits that the caller may not read is followed by
/// another.
const MAX_PAGES: usize = 5;

parameters! {
    /// Searches messages, rooms, tasks and shared objects, the last changed first.
    Search(fields) {
        query: WordQuery = words(fields)?,
        kinds: Vec<DocumentKind> = kinds(fields)?,
        tenant: TenantId = fields.tenant_or_default()?,
        room: Option<RoomId> = fields.reachable_room(ROOM_FILTER)?,
        thread: Option<String> = fields.trimmed_text(THREAD)?,
        actor: Option<ActorId> = fields.actor(ACTOR_FILTER)?,
        viewer: Option<ActorId> = read_access::viewer(fields)?,
        cursor: Option<Sequence> = fields.sequence(BEFORE)?,
        limit: usize = fields.limit(LIMIT, MAX_LIMIT)?,
    }
}

fn words(fields: &Fields) -> Result<WordQuery, DomainError> {
    let query = WordQuery::parse(&fields.required_text(QUERY)?);
    if query.phrases.is_empty() {
        return Err(DomainError::invalid(QUERY.name, "q must have a letter or a digit"));
    }
    Ok(query)
}

fn kinds(fields: &Fields) -> Result<Vec<DocumentKind>, DomainError> {
    let kind = |name: &String| {
        let known = DocumentKind::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(_, kind)| *kind).ok_or_else(|| KINDS.not_one_of(Code::InvalidEnum, &DocumentKind::NAMES))
    };
    fields.names(KINDS).iter().map(kind).collect()
}

/// Something that was found.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hit {
    /// What it is.
    kind: DocumentKind,
    /// The id of the message, room, task or object.
    id: String,
    room_id: RoomId,
    /// The author of a message, the creator of a task or object, the owner of a room.
    actor_id: Option<ActorId>,
    /// The thread of a message.
    thread_id: Option<String>,
    /// The event that created it, or changed it last.
    sequence: Sequence,
    /// The part of its text around the first word that was found.
    snippet: String,
    /// Where it can be read, for the same tenant and viewer.
    path: String,
}

/// A page of what was found, the last changed first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hits {
    /// What was found.
    hits: Vec<Hit>,
    /// The number of entries in this answer.
    count: usize,
    /// The cursor of the next page; null when nothing more is found. A page can be short and still have one.
    next_cursor: Option<Sequence>,
    /// Everything up to this event was searched.
    indexed_to: Sequence,
}

impl Operation for Search {
    type Output = Hits;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<Hits, OperationError> {
        if let Some(room) = &self.room {
            call.service.may_read(&self.tenant, room, self.viewer.as_ref()).await?;
        }
        let query = self.scoped(call.caller.principal.binding().map(Arc::as_ref));
        let (mut entries, mut next_cursor, mut indexed_to) = (Vec::new(), self.cursor, None);
        for _ in 0..MAX_PAGES {
            let left = self.limit - entries.len();
            let found = call.service.store().search(query.clone(), next_cursor, left).await?;
            let FoundDocuments { entries: mut found, indexed_to: searched } = found.map_err(behind)?;
            indexed_to.get_or_insert(searched);
            let is_last = found.len() < left;
            next_cursor = found.last().map(|last| last.sequence).filter(|_| !is_last);
            let (principal, viewer) = (&call.caller.principal, self.viewer.as_ref());
            call.service.retain_visible(&mut found, principal, viewer).await?;
            entries.append(&mut found);
            if is_last || entries.len() == self.limit {
                break;
            }
        }
        let hits = hits(call, entries, &query).await?;
        let indexed_to = indexed_to.unwrap_or(Sequence::START);
        Ok(Hits { count: hits.len(), hits, next_cursor, indexed_to })
    }
}

impl Search {
    /// The query within what was asked for and the caller's key reaches.
    fn scoped(&self, binding: Option<&Binding>) -> WordQuery {
        let tenant = &self.tenant;
        let mut query = self.query.clone().within([SearchScope::Tenant(tenant)]);
        if !self.kinds.is_empty() {
            query = query.within(self.kinds.iter().map(|kind| SearchScope::Kind(*kind)));
        }
        if let Some(room) = &self.room {
            query = query.within([SearchScope::Room(tenant, room.as_str())]);
        } else if let Some(binding) = binding.filter(|binding| !binding.rooms.is_any()) {
            let rooms = binding.rooms.as_slice().iter();
            query = query.within(rooms.map(|pattern| SearchScope::of_rooms(tenant, pattern)));
        }
        if let Some(actor) = &self.actor {
            query = query.within([SearchScope::Actor(actor)]);
        }
        if let Some(thread) = &self.thread {
            query = query.within([SearchScope::Thread(thread)]);
        }
        query
    }
}

/// Shows entries, each with a snippet of its text as it is now.
async fn hits(
    call: &Call<'_>,
    entries: Vec<IndexEntry>,
    query: &WordQuery,
) -> Result<Vec<Hit>, OperationError> {
    let messages = entries.iter().filter(|entry| entry.kind == DocumentKind::Message);
    let sequences = messages.map(|entry| entry.sequence).collect();
    let mut messages = whole_messages(call, sequences).await?.into_iter().peekable();
    let mut hits = Vec::with_capacity(entries.len());
    for entry in entries {
        let text = match entry.kind {
            DocumentKind::Message => messages
                .next_if(|event| event.sequence == entry.sequence)
                .and_then(|event| message_text(&event)),
            _ => record_text(call, &entry).await?,
        };
        let (path, snippet) = (path(&entry), snippet(&text.unwrap_or_default(), query));
        let IndexEntry { kind, id, room_id, actor_id, thread_id, sequence, .. } = entry;
        hits.push(Hit { kind, id, room_id, actor_id, thread_id, sequence, snippet, path });
    }
    Ok(hits)
}

/// The events with these sequences, with bodies, in this order.
async fn whole_messages(
    call: &Call<'_>,
    mut sequences: Vec<Sequence>,
) -> Result<Vec<LoggedEvent>, OperationError> {
    let mut events = Vec::with_capacity(sequences.len());
    while !sequences.is_empty() {
        let read = call.service.store().events_with_bodies_at(sequences.clone(), MAX_PAGE_BYTES).await?;
        let last = read.last().map(|event| event.sequence);
        let at = sequences.iter().position(|sequence| Some(*sequence) == last);
        sequences.drain(..at.map_or(sequences.len(), |at| at + 1));
        events.extend(read);
    }
    Ok(events)
}

fn message_text(event: &LoggedEvent) -> Option<String> {
    match search::change(event.kind, &event.json)? {
        Change::Message(document) => Some(document.text),
        Change::Record(_) => None,
    }
}

async fn record_text(call: &Call<'_>, entry: &IndexEntry) -> Result<Option<String>, OperationError> {
    let uuid = || Uuid::parse_str(&entry.id).unwrap_or_default();
    match entry.kind {
        DocumentKind::Message => Ok(None),
        DocumentKind::Room => {
            text_of::<Room>(call, entry, vec![(&entry.tenant_id).into(), (&entry.room_id).into()]).await
        }
        DocumentKind::Task => text_of::<Task>(call, entry, Task::key_of(uuid())).await,
        DocumentKind::Object => text_of::<SharedObject>(call, entry, SharedObject::key_of(uuid())).await,
    }
}

async fn text_of<R: Record + Searchable>(
    call: &Call<'_>,
    entry: &IndexEntry,
    key: Key,
) -> Result<Option<String>, OperationError> {
    let record: Option<R> = call.service.get(key).await?;
    Ok(record.map(|record| record.document(entry.sequence).text))
}

/// Where a document can be read.
fn path(entry: &IndexEntry) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let id = encoded(&entry.id);
    match entry.kind {
        DocumentKind::Message => format!("/v1/messages/{id}?roomId={}", encoded(entry.room_id.as_str())),
        DocumentKind::Room => format!("/v1/rooms/{id}"),
        DocumentKind::Task => format!("/v1/tasks/{id}"),
        DocumentKind::Object => format!("/v1/objects/{id}"),
    }
}
