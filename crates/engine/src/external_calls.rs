//! Errands: what a command needs from outside is fetched between two of its submissions, once per idempotency key.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use agentcafe_domain::kernel::{CallResult, ExternalCall, Hash};
use agentcafe_store::{Answer, Envelope, Failure};
use parking_lot::Mutex;

use crate::engine::Engine;

/// How often one submission may send out: a payment that was made and then found too small, and once more.
const MAX_EXTERNAL_CALLS: usize = 3;

/// Where errands go: HTTP, behind an interface, because nothing here may know it.
pub trait ExternalCallRunner: Send + Sync {
    /// Makes the call. It always ends, and a failure is a response too; none if this runner does not know such a request.
    fn run(&self, call: ExternalCall) -> Pin<Box<dyn Future<Output = Option<CallResult>> + Send + '_>>;
}

/// The errands under way.
pub struct ExternalCalls {
    runner: Arc<dyn ExternalCallRunner>,
    under_way: Mutex<HashMap<Hash, Weak<tokio::sync::Mutex<()>>>>,
}

impl ExternalCalls {
    /// No errands under way.
    pub(crate) fn new(runner: Arc<dyn ExternalCallRunner>) -> Self {
        Self { runner, under_way: Mutex::default() }
    }

    /// The lock that copies of one request share, so that one of them goes and the others wait for what comes of it.
    fn lock_of(&self, key: Hash) -> Arc<tokio::sync::Mutex<()>> {
        let mut under_way = self.under_way.lock();
        under_way.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = under_way.get(&key).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        under_way.insert(key, Arc::downgrade(&lock));
        lock
    }
}

/// What all nodes call a key.
fn name_of(key: Hash) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = key;
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Engine {
    /// Submits a command that needs something from outside: gets it, and submits the command again with it. What has been
    /// begun is finished, also when the client does not wait for it.
    pub(crate) async fn run_external_calls(self: &Arc<Self>, envelope: Envelope) -> Result<Answer, Failure> {
        let engine = Arc::clone(self);
        let finished = tokio::spawn(async move { engine.with_external_calls(envelope).await }).await;
        finished.unwrap_or(Err(Failure::Internal("an errand ended badly")))
    }

    async fn with_external_calls(&self, mut envelope: Envelope) -> Result<Answer, Failure> {
        let lock = envelope.request.as_ref().map(|request| self.external_calls.lock_of(request.key.identity));
        let _batch = match &lock {
            Some(lock) => Some(lock.lock().await),
            None => None,
        };
        let unheld = |_| Failure::Unavailable("another node is at it");
        // Copies may have come to other nodes, too.
        let _alone = match &envelope.request {
            Some(request) => Some(self.store.lock(name_of(request.key.identity)).await.map_err(unheld)?),
            None => None,
        };
        for _ in 0..MAX_EXTERNAL_CALLS {
            match self.store.submit(envelope.clone()).await {
                Err(Failure::External(call)) => {
                    envelope.outcome = self.external_calls.runner.run(call).await;
                    if envelope.outcome.is_none() {
                        return Err(Failure::Internal("no client makes this external call"));
                    }
                }
                settled => return settled,
            }
        }
        Err(Failure::Internal("a command sends out again and again"))
    }
}
