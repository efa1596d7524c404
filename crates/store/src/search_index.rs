//! The index beside the log: finds messages by id and by thread, and documents by their words. It follows from the log and the
//! records, is written behind them, and can be deleted: then it is built anew.

use std::ops::ControlFlow;

use agentcafe_domain::kernel::{ActorId, EventType, InvalidId, RoomId, Sequence, TenantId};
use agentcafe_domain::search::query::WordQuery;
use agentcafe_domain::search::{self, Change, Document, DocumentKind, INDEX_VERSION, IndexEntry};
use agentcafe_eventlog::{EventFilter, EventQuery, ReadError};

use crate::postgres::search_index::PostgresIndex;
use crate::reads::{ReadConnection, ReadRequest, first_sequence};
use crate::rows::{Parameter, Row};
use crate::sql::{conditions, number, sequence};
use crate::sqlite::search_index::SqliteIndex;
use crate::storage_error::StorageError;
use crate::store::Store;

/// How many events behind its end of the log the index may be. What it lacks is read from the log, so this bounds what a read
/// costs; and it bounds what a search can miss.
const MAX_BEHIND: u64 = 20_000;
/// The most messages that are read from the log at a time.
const MAX_TAIL_PAGE: usize = 1_000;

/// The columns of an entry.
pub(crate) const COLUMNS: &str = "sequence, kind, tenant_id, room_id, id, actor_id, thread_id, reply_to";

/// Which log an index is of, and which version of this program wrote it.
pub(crate) fn identity(log_id: &str) -> String {
    format!("{INDEX_VERSION}/{log_id}")
}

/// By what messages are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageKey {
    /// The id of the message. Clients choose ids: several messages may have the same.
    Id(String),
    /// The thread.
    Thread(String),
    /// The message that they answer.
    ReplyTo(String),
}

/// Selects messages, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageQuery {
    /// Of this tenant.
    pub tenant: TenantId,
    /// With this key.
    pub key: MessageKey,
    /// Only in this room.
    pub room: Option<RoomId>,
    /// Only after this event.
    pub after: Sequence,
    /// The most messages that are returned.
    pub limit: usize,
}

impl MessageQuery {
    fn column(&self) -> (&'static str, &str) {
        match &self.key {
            MessageKey::Id(id) => ("id", id),
            MessageKey::Thread(thread) => ("thread_id", thread),
            MessageKey::ReplyTo(message) => ("reply_to", message),
        }
    }

    /// Whether it selects a message of its tenant and room.
    fn selects(&self, entry: &IndexEntry) -> bool {
        match &self.key {
            MessageKey::Id(id) => entry.id == *id,
            MessageKey::Thread(thread) => entry.thread_id.as_ref() == Some(thread),
            MessageKey::ReplyTo(message) => entry.reply_to.as_ref() == Some(message),
        }
    }
}

/// The index is too far behind the log to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexBehind {
    /// It has every event up to here.
    pub indexed_to: Sequence,
    /// The last event.
    pub head: Sequence,
}

/// Messages, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessagePage {
    /// The messages.
    pub entries: Vec<IndexEntry>,
    /// Whether there may be more after the last.
    pub has_more: bool,
    /// Set if there may be more that the index does not have yet.
    pub behind: Option<IndexBehind>,
}

/// Documents, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundDocuments {
    /// The documents.
    pub entries: Vec<IndexEntry>,
    /// Everything up to this event was searched.
    pub indexed_to: Sequence,
}

/// Why the index was not written.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct IndexError(#[from] StorageError);

/// The index of a store.
pub(crate) enum SearchIndex {
    /// In a file of its own.
    Sqlite(SqliteIndex),
    /// In tables of the same database.
    Postgres(PostgresIndex),
}

impl Store {
    /// Opens the index for its writer, and returns its cursor: it has every event up to there. An index that is missing, damaged,
    /// of another log, of another version or ahead of the log begins anew.
    ///
    /// # Errors
    /// It can be neither opened nor created right now.
    pub async fn resume_index(&self) -> Result<Sequence, IndexError> {
        let head = self.log_position().head;
        Ok(match self.index() {
            SearchIndex::Sqlite(index) => index.resume(head).await?,
            SearchIndex::Postgres(index) => index.resume(head).await?,
        })
    }

    /// Adds the documents of the events after `after` up to `to`. A document of a record replaces the one that the record had.
    /// Returns whether the cursor was at `after`; else nothing is written.
    ///
    /// # Errors
    /// Nothing was written; or everything, if the connection was lost during the commit.
    pub async fn write_index(
        &self,
        after: Sequence,
        documents: Vec<Document>,
        to: Sequence,
    ) -> Result<bool, IndexError> {
        Ok(match self.index() {
            SearchIndex::Sqlite(index) => index.write(after, documents, to).await?,
            SearchIndex::Postgres(index) => index.write(after, &documents, to).await?,
        })
    }

    /// Waits until the index must be opened again, because it is damaged.
    pub async fn index_lost(&self) {
        match self.index() {
            SearchIndex::Sqlite(index) => index.lost().await,
            SearchIndex::Postgres(_) => std::future::pending().await,
        }
    }

    /// The messages that a query selects, also those that the index does not have yet.
    pub async fn messages(&self, query: MessageQuery) -> Result<MessagePage, ReadError> {
        let request = FindMessages { identity: self.index_identity(), query: query.clone() };
        let (indexed_to, entries) = self.read_index(request).await?.unwrap_or_default();
        if entries.len() >= query.limit {
            return Ok(MessagePage { entries, has_more: true, behind: None });
        }
        // The entries are of a later moment than the cursor.
        let last = entries.last().map_or(query.after, |entry| entry.sequence);
        let (from, head) = (indexed_to.max(last), self.log_position().head);
        if head.0.saturating_sub(from.0) > MAX_BEHIND {
            let behind = Some(IndexBehind { indexed_to, head });
            return Ok(MessagePage { entries, has_more: true, behind });
        }
        self.messages_of_tail(query, from, entries).await
    }

    /// Adds the messages after the end of the index.
    async fn messages_of_tail(
        &self,
        query: MessageQuery,
        from: Sequence,
        mut entries: Vec<IndexEntry>,
    ) -> Result<MessagePage, ReadError> {
        let filter = EventFilter {
            tenant: Some(query.tenant.clone()),
            room: query.room.clone(),
            types: Some(vec![EventType::ConversationMessagePosted]),
            ..EventFilter::default()
        };
        let mut tail = EventQuery::after(filter, from, MAX_TAIL_PAGE);
        loop {
            let page = self.events(tail.clone()).await?;
            for event in &page.events {
                let Some(Change::Message(Document { entry, .. })) = search::change(event.kind, &event.json)
                else {
                    continue;
                };
                if !query.selects(&entry) {
                    continue;
                }
                if entries.len() == query.limit {
                    return Ok(MessagePage { entries, has_more: true, behind: None });
                }
                entries.push(entry);
            }
            if page.cut.is_none() {
                return Ok(MessagePage { entries, has_more: false, behind: None });
            }
            tail.after = page.scanned_to;
        }
    }

    /// The newest documents before `before` that a query selects, at most `limit`; or that the index is too far behind.
    pub async fn search(
        &self,
        query: WordQuery,
        before: Option<Sequence>,
        limit: usize,
    ) -> Result<Result<FoundDocuments, IndexBehind>, ReadError> {
        let request = SearchWords { identity: self.index_identity(), query, before, limit };
        let (indexed_to, entries) = self.read_index(request).await?.unwrap_or_default();
        let head = self.log_position().head;
        if head.0.saturating_sub(indexed_to.0) > MAX_BEHIND {
            return Ok(Err(IndexBehind { indexed_to, head }));
        }
        Ok(Ok(FoundDocuments { entries, indexed_to }))
    }

    fn index_identity(&self) -> String {
        identity(&self.log_position().log_id)
    }
}

/// The cursor of the index, and entries as of a moment not before.
type Indexed = (Sequence, Vec<IndexEntry>);

/// Reads the cursor; none if the index is of another log or version.
async fn cursor<C: ReadConnection>(connection: &C, identity: &str) -> Result<Option<Sequence>, StorageError> {
    let identity = [Parameter::Text(identity)];
    first_sequence(connection, "SELECT cursor FROM search_state WHERE identity = $1", &identity).await
}

async fn entries<C: ReadConnection>(
    connection: &C,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<Vec<IndexEntry>, StorageError> {
    let mut entries = Vec::new();
    let take = |row: &dyn Row| -> Result<_, StorageError> {
        entries.push(entry(row)?);
        Ok(ControlFlow::Continue(()))
    };
    connection.read(sql, parameters, take).await?;
    Ok(entries)
}

/// The entry in a row of [`COLUMNS`].
fn entry(row: &dyn Row) -> Result<IndexEntry, StorageError> {
    let invalid = |why: InvalidId| StorageError::Corrupt(why.to_string());
    let kind = row.text(1)?;
    let kind = DocumentKind::NAMES.iter().find(|(name, _)| *name == kind).map(|(_, kind)| *kind);
    let optional = |at: usize| Ok::<_, StorageError>(row.optional_text(at)?.map(str::to_owned));
    Ok(IndexEntry {
        sequence: sequence(row.integer(0)?),
        kind: kind.ok_or_else(|| StorageError::Corrupt("a document of another kind".to_owned()))?,
        tenant_id: TenantId::parse(row.text(2)?).map_err(invalid)?,
        room_id: RoomId::parse(row.text(3)?).map_err(invalid)?,
        id: row.text(4)?.to_owned(),
        actor_id: row.optional_text(5)?.map(ActorId::parse).transpose().map_err(invalid)?,
        thread_id: optional(6)?,
        reply_to: optional(7)?,
    })
}

/// The values of an entry, in the order of [`COLUMNS`].
pub(crate) fn entry_values(entry: &IndexEntry) -> [Parameter<'_>; 8] {
    [
        Parameter::Integer(number(entry.sequence)),
        Parameter::Text(entry.kind.as_str()),
        Parameter::Text(entry.tenant_id.as_str()),
        Parameter::Text(entry.room_id.as_str()),
        Parameter::Text(&entry.id),
        Parameter::optional(entry.actor_id.as_ref().map(ActorId::as_str)),
        Parameter::optional(entry.thread_id.as_deref()),
        Parameter::optional(entry.reply_to.as_deref()),
    ]
}

struct FindMessages {
    identity: String,
    query: MessageQuery,
}

impl ReadRequest for FindMessages {
    type Answer = Indexed;

    async fn read<C: ReadConnection>(&self, connection: &C) -> Result<Indexed, StorageError> {
        let Some(cursor) = cursor(connection, &self.identity).await? else { return Ok(Indexed::default()) };
        let MessageQuery { tenant, room, after, limit, .. } = &self.query;
        let mut sql =
            format!("SELECT {COLUMNS} FROM search_documents WHERE kind = 'message' AND sequence > $1");
        let mut parameters = vec![Parameter::Integer(number(*after))];
        let room = room.as_ref().map(|room| ("room_id", room.as_str()));
        let columns = [("tenant_id", tenant.as_str()), self.query.column()].into_iter().chain(room);
        conditions(&mut sql, &mut parameters, "", columns);
        parameters.push(Parameter::Integer(i64::try_from(*limit).unwrap_or(i64::MAX)));
        sql.push_str(&format!(" ORDER BY sequence LIMIT ${}", parameters.len()));
        Ok((cursor, entries(connection, &sql, &parameters).await?))
    }
}

struct SearchWords {
    identity: String,
    query: WordQuery,
    before: Option<Sequence>,
    limit: usize,
}

impl ReadRequest for SearchWords {
    type Answer = Indexed;

    async fn read<C: ReadConnection>(&self, connection: &C) -> Result<Indexed, StorageError> {
        let Some(cursor) = cursor(connection, &self.identity).await? else { return Ok(Indexed::default()) };
        // Nothing is in none of the scopes of a list.
        if self.query.phrases.is_empty() || self.query.scopes.iter().any(Vec::is_empty) {
            return Ok((cursor, Vec::new()));
        }
        let words = C::word_query(&self.query);
        let parameters = [
            Parameter::Text(&words),
            Parameter::Integer(self.before.map_or(i64::MAX, number)),
            Parameter::Integer(i64::try_from(self.limit).unwrap_or(i64::MAX)),
        ];
        let sql = format!("SELECT {COLUMNS} {}", C::DOCUMENTS_WITH_WORDS);
        Ok((cursor, entries(connection, &sql, &parameters).await?))
    }
}
