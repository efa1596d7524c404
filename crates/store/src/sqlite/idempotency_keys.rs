//! Idempotency keys: written in order of arrival, found by a hash.
//!
//! Hashes arrive in random order: in an index that is updated at once, every key would dirty a page of its own, and each would
//! cost more the more there are. So the index is updated late, as in a log-structured merge tree: the newest keys are found in
//! memory, and a full generation of them is merged into the index as a run: sorted, divided into buckets by their first bits,
//! one row for each bucket, some buckets with each commit batch. A run costs the same however many there are. A lookup reads
//! the key's bucket of every run, newest first; a Bloom filter spares nearly all keys that lookup.

use std::collections::HashMap;

use agentcafe_domain::kernel::{Hash, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::bloom_filter::BloomFilter;
use crate::rows::{stored_key, success_code};
use crate::storage::StoredKey;
use crate::storage_error::StorageError;

/// How many keys make a run: enough for several in each bucket.
const GENERATION: usize = 32_768;
/// Into how many buckets a run is divided, as a power of two.
const BUCKET_BITS: u32 = 10;
/// A row of the index is numbered by its bucket, above this many bits of its run: the runs of a bucket are neighbours.
const RUN_BITS: u32 = 40;
/// A commit batch merges an eighth more keys than it adds: a generation is in the index before the next is full.
const MERGED_BEYOND_NEW: usize = 8;
/// The size of an entry of a bucket: the first 8 bytes of the key's identity, and its id.
const ENTRY_BYTES: usize = 16;
/// The most keys that one commit batch deletes, so that none takes long.
const PURGED_AT_ONCE: usize = 2_000;

type Id = i64;

/// The keys that are not in the index yet.
pub(super) struct IdempotencyKeys {
    next_id: Id,
    /// The number of the run that is being written, or is written next.
    run: i64,
    /// The newest keys.
    recent: HashMap<Hash, Id>,
    /// The generation that is being merged into the index, sorted; those before `merged` are in it.
    merging: Vec<(Hash, Id)>,
    merged: usize,
    /// How many keys are due to be merged, but are fewer than the next bucket has.
    due: usize,
    /// All keys, in memory and in the index.
    known: BloomFilter,
    /// What the current commit batch has added and merged; forgotten if it fails.
    batch: BatchKeys,
}

#[derive(Default)]
struct BatchKeys {
    added: Vec<(Hash, Id)>,
    merged: usize,
    due: usize,
}

impl IdempotencyKeys {
    /// Reads the keys that are not in the index yet.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let (merged_id, last_run): (Id, i64) = connection.query_row(
            "SELECT coalesce(max(last_id), 0), coalesce(max(run), 0) FROM idempotency_runs",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let last_id: Option<Id> =
            connection.query_row("SELECT max(id) FROM idempotency_keys", [], |row| row.get(0))?;
        let last_id = last_id.unwrap_or(0).max(merged_id);
        let mut known = BloomFilter::load(connection)?;
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
            run: last_run + 1,
            recent,
            merging: Vec::new(),
            merged: 0,
            due: 0,
            known,
            batch: BatchKeys::default(),
        })
    }

    fn recent_id(&self, identity: Hash) -> Option<Id> {
        let merging = || self.merging.binary_search_by_key(&identity, |(hash, _)| *hash).ok();
        self.recent.get(&identity).copied().or_else(|| merging().map(|at| self.merging[at].1))
    }

    /// The newest use of a key.
    pub(super) fn get(
        &self,
        connection: &Connection,
        identity: Hash,
    ) -> Result<Option<StoredKey>, StorageError> {
        if !self.known.may_contain(prefix(identity)) {
            return Ok(None);
        }
        let id = match self.recent_id(identity) {
            Some(id) => Some(id),
            None => self.indexed_id(connection, identity)?,
        };
        let Some(id) = id else { return Ok(None) };
        let mut statement = connection.prepare_cached(
            "SELECT identity, request, expires_at_ms, correlation_id, success, data
             FROM idempotency_keys JOIN idempotency_replies USING (id) WHERE id = ?1",
        )?;
        let mut rows = statement.query([id])?;
        rows.next()?.map(|row| stored_key(row)).transpose()
    }

    /// Stores a key with its answer.
    pub(super) fn append(&mut self, connection: &Connection, key: &StoredKey) -> rusqlite::Result<()> {
        let id = self.next_id + Id::try_from(self.batch.added.len()).unwrap_or(Id::MAX);
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
                success_code(key.reply.success),
            ])?;
        connection
            .prepare_cached("INSERT INTO idempotency_replies (id, data) VALUES (?1, ?2)")?
            .execute(params![id, key.reply.data])?;
        self.batch.added.push((key.identity, id));
        Ok(())
    }

    /// The newest use of a key in the index.
    fn indexed_id(&self, connection: &Connection, identity: Hash) -> rusqlite::Result<Option<Id>> {
        let bucket = bucket(identity);
        let mut buckets = connection.prepare_cached(
            "SELECT entries FROM idempotency_index WHERE place BETWEEN ?1 AND ?2 ORDER BY place DESC",
        )?;
        let mut identities =
            connection.prepare_cached("SELECT identity FROM idempotency_keys WHERE id = ?1")?;
        let mut rows = buckets.query([row_of(bucket, 0), row_of(bucket, self.run)])?;
        while let Some(row) = rows.next()? {
            let entries = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
            for (_, id) in read_entries(entries).filter(|(first, _)| *first == prefix(identity)) {
                let found: Option<Hash> = identities.query_row([id], |row| row.get(0)).optional()?;
                if found == Some(identity) {
                    return Ok(Some(id));
                }
            }
        }
        Ok(None)
    }

    /// Writes the next buckets of a full generation into the index.
    pub(super) fn merge(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut left = &self.merging[self.merged..];
        if left.is_empty() {
            return Ok(());
        }
        let new = self.batch.added.len();
        let mut due = self.due + new + new.div_ceil(MERGED_BEYOND_NEW);
        while let Some((first, _)) = left.first() {
            let bucket = bucket(*first);
            let entries = left.partition_point(|(identity, _)| self::bucket(*identity) == bucket);
            if entries > due {
                break;
            }
            self.write_bucket(connection, bucket, &left[..entries])?;
            due -= entries;
            left = &left[entries..];
        }
        if left.is_empty() {
            let last_id = self.merging.iter().map(|(_, id)| *id).max().unwrap_or(0);
            connection
                .prepare_cached("INSERT INTO idempotency_runs (run, last_id) VALUES (?1, ?2)")?
                .execute([self.run, last_id])?;
        }
        self.batch.merged = self.merging.len() - self.merged - left.len();
        self.batch.due = due;
        Ok(())
    }

    /// Writes a bucket of the run. After a restart in the middle of a run it is written again, with more keys.
    fn write_bucket(
        &self,
        connection: &Connection,
        bucket: i64,
        keys: &[(Hash, Id)],
    ) -> rusqlite::Result<()> {
        let mut entries = Vec::with_capacity(keys.len() * ENTRY_BYTES);
        for (identity, id) in keys {
            entries.extend(&identity[..8]);
            entries.extend(id.to_be_bytes());
        }
        connection
            .prepare_cached("INSERT OR REPLACE INTO idempotency_index (place, entries) VALUES (?1, ?2)")?
            .execute(params![row_of(bucket, self.run), entries])
            .map(|_| ())
    }

    /// The commit batch is committed: what it added and merged counts.
    pub(super) fn keep_batch(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.next_id += Id::try_from(batch.added.len()).unwrap_or(0);
        for (identity, id) in batch.added {
            self.recent.insert(identity, id);
            self.known.add(prefix(identity));
        }
        self.due = batch.due;
        if batch.merged > 0 {
            self.merged += batch.merged;
            self.run += i64::from(self.merged == self.merging.len());
        }
        if self.merged == self.merging.len() && self.recent.len() >= GENERATION {
            self.merging = self.recent.drain().collect();
            self.merging.sort_unstable();
            (self.merged, self.due) = (0, 0);
        }
    }

    /// The commit batch failed: nothing of it counts.
    pub(super) fn forget_batch(&mut self) {
        self.batch = BatchKeys::default();
    }
}

/// The first 8 bytes of a key's identity.
fn prefix(identity: Hash) -> i64 {
    let mut first = [0; 8];
    first.copy_from_slice(&identity[..8]);
    i64::from_be_bytes(first)
}

/// The number of a key's bucket.
fn bucket(identity: Hash) -> i64 {
    i64::from(u16::from_be_bytes([identity[0], identity[1]]) >> (u16::BITS - BUCKET_BITS))
}

/// The row of a bucket in the index.
const fn row_of(bucket: i64, run: i64) -> i64 {
    bucket << RUN_BITS | run
}

/// The entries of a bucket: the first 8 bytes of an identity, and the id.
pub(super) fn read_entries(entries: &[u8]) -> impl Iterator<Item = (i64, Id)> {
    entries.as_chunks::<ENTRY_BYTES>().0.iter().map(|entry| {
        let (mut first, mut id) = ([0; 8], [0; 8]);
        first.copy_from_slice(&entry[..8]);
        id.copy_from_slice(&entry[8..]);
        (i64::from_be_bytes(first), Id::from_be_bytes(id))
    })
}

/// Deletes a limited number of expired keys that are in the index, and returns whether there may be more. The newest
/// generations, which are not in it, stay until they are; a run is deleted with the last of its keys.
pub(super) fn purge(connection: &Connection, now: Timestamp) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM
             (SELECT id, expires_at_ms FROM idempotency_keys
              WHERE id <= (SELECT max(last_id) FROM idempotency_runs) ORDER BY id LIMIT ?2)
         WHERE expires_at_ms <= ?1",
    )?;
    let max = i64::try_from(PURGED_AT_ONCE).unwrap_or(1);
    let expired: Vec<Id> =
        statement.query_map(params![now.as_millis(), max], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut keys = connection.prepare_cached("DELETE FROM idempotency_keys WHERE id = ?1")?;
    let mut replies = connection.prepare_cached("DELETE FROM idempotency_replies WHERE id = ?1")?;
    for id in &expired {
        keys.execute([id])?;
        replies.execute([id])?;
    }
    if !expired.is_empty() {
        purge_runs(connection)?;
    }
    Ok(expired.len() == PURGED_AT_ONCE)
}

/// Deletes the oldest run if none of its keys is left. The newest stays: it has the id up to which keys are indexed.
fn purge_runs(connection: &Connection) -> rusqlite::Result<()> {
    let empty: Option<i64> = connection
        .prepare_cached(
            "SELECT min(run) FROM idempotency_runs
             WHERE last_id < (SELECT coalesce(min(id), 0) FROM idempotency_keys)
               AND run < (SELECT max(run) FROM idempotency_runs)",
        )?
        .query_row([], |row| row.get(0))?;
    let Some(run) = empty else { return Ok(()) };
    let mut buckets = connection.prepare_cached("DELETE FROM idempotency_index WHERE place = ?1")?;
    for bucket in 0..1 << BUCKET_BITS {
        buckets.execute([row_of(bucket, run)])?;
    }
    connection.prepare_cached("DELETE FROM idempotency_runs WHERE run = ?1")?.execute([run]).map(|_| ())
}
