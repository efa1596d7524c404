//! Idempotency keys: written in the order they come, found by a hash.
//!
//! A hash has no order that writing could follow: kept in an index at once, every key would dirty a page of its own,
//! and the more keys there are the more each costs. So the index is behind: the newest keys are found in memory, and
//! once there is a generation of them they go into the index sorted, a slice with each turn, many to a page.

use std::collections::HashMap;

use agentcafe_domain::{
    command::{Reply, Success},
    idempotency::Hash,
    ids::CorrelationId,
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::turn::StoredKey;

/// How many keys go into the index together: enough that a page of a large index takes several of them.
const GENERATION: usize = 65_536;
/// How many keys a turn puts into the index for each key it brings: a generation is done before the next is full.
const MERGED_PER_NEW: usize = 2;

type Id = i64;

/// Where the keys are that the index does not have yet.
pub(crate) struct Keys {
    next_id: Id,
    /// The newest keys.
    recent: HashMap<Hash, Id>,
    /// The generation that goes into the index, sorted; those before `merged` are in it.
    merging: Vec<(Hash, Id)>,
    merged: usize,
    /// What the turn under way has added and merged; forgotten if it fails.
    turn: TurnKeys,
}

#[derive(Default)]
struct TurnKeys {
    added: Vec<(Hash, Id)>,
    merged: usize,
}

impl Keys {
    /// Reads the keys that the index does not have yet.
    pub(crate) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let merged_id: Id =
            connection.query_row("SELECT merged_id FROM idempotency_progress", [], |row| row.get(0))?;
        let mut statement =
            connection.prepare("SELECT identity, id FROM idempotency_keys WHERE id > ?1 ORDER BY id")?;
        let recent: HashMap<Hash, Id> =
            statement.query_map([merged_id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        let last_id = recent.values().copied().max().unwrap_or(0).max(merged_id);
        Ok(Self { next_id: last_id + 1, recent, merging: Vec::new(), merged: 0, turn: TurnKeys::default() })
    }

    fn id_of(&self, connection: &Connection, identity: Hash) -> rusqlite::Result<Option<Id>> {
        if let Some(id) = self.recent.get(&identity) {
            return Ok(Some(*id));
        }
        if let Ok(at) = self.merging.binary_search_by_key(&identity, |(hash, _)| *hash) {
            return Ok(Some(self.merging[at].1));
        }
        connection
            .prepare_cached("SELECT id FROM idempotency_index WHERE identity = ?1 ORDER BY id DESC LIMIT 1")?
            .query_row([identity], |row| row.get(0))
            .optional()
    }

    /// The newest use of a key.
    pub(crate) fn get(&self, connection: &Connection, identity: Hash) -> rusqlite::Result<Option<StoredKey>> {
        let Some(id) = self.id_of(connection, identity)? else { return Ok(None) };
        connection
            .prepare_cached(
                "SELECT request, expires_at_ms, correlation_id, success, data
                 FROM idempotency_keys JOIN idempotency_replies USING (id) WHERE id = ?1",
            )?
            .query_row([id], |row| stored_key(row, identity))
            .optional()
    }

    /// Keeps a key's use and its answer.
    pub(crate) fn append(&mut self, connection: &Connection, key: &StoredKey) -> rusqlite::Result<()> {
        let id = self.next_id + Id::try_from(self.turn.added.len()).unwrap_or(Id::MAX);
        connection
            .prepare_cached(
                "INSERT INTO idempotency_keys (id, identity, request, expires_at_ms, correlation_id, success)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                id,
                key.identity,
                key.request,
                key.expires_at.as_millis(),
                key.correlation_id.as_str(),
                code_of(key.reply.success),
            ])?;
        connection
            .prepare_cached("INSERT INTO idempotency_replies (id, data) VALUES (?1, ?2)")?
            .execute(params![id, key.reply.data])?;
        self.turn.added.push((key.identity, id));
        Ok(())
    }

    /// Puts the next slice of a full generation into the index.
    pub(crate) fn merge(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let left = &self.merging[self.merged..];
        let slice = &left[..left.len().min(self.turn.added.len() * MERGED_PER_NEW)];
        if slice.is_empty() {
            return Ok(());
        }
        let mut insert =
            connection.prepare_cached("INSERT OR IGNORE INTO idempotency_index (identity, id) VALUES (?1, ?2)")?;
        for (identity, id) in slice {
            insert.execute(params![identity, id])?;
        }
        if slice.len() == left.len() {
            let merged_id = self.merging.iter().map(|(_, id)| *id).max().unwrap_or(0);
            connection
                .prepare_cached("UPDATE idempotency_progress SET merged_id = ?1")?
                .execute([merged_id])?;
        }
        self.turn.merged = slice.len();
        Ok(())
    }

    /// The turn is committed: what it added and merged counts.
    pub(crate) fn keep_turn(&mut self) {
        let turn = std::mem::take(&mut self.turn);
        self.next_id += Id::try_from(turn.added.len()).unwrap_or(0);
        self.recent.extend(turn.added);
        self.merged += turn.merged;
        if self.merged == self.merging.len() && self.recent.len() >= GENERATION {
            self.merging = self.recent.drain().collect();
            self.merging.sort_unstable();
            self.merged = 0;
        }
    }

    /// The turn failed: nothing of it counts.
    pub(crate) fn forget_turn(&mut self) {
        self.turn = TurnKeys::default();
    }
}

/// Deletes at most `most` expired keys that the index has; tells how many. The newest generations, which it does not
/// have, stay until it has them.
pub(crate) fn purge(connection: &Connection, now: Timestamp, most: i64) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(
        "SELECT identity, id FROM
             (SELECT identity, id, expires_at_ms FROM idempotency_keys
              WHERE id <= (SELECT merged_id FROM idempotency_progress) ORDER BY id LIMIT ?2)
         WHERE expires_at_ms <= ?1 ORDER BY identity",
    )?;
    let expired: Vec<(Hash, Id)> = statement
        .query_map(params![now.as_millis(), most], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut index = connection.prepare_cached("DELETE FROM idempotency_index WHERE identity = ?1 AND id = ?2")?;
    let mut keys = connection.prepare_cached("DELETE FROM idempotency_keys WHERE id = ?1")?;
    let mut replies = connection.prepare_cached("DELETE FROM idempotency_replies WHERE id = ?1")?;
    for (identity, id) in &expired {
        index.execute(params![identity, id])?;
        keys.execute([id])?;
        replies.execute([id])?;
    }
    Ok(expired.len())
}

const fn code_of(success: Success) -> i64 {
    match success {
        Success::Ok => 200,
        Success::Created => 201,
        Success::Accepted => 202,
    }
}

fn stored_key(row: &Row<'_>, identity: Hash) -> rusqlite::Result<StoredKey> {
    let correlation: String = row.get(2)?;
    let unreadable =
        |_| rusqlite::Error::InvalidColumnType(2, "correlation_id".to_owned(), rusqlite::types::Type::Text);
    let success = match row.get(3)? {
        200 => Success::Ok,
        201 => Success::Created,
        202 => Success::Accepted,
        other => return Err(rusqlite::Error::IntegralValueOutOfRange(3, other)),
    };
    Ok(StoredKey {
        identity,
        request: row.get(0)?,
        expires_at: Timestamp::from_millis(row.get(1)?),
        correlation_id: CorrelationId::parse(&correlation).map_err(unreadable)?,
        reply: Reply { success, data: row.get(4)? },
    })
}
