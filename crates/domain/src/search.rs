//! What is searched: the documents of the index beside the log, and which events change them.

pub mod query;
mod snippet;
pub mod words;

use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use self::snippet::snippet;
use crate::kernel::{ActorId, EventType, RoomId, Sequence, TenantId, hex, wire_enum};
use crate::objects::SharedObject;
use crate::rooms::Room;
use crate::tasks::Task;

/// The version of what [`changes`] and the documents contain. An index of another version is built anew.
pub const INDEX_VERSION: u32 = 1;

/// The types of events that change a document.
pub const INDEXED_TYPES: [EventType; 7] = [
    EventType::ConversationMessagePosted,
    EventType::RoomCreated,
    EventType::RoomUpdated,
    EventType::TaskCreated,
    EventType::TaskUpdated,
    EventType::SharedObjectCreated,
    EventType::SharedObjectUpdated,
];

wire_enum! {
    /// What a document is about.
    #[derive(JsonSchema)]
    pub enum DocumentKind {
        /// A message.
        Message = "message",
        /// A room that has a record.
        Room = "room",
        /// A task.
        Task = "task",
        /// A shared object.
        Object = "object",
    }
}

/// An entry of the index: what a document is about, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The event that created the document, or changed it last.
    pub sequence: Sequence,
    /// What it is about.
    pub kind: DocumentKind,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// The id of the message, room, task or object.
    pub id: String,
    /// The author of the message, or the creator of the task or object.
    pub actor_id: Option<ActorId>,
    /// The thread of the message.
    pub thread_id: Option<String>,
    /// The message that this one answers, else the one above it in its thread.
    pub reply_to: Option<String>,
}

/// An entry of the index, and the text in which words are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What it is about.
    pub entry: IndexEntry,
    /// The text.
    pub text: String,
}

/// A restriction of a search: documents have an invisible word for each that they satisfy.
#[derive(Clone, Copy, Debug)]
pub enum SearchScope<'s> {
    /// Of this tenant.
    Tenant(&'s TenantId),
    /// In this room.
    Room(&'s TenantId, &'s str),
    /// In a room whose id begins so; the prefix ends in a slash.
    RoomPrefix(&'s TenantId, &'s str),
    /// About this kind of thing.
    Kind(DocumentKind),
    /// By this actor.
    Actor(&'s ActorId),
    /// In this thread.
    Thread(&'s str),
}

impl<'s> SearchScope<'s> {
    /// The scope of a pattern of rooms: of one id, or of a prefix (see [`crate::kernel::IdPatterns`]).
    pub fn of_rooms(tenant: &'s TenantId, pattern: &'s str) -> Self {
        if pattern.ends_with('/') { Self::RoomPrefix(tenant, pattern) } else { Self::Room(tenant, pattern) }
    }

    /// The word: a character that no word of a text has, and a hash. Equal hashes of different scopes are possible, so a hit is
    /// checked all the same.
    pub fn word(self) -> String {
        let (kind, parts) = match self {
            Self::Tenant(tenant) => ('t', [tenant.as_str(), ""]),
            Self::Room(tenant, room) => ('r', [tenant.as_str(), room]),
            Self::RoomPrefix(tenant, prefix) => ('p', [tenant.as_str(), prefix]),
            Self::Kind(kind) => ('k', [kind.as_str(), ""]),
            Self::Actor(actor) => ('a', [actor.as_str(), ""]),
            Self::Thread(thread) => ('c', [thread, ""]),
        };
        let hash = Sha256::digest(parts.join("\0"));
        format!("\u{e000}{kind}{}", hex(&hash[..8]))
    }
}

impl IndexEntry {
    /// The words of the scopes that the document belongs to.
    pub fn scope_words(&self) -> impl Iterator<Item = String> {
        let room = self.room_id.as_str();
        // A key may be bound to any prefix of the room's id that ends in a slash.
        let prefixes = room.match_indices('/').map(move |(at, slash)| &room[..at + slash.len()]);
        let prefixes = prefixes.map(move |prefix| SearchScope::RoomPrefix(&self.tenant_id, prefix));
        let actor = self.actor_id.as_ref().map(SearchScope::Actor);
        let thread = self.thread_id.as_deref().map(SearchScope::Thread);
        let (tenant, kind) = (SearchScope::Tenant(&self.tenant_id), SearchScope::Kind(self.kind));
        let scopes = [tenant, kind, SearchScope::Room(&self.tenant_id, room)].into_iter();
        scopes.chain(prefixes).chain(actor).chain(thread).map(SearchScope::word)
    }
}

/// The most words of a text that are indexed, and the most bytes of them: as many as PostgreSQL takes.
const MAX_WORDS: usize = 16_000;
const MAX_WORD_BYTES: usize = 1 << 19;
/// The longest id of a message or thread that is indexed, in bytes: longer ones come only with imported events. An id with the
/// character 0 is not indexed either, because PostgreSQL does not take it.
const MAX_REFERENCE_BYTES: usize = 1_024;

impl Document {
    /// The words under which it is indexed: those of its text in order, and those of its scopes behind them.
    pub fn words(&self) -> impl Iterator<Item = String> {
        let mut left = MAX_WORD_BYTES;
        let fits = move |word: &String| {
            let is_fit = word.len() <= left;
            left = left.saturating_sub(word.len());
            is_fit
        };
        let words = words::words(&self.text).map(|word| word.text).take(MAX_WORDS).take_while(fits);
        words.chain(self.entry.scope_words())
    }
}

/// What an event changes in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is a message.
    Message(Document),
    /// It changed a record, whose document is that of the record as it is now.
    Record(RecordId),
}

/// Names a record that has a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RecordId {
    /// A room.
    Room(TenantId, RoomId),
    /// A task.
    Task(Uuid),
    /// A shared object.
    Object(Uuid),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexedEvent {
    sequence: Sequence,
    tenant_id: TenantId,
    room_id: RoomId,
    actor_id: ActorId,
    payload: IndexedPayload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexedPayload {
    conversation: Option<IndexedMessage>,
    task_id: Option<Uuid>,
    object_id: Option<Uuid>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexedMessage {
    message_id: String,
    thread_id: Option<String>,
    parent_message_id: Option<String>,
    reply_to_message_id: Option<String>,
    text: String,
    body: Option<String>,
}

/// What an event of one of the [`INDEXED_TYPES`] changes; none for an imported event without the members of its type.
pub fn change(kind: EventType, json: &[u8]) -> Option<Change> {
    let event: IndexedEvent = serde_json::from_slice(json).ok()?;
    let record = match kind {
        EventType::ConversationMessagePosted => return message(event).map(Change::Message),
        EventType::RoomCreated | EventType::RoomUpdated => RecordId::Room(event.tenant_id, event.room_id),
        EventType::TaskCreated | EventType::TaskUpdated => RecordId::Task(event.payload.task_id?),
        EventType::SharedObjectCreated | EventType::SharedObjectUpdated => {
            RecordId::Object(event.payload.object_id?)
        }
        _ => return None,
    };
    Some(Change::Record(record))
}

fn message(event: IndexedEvent) -> Option<Document> {
    let message = event.payload.conversation?;
    let ids = [
        Some(&message.message_id),
        message.thread_id.as_ref(),
        message.reply_to_message_id.as_ref(),
        message.parent_message_id.as_ref(),
    ];
    if ids.into_iter().flatten().any(|id| id.len() > MAX_REFERENCE_BYTES || id.contains('\0')) {
        return None;
    }
    let entry = IndexEntry {
        sequence: event.sequence,
        kind: DocumentKind::Message,
        tenant_id: event.tenant_id,
        room_id: event.room_id,
        actor_id: Some(event.actor_id),
        thread_id: Some(message.thread_id.unwrap_or_else(|| message.message_id.clone())),
        reply_to: message.reply_to_message_id.or(message.parent_message_id),
        id: message.message_id,
    };
    Some(document(entry, [Some(&message.text), message.body.as_deref()]))
}

/// A record that has a document.
pub trait Searchable {
    /// Its document; `sequence` is that of the event that changed it last.
    fn document(&self, sequence: Sequence) -> Document;
}

fn document<const N: usize>(entry: IndexEntry, texts: [Option<&str>; N]) -> Document {
    Document { entry, text: texts.into_iter().flatten().collect::<Vec<_>>().join("\n") }
}

fn entry(
    kind: DocumentKind,
    id: String,
    (tenant, room): (&TenantId, &RoomId),
    actor: Option<&ActorId>,
    sequence: Sequence,
) -> IndexEntry {
    IndexEntry {
        sequence,
        kind,
        tenant_id: tenant.clone(),
        room_id: room.clone(),
        id,
        actor_id: actor.cloned(),
        thread_id: None,
        reply_to: None,
    }
}

impl Searchable for Room {
    fn document(&self, sequence: Sequence) -> Document {
        let (id, room) = (self.room_id.as_str(), (&self.tenant_id, &self.room_id));
        let owner = self.owner_actor_id.as_ref();
        let entry = entry(DocumentKind::Room, id.to_owned(), room, owner, sequence);
        document(entry, [self.display_name.as_deref(), Some(id)])
    }
}

impl Searchable for Task {
    fn document(&self, sequence: Sequence) -> Document {
        let (id, room) = (self.task_id.to_string(), (&self.tenant_id, &self.room_id));
        let entry = entry(DocumentKind::Task, id, room, Some(&self.created_by), sequence);
        document(entry, [Some(&self.title), self.description.as_deref()])
    }
}

impl Searchable for SharedObject {
    fn document(&self, sequence: Sequence) -> Document {
        let (id, room) = (self.object_id.to_string(), (&self.tenant_id, &self.room_id));
        let entry = entry(DocumentKind::Object, id, room, Some(&self.created_by), sequence);
        document(entry, [self.title.as_deref(), self.object_key.as_deref(), self.content.as_deref()])
    }
}
