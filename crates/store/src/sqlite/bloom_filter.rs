//! A Bloom filter over all idempotency keys: nearly every key is new, and the filter detects that without a lookup.

use rusqlite::Connection;

use super::idempotency_keys::read_entries;

/// Its size: 4 MiB. With a million keys one in 300 lookups is a false positive, with ten million one in four; a false positive
/// costs a lookup in the index.
const BITS: u32 = 25;
/// The most keys that are read into it at start, so that a store opens quickly. With more, everything is a positive.
const MAX_LOADED: i64 = 4_000_000;
const WORD_BITS: u64 = u64::BITS as u64;

/// A set of prefixes with false positives and no false negatives. Deleted keys stay in it until the next start.
pub(super) struct BloomFilter {
    words: Vec<u64>,
    passes_all: bool,
}

impl BloomFilter {
    /// Reads the keys in the index.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let keys: i64 = connection.query_row(
            "SELECT coalesce((SELECT max(last_id) FROM idempotency_runs), 0)
                  - coalesce((SELECT min(id) FROM idempotency_keys), 0)",
            [],
            |row| row.get(0),
        )?;
        let mut filter = Self { words: Vec::new(), passes_all: keys > MAX_LOADED };
        if !filter.passes_all {
            let mut statement = connection.prepare("SELECT entries FROM idempotency_index")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let entries = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
                read_entries(entries).for_each(|(prefix, _)| filter.add(prefix));
            }
        }
        Ok(filter)
    }

    /// The word and bit of each of two positions, taken from a prefix, which is a hash already.
    fn bits_of(prefix: i64) -> [(usize, u64); 2] {
        let hash = u64::from_ne_bytes(prefix.to_ne_bytes());
        [hash, hash >> BITS].map(|bits| {
            let position = bits & ((1 << BITS) - 1);
            (usize::try_from(position / WORD_BITS).unwrap_or(0), 1 << (position % WORD_BITS))
        })
    }

    /// Adds a prefix.
    pub(super) fn add(&mut self, prefix: i64) {
        if self.words.is_empty() {
            self.words = vec![0; (1 << BITS) / WORD_BITS as usize];
        }
        for (word, bit) in Self::bits_of(prefix) {
            self.words[word] |= bit;
        }
    }

    /// Whether this prefix may have been added.
    pub(super) fn may_contain(&self, prefix: i64) -> bool {
        let has = |(word, bit): (usize, u64)| self.words.get(word).is_some_and(|bits| bits & bit != 0);
        self.passes_all || Self::bits_of(prefix).into_iter().all(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: i64) -> i64 {
        number.wrapping_mul(0x1E37_79B9_7F4A_7C15)
    }

    #[test]
    fn bloom_filter_has_no_false_negatives_and_few_false_positives() {
        let mut filter = BloomFilter { words: Vec::new(), passes_all: false };
        assert!(!filter.may_contain(hash(1)));
        (0..100_000).for_each(|number| filter.add(hash(number)));
        assert!((0..100_000).all(|number| filter.may_contain(hash(number))));
        let false_positives = (100_000..200_000).filter(|number| filter.may_contain(hash(*number))).count();
        assert!(false_positives < 1_000, "{false_positives} of 100,000 absent keys pass");
    }
}
