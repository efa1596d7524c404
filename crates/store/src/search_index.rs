//! The index beside the log: finds messages by id and by thread, and documents by their words. It follows from the log and the
//! records, is written behind them, and can be deleted: then it is built anew.

use agentcafe_domain::kernel::{EventType, Sequence};
use agentcafe_domain::search::query::WordQuery;
use agentcafe_domain::search::{self, Change, Document, IndexEntry};
use agentcafe_eventlog::{EventFilter, EventQuery, ReadError};

use crate::index_rows::{FindMessages, MessageQuery, SearchWords, identity};
use crate::storage_error::StorageError;
use crate::store::{SearchIndex, Store};

/// How many events behind its end of the log the index may be. What it lacks is read from the log, so this bounds what a read
/// costs; and it bounds what a search can miss.
const MAX_BEHIND: u64 = 20_000;
/// The most messages that are read from the log at a time.
const MAX_TAIL_PAGE: usize = 1_000;

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
