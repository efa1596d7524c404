//! The rows of the index beside the log, and the statements that both databases find them with.

use std::ops::ControlFlow;

use agentcafe_domain::kernel::{ActorId, InvalidId, RoomId, Sequence, TenantId};
use agentcafe_domain::search::query::WordQuery;
use agentcafe_domain::search::{DocumentKind, INDEX_VERSION, IndexEntry};

use crate::reads::{ReadConnection, ReadRequest, first_sequence};
use crate::rows::{Parameter, Row};
use crate::sql::{conditions, number, sequence};
use crate::storage_error::StorageError;

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
    pub(crate) fn selects(&self, entry: &IndexEntry) -> bool {
        match &self.key {
            MessageKey::Id(id) => entry.id == *id,
            MessageKey::Thread(thread) => entry.thread_id.as_ref() == Some(thread),
            MessageKey::ReplyTo(message) => entry.reply_to.as_ref() == Some(message),
        }
    }
}

/// The cursor of the index, and entries as of a moment not before.
pub(crate) type Indexed = (Sequence, Vec<IndexEntry>);

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

/// Reads the cursor, and the messages that a query selects.
pub(crate) struct FindMessages {
    pub(crate) identity: String,
    pub(crate) query: MessageQuery,
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

/// Reads the cursor, and the newest documents with words.
pub(crate) struct SearchWords {
    pub(crate) identity: String,
    pub(crate) query: WordQuery,
    pub(crate) before: Option<Sequence>,
    pub(crate) limit: usize,
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
