//! A Bloom filter over all idempotency keys: nearly every key that comes is new, and this says so without a look
//! anywhere else.

use rusqlite::Connection;

use super::keys::read_entries;

/// Its size: 4 MiB. With a million keys it errs once in 300 times, with ten million every fourth; an error costs a look
/// into the index and nothing else.
const BITS: u32 = 25;
/// The most keys that are read into it at start, so that opening a store stays quick. With more it lets everything pass.
const MAX_LOADED: i64 = 4_000_000;
const WORD_BITS: u64 = u64::BITS as u64;

/// A set of prefixes that may say yes to one it does not have, and never no to one it has. Deleted keys stay in it
/// until the next start.
pub(crate) struct Filter {
    words: Vec<u64>,
    passes_all: bool,
}

impl Filter {
    /// Reads what the index has.
    pub(crate) fn load(connection: &Connection) -> rusqlite::Result<Self> {
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

    /// Two places, taken from a prefix that is a hash already.
    fn places(prefix: i64) -> [(usize, u64); 2] {
        let hash = u64::from_ne_bytes(prefix.to_ne_bytes());
        [hash, hash >> BITS].map(|bits| {
            let place = bits & ((1 << BITS) - 1);
            (usize::try_from(place / WORD_BITS).unwrap_or(0), 1 << (place % WORD_BITS))
        })
    }

    /// Adds a prefix.
    pub(crate) fn add(&mut self, prefix: i64) {
        if self.words.is_empty() {
            self.words = vec![0; (1 << BITS) / WORD_BITS as usize];
        }
        for (word, bit) in Self::places(prefix) {
            self.words[word] |= bit;
        }
    }

    /// Whether the index may have this prefix.
    pub(crate) fn may_have(&self, prefix: i64) -> bool {
        let has = |(word, bit): (usize, u64)| self.words.get(word).is_some_and(|bits| bits & bit != 0);
        self.passes_all || Self::places(prefix).into_iter().all(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: i64) -> i64 {
        number.wrapping_mul(0x1E37_79B9_7F4A_7C15)
    }

    #[test]
    fn it_has_what_was_added_and_little_else() {
        let mut filter = Filter { words: Vec::new(), passes_all: false };
        assert!(!filter.may_have(hash(1)));
        (0..100_000).for_each(|number| filter.add(hash(number)));
        assert!((0..100_000).all(|number| filter.may_have(hash(number))));
        let wrong = (100_000..200_000).filter(|number| filter.may_have(hash(*number))).count();
        assert!(wrong < 1_000, "{wrong} of 100,000 absent keys pass");
    }
}
