//! Idempotency keys: written in the order they come, found by a hash.
//!
//! A hash has no order that writing could follow: kept in an index at once, every key would dirty a page of its own,
//! and the more keys there are the more each costs. So the index is behind: the newest keys are found in memory, and
//! once there is a generation of them they go into the index sorted, a slice with each turn, many to a page. The index
//! holds the first 8 bytes as an integer, which SQLite finds several times faster than a blob; the key itself is
//! compared whole.

use std::{collections::HashMap, sync::LazyLock};

use agentcafe_domain::{
    command::{Reply, Success},
    idempotency::Hash,
    ids::CorrelationId,
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::filter::Filter;
use crate::turn::StoredKey;

/// How many keys go into the index together: enough that a page of a large index takes several of them.
const GENERATION: usize = 32_768;
/// A turn puts an eighth more keys into the index than it brings: a generation is done before the next is full.
const MERGED_BEYOND_NEW: usize = 8;
/// How many keys go into the index with one statement.
const SLICE: usize = 64;
/// The most keys that one turn deletes, so that no turn becomes long.
const PURGED_AT_ONCE: usize = 2_000;

type Id = i64;

/// Where the keys are that the index does not have yet.
pub(crate) struct Keys {
    next_id: Id,
    /// The newest keys.
    recent: HashMap<Hash, Id>,
    /// The generation that goes into the index, sorted; those before `merged` are in it.
    merging: Vec<(Hash, Id)>,
    merged: usize,
    /// How many keys are due to go into the index, but do not fill a slice yet.
    owed: usize,
    /// What there may be, wherever it is: nearly every key that comes is new, and this says so at once.
    known: Filter,
    /// What the turn under way has added and merged; forgotten if it fails.
    turn: TurnKeys,
}

#[derive(Default)]
struct TurnKeys {
    added: Vec<(Hash, Id)>,
    merged: usize,
    owed: usize,
}

impl Keys {
    /// Reads the keys that the index does not have yet.
    pub(crate) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let merged_id: Id =
            connection.query_row("SELECT merged_id FROM idempotency_progress", [], |row| row.get(0))?;
        let last_id: Option<Id> =
            connection.query_row("SELECT max(id) FROM idempotency_keys", [], |row| row.get(0))?;
        let last_id = last_id.unwrap_or(0).max(merged_id);
        let mut known = Filter::load(connection)?;
        let mut recent = HashMap::with_capacity(usize::try_from(last_id - merged_id).unwrap_or(0));
        let mut statement =
            connection.prepare("SELECT identity, id FROM idempotency_keys WHERE id > ?1 ORDER BY id")?;
        for key in statement.query_map([merged_id], |row| Ok((row.get(0)?, row.get(1)?)))? {
            let (identity, id): (Hash, Id) = key?;
            recent.insert(identity, id);
            known.add(prefix(identity));
        }
        Ok(Self {
            next_id: last_id + 1,
            recent,
            merging: Vec::new(),
            merged: 0,
            owed: 0,
            known,
            turn: TurnKeys::default(),
        })
    }

    fn recent_id(&self, identity: Hash) -> Option<Id> {
        let merging = || self.merging.binary_search_by_key(&identity, |(hash, _)| *hash).ok();
        self.recent.get(&identity).copied().or_else(|| merging().map(|at| self.merging[at].1))
    }

    /// The newest use of a key.
    pub(crate) fn get(&self, connection: &Connection, identity: Hash) -> rusqlite::Result<Option<StoredKey>> {
        if !self.known.may_have(prefix(identity)) {
            return Ok(None);
        }
        let id = match self.recent_id(identity) {
            Some(id) => Some(id),
            None => indexed_id(connection, identity)?,
        };
        let Some(id) = id else { return Ok(None) };
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

    /// Puts the next slices of a full generation into the index.
    pub(crate) fn merge(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let left = &self.merging[self.merged..];
        if left.is_empty() {
            return Ok(());
        }
        let new = self.turn.added.len();
        let owed = self.owed + new + new.div_ceil(MERGED_BEYOND_NEW);
        let due = if owed < left.len() { owed - owed % SLICE } else { left.len() };
        for slice in left[..due].chunks(SLICE) {
            index_slice(connection, slice)?;
        }
        if due == left.len() {
            let merged_id = self.merging.iter().map(|(_, id)| *id).max().unwrap_or(0);
            connection
                .prepare_cached("UPDATE idempotency_progress SET merged_id = ?1")?
                .execute([merged_id])?;
        }
        self.turn.merged = due;
        self.turn.owed = owed.saturating_sub(due);
        Ok(())
    }

    /// The turn is committed: what it added and merged counts.
    pub(crate) fn keep_turn(&mut self) {
        let turn = std::mem::take(&mut self.turn);
        self.next_id += Id::try_from(turn.added.len()).unwrap_or(0);
        for (identity, id) in turn.added {
            self.recent.insert(identity, id);
            self.known.add(prefix(identity));
        }
        self.merged += turn.merged;
        self.owed = turn.owed;
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

/// The first 8 bytes of a key's identity.
fn prefix(identity: Hash) -> i64 {
    let mut first = [0; 8];
    first.copy_from_slice(&identity[..8]);
    i64::from_be_bytes(first)
}

/// The id at a prefix, and the identity of the key it belongs to (none if that key was deleted).
fn at_prefix(connection: &Connection, identity: Hash) -> rusqlite::Result<Option<(Id, Option<Hash>)>> {
    connection
        .prepare_cached(
            "SELECT id, identity FROM idempotency_index LEFT JOIN idempotency_keys USING (id) WHERE prefix = ?1",
        )?
        .query_row([prefix(identity)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

fn indexed_id(connection: &Connection, identity: Hash) -> rusqlite::Result<Option<Id>> {
    match at_prefix(connection, identity)? {
        Some((id, Some(found))) if found == identity => Ok(Some(id)),
        // Also where the place is free again: the key that had it may have gone before this one.
        _ => connection
            .prepare_cached("SELECT id FROM idempotency_clashes WHERE identity = ?1")?
            .query_row([identity], |row| row.get(0))
            .optional(),
    }
}

/// Puts some keys into the index: all at once if every place is free, else one by one.
fn index_slice(connection: &Connection, slice: &[(Hash, Id)]) -> rusqlite::Result<()> {
    static INSERT_SLICE: LazyLock<String> = LazyLock::new(|| {
        let places = vec!["(?, ?)"; SLICE].join(", ");
        format!("INSERT OR IGNORE INTO idempotency_index (prefix, id) VALUES {places}")
    });
    let values = slice.iter().flat_map(|(identity, id)| [prefix(*identity), *id]);
    let is_whole = slice.len() == SLICE;
    if is_whole && connection.prepare_cached(&INSERT_SLICE)?.execute(params_from_iter(values))? == SLICE {
        return Ok(());
    }
    slice.iter().try_for_each(|(identity, id)| index(connection, *identity, *id))
}

/// Puts a key into the index; an older use of the same key gives way, another key with the same prefix does not.
fn index(connection: &Connection, identity: Hash, id: Id) -> rusqlite::Result<()> {
    let inserted = connection
        .prepare_cached("INSERT OR IGNORE INTO idempotency_index (prefix, id) VALUES (?1, ?2)")?
        .execute(params![prefix(identity), id])?;
    if inserted == 1 {
        return Ok(());
    }
    let is_other = matches!(at_prefix(connection, identity)?, Some((_, Some(found))) if found != identity);
    if is_other {
        connection
            .prepare_cached("INSERT OR REPLACE INTO idempotency_clashes (identity, id) VALUES (?1, ?2)")?
            .execute(params![identity, id])?;
    } else {
        connection
            .prepare_cached("UPDATE idempotency_index SET id = ?2 WHERE prefix = ?1")?
            .execute(params![prefix(identity), id])?;
    }
    Ok(())
}

/// Deletes a batch of expired keys that the index has, and tells whether there may be more. The newest generations,
/// which it does not have, stay until it has them.
pub(crate) fn purge(connection: &Connection, now: Timestamp) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT identity, id FROM
             (SELECT identity, id, expires_at_ms FROM idempotency_keys
              WHERE id <= (SELECT merged_id FROM idempotency_progress) ORDER BY id LIMIT ?2)
         WHERE expires_at_ms <= ?1 ORDER BY identity",
    )?;
    let most = i64::try_from(PURGED_AT_ONCE).unwrap_or(1);
    let expired: Vec<(Hash, Id)> = statement
        .query_map(params![now.as_millis(), most], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut index =
        connection.prepare_cached("DELETE FROM idempotency_index WHERE prefix = ?1 AND id = ?2")?;
    let mut clashes =
        connection.prepare_cached("DELETE FROM idempotency_clashes WHERE identity = ?1 AND id = ?2")?;
    let mut keys = connection.prepare_cached("DELETE FROM idempotency_keys WHERE id = ?1")?;
    let mut replies = connection.prepare_cached("DELETE FROM idempotency_replies WHERE id = ?1")?;
    for (identity, id) in &expired {
        if index.execute(params![prefix(*identity), id])? == 0 {
            clashes.execute(params![identity, id])?;
        }
        keys.execute([id])?;
        replies.execute([id])?;
    }
    Ok(expired.len() == PURGED_AT_ONCE)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn key(identity: Hash, expires_at_ms: i64) -> StoredKey {
        StoredKey {
            identity,
            request: [7; 16],
            expires_at: at(expires_at_ms),
            correlation_id: CorrelationId::parse("c").unwrap(),
            reply: Reply { success: Success::Accepted, data: identity.to_vec() },
        }
    }

    fn identity(prefix: u64, rest: u8) -> Hash {
        let mut hash = [rest; 16];
        hash[..8].copy_from_slice(&prefix.to_be_bytes());
        hash
    }

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("migrations/0001_initial.sql")).unwrap();
        connection
    }

    fn add(keys: &mut Keys, connection: &Connection, added: impl IntoIterator<Item = StoredKey>) {
        for key in added {
            keys.append(connection, &key).unwrap();
        }
        keys.merge(connection).unwrap();
        keys.keep_turn();
    }

    fn spread(number: usize) -> u64 {
        (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// Promise 2: a key is found while it is in memory, while its generation goes into the index, and in the index;
    /// also after a restart in the middle.
    #[test]
    fn a_key_is_found_wherever_it_is() {
        let connection = database();
        let mut keys = Keys::load(&connection).unwrap();
        let all: Vec<Hash> = (0..GENERATION * 2 + 100).map(|number| identity(spread(number), 1)).collect();
        for chunk in all.chunks(5_000) {
            add(&mut keys, &connection, chunk.iter().map(|hash| key(*hash, 10)));
            for keys in [&keys, &Keys::load(&connection).unwrap()] {
                for hash in chunk.iter().chain(&all[..10]) {
                    assert_eq!(keys.get(&connection, *hash).unwrap().unwrap().reply.data, hash.to_vec());
                }
            }
        }
        let indexed: i64 =
            connection.query_row("SELECT count(*) FROM idempotency_index", [], |row| row.get(0)).unwrap();
        assert!(indexed >= GENERATION as i64, "a generation went into the index, {indexed}");
        assert_eq!(keys.get(&connection, identity(5, 9)).unwrap(), None);
    }

    /// Two keys whose first 8 bytes are the same are still two keys; the newest use of a key counts.
    #[test]
    fn clashing_prefixes_are_told_apart() {
        let connection = database();
        let mut keys = Keys::load(&connection).unwrap();
        let (one, two) = (identity(5, 1), identity(5, 2));
        add(&mut keys, &connection, [key(one, 10), key(two, 20)]);
        index(&connection, one, 1).unwrap();
        index(&connection, two, 2).unwrap();
        assert_eq!(indexed_id(&connection, one).unwrap(), Some(1));
        assert_eq!(indexed_id(&connection, two).unwrap(), Some(2));
        assert_eq!(indexed_id(&connection, identity(5, 3)).unwrap(), None);
        add(&mut keys, &connection, [key(one, 30)]);
        index(&connection, one, 3).unwrap();
        assert_eq!(indexed_id(&connection, one).unwrap(), Some(3));
    }

    /// RULINGS D5: expired keys go, once the index has them; the others stay.
    #[test]
    fn expired_keys_are_purged() {
        let connection = database();
        let mut keys = Keys::load(&connection).unwrap();
        let expires_at_ms = |number| if number < 1_000 { 10 } else { 100 };
        let all = (0..GENERATION).map(|number| key(identity(spread(number), 1), expires_at_ms(number)));
        add(&mut keys, &connection, all);
        let more = (GENERATION..GENERATION * 2).map(|number| key(identity(spread(number), 1), 100));
        add(&mut keys, &connection, more);
        assert!(!purge(&connection, at(50)).unwrap());
        let left: i64 =
            connection.query_row("SELECT count(*) FROM idempotency_keys", [], |row| row.get(0)).unwrap();
        assert_eq!(left, (GENERATION * 2 - 1_000) as i64);
        assert_eq!(keys.get(&connection, identity(spread(0), 1)).unwrap(), None);
        assert!(keys.get(&connection, identity(spread(1_000), 1)).unwrap().is_some());
    }

    /// A turn that failed leaves nothing behind.
    #[test]
    fn a_failed_turn_is_forgotten() {
        let connection = database();
        let mut keys = Keys::load(&connection).unwrap();
        let hash = identity(1, 1);
        connection.execute_batch("BEGIN").unwrap();
        keys.append(&connection, &key(hash, 10)).unwrap();
        connection.execute_batch("ROLLBACK").unwrap();
        keys.forget_turn();
        assert_eq!(keys.get(&connection, hash).unwrap(), None);
        add(&mut keys, &connection, [key(hash, 10)]);
        assert!(keys.get(&connection, hash).unwrap().is_some());
    }
}
