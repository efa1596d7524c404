//! The API keys that this node knows: looked up once per key, kept in memory until any node changes a key.

use std::collections::HashMap;
use std::sync::Arc;

use agentcafe_domain::kernel::{OperationError, Record, RecordQuery, Timestamp};
use agentcafe_domain::keys::token::{SecretHash, Token};
use agentcafe_domain::keys::{ApiKey, KeyHolder, KeyUse};
use agentcafe_store::Store;
use parking_lot::Mutex;
use tokio::sync::watch;

/// How many keys are kept in memory: about 1 KiB each.
const MAX_KEYS: usize = 20_000;
/// Uses are noted to the minute, so that a busy key costs one write a minute.
const USE_PRECISION_MS: i64 = 60_000;

/// The keys of one store, as this node knows them.
pub(crate) struct KeyRing {
    store: Arc<Store>,
    version: watch::Receiver<u64>,
    known: Mutex<KnownKeys>,
}

/// What was looked up since the keys were last changed.
#[derive(Default)]
struct KnownKeys {
    version: u64,
    keys: HashMap<String, Arc<KnownKey>>,
    /// Whether there is any key at all.
    any: Option<bool>,
    /// When keys were used, unless that is stored already.
    uses: HashMap<String, Timestamp>,
}

/// A key, and who comes in with each of its secrets.
pub(crate) struct KnownKey {
    pub(crate) key: ApiKey,
    holders: Vec<(SecretHash, Arc<KeyHolder>)>,
}

impl From<ApiKey> for KnownKey {
    fn from(key: ApiKey) -> Self {
        let holder = |secret| Arc::new(KeyHolder::new(key.clone(), &key.credential_id(secret)));
        let holders = key.secrets.iter().map(|secret| (secret.hash, holder(secret))).collect();
        Self { key, holders }
    }
}

impl KnownKey {
    /// Who comes in with a credential; none if the key has no such secret.
    pub(crate) fn holder(&self, credential_id: &str) -> Option<Arc<KeyHolder>> {
        let mut holders = self.holders.iter().map(|(_, holder)| holder);
        holders.find(|holder| *holder.credential_id == *credential_id).cloned()
    }
}

impl KeyRing {
    /// The keys of a store.
    pub(crate) fn new(store: Arc<Store>) -> Self {
        let version = store.changed(ApiKey::TABLE);
        Self { store, version, known: Mutex::default() }
    }

    /// What is known, without what another version of the keys has made stale.
    fn current<T>(&self, read: impl FnOnce(&mut KnownKeys) -> T) -> T {
        let version = *self.version.borrow();
        let mut known = self.known.lock();
        if known.version != version {
            known.version = version;
            known.keys.clear();
            known.any = None;
        }
        read(&mut known)
    }

    /// The live key of a token; none if there is no such key, or it is another secret, or it counts no more.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn find(
        &self,
        token: &Token,
        now: Timestamp,
    ) -> Result<Option<Arc<KeyHolder>>, OperationError> {
        let accepts = |known: &Arc<KnownKey>| known.key.accepts(token, now);
        let known = match self.cached(&token.key_id).filter(accepts) {
            Some(known) => Some(known),
            // Another node may have made the secret just now.
            None => self.load(&token.key_id).await?.filter(accepts),
        };
        let holder = known.and_then(|known| {
            known.holders.iter().find(|(hash, _)| *hash == token.hash).map(|(_, holder)| Arc::clone(holder))
        });
        let Some(holder) = holder else { return Ok(None) };
        let minute = Timestamp::from_millis(now.as_millis() / USE_PRECISION_MS * USE_PRECISION_MS);
        self.known.lock().uses.insert(holder.key.key_id.clone(), minute);
        Ok(Some(holder))
    }

    /// The key with this id, whether it counts or not.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn get(&self, key_id: &str) -> Result<Option<Arc<KnownKey>>, OperationError> {
        match self.cached(key_id) {
            Some(key) => Ok(Some(key)),
            None => self.load(key_id).await,
        }
    }

    /// The key with this id, if it is in memory.
    fn cached(&self, key_id: &str) -> Option<Arc<KnownKey>> {
        self.current(|known| known.keys.get(key_id).cloned())
    }

    /// As [`KeyRing::get`], as it is stored now.
    async fn load(&self, key_id: &str) -> Result<Option<Arc<KnownKey>>, OperationError> {
        let version = *self.version.borrow();
        let Some(key) = self.store.get::<ApiKey>(ApiKey::key_of(key_id)).await? else { return Ok(None) };
        let key: Arc<KnownKey> = Arc::new(key.into());
        self.current(|known| {
            if known.version == version {
                if known.keys.len() >= MAX_KEYS {
                    known.keys.clear();
                }
                known.keys.insert(key_id.to_owned(), Arc::clone(&key));
            }
        });
        Ok(Some(key))
    }

    /// Whether there is any key, live or not: from then on nobody is let in without one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) async fn has_any(&self) -> Result<bool, OperationError> {
        if let Some(any) = self.current(|known| known.any) {
            return Ok(any);
        }
        let version = *self.version.borrow();
        let any = !self.store.find::<ApiKey>(RecordQuery::all::<ApiKey>("created_at", 1)).await?.is_empty();
        self.current(|known| {
            if known.version == version {
                known.any = Some(any);
            }
        });
        Ok(any)
    }

    /// As [`KeyRing::has_any`], if this node knows.
    pub(crate) fn known_any(&self) -> Option<bool> {
        self.current(|known| known.any)
    }

    /// Takes the uses that are not stored yet.
    pub(crate) fn take_uses(&self) -> Vec<KeyUse> {
        let uses = std::mem::take(&mut self.known.lock().uses);
        uses.into_iter().map(|(key_id, last_used_at)| KeyUse { key_id, last_used_at }).collect()
    }
}
