//! Calls to external systems that a command needs. They are made between two submissions of it, once per idempotency key.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use agentcafe_domain::kernel::{CallResult, ExternalCall, Hash};
use agentcafe_store::{Answer, Envelope, Failure};
use parking_lot::Mutex;

use crate::engine::Engine;

/// The most calls of one command: a payment, another one if the first was too small, and a spare.
const MAX_EXTERNAL_CALLS: usize = 3;

/// Makes external calls. The implementation uses HTTP, on which the engine must not depend.
pub trait ExternalCallRunner: Send + Sync {
    /// Makes the call. It always ends, and a failure is a result too; none if this runner does not support such a request.
    fn run(&self, call: ExternalCall) -> Pin<Box<dyn Future<Output = Option<CallResult>> + Send + '_>>;
}

/// The external calls in flight.
pub struct ExternalCalls {
    runner: Arc<dyn ExternalCallRunner>,
    in_flight: Mutex<HashMap<Hash, Weak<tokio::sync::Mutex<()>>>>,
}

impl ExternalCalls {
    /// No calls in flight.
    pub(crate) fn new(runner: Arc<dyn ExternalCallRunner>) -> Self {
        Self { runner, in_flight: Mutex::default() }
    }

    /// The lock that copies of one request share, so that one of them makes the call and the others wait for its result.
    fn lock_of(&self, key: Hash) -> Arc<tokio::sync::Mutex<()>> {
        let mut in_flight = self.in_flight.lock();
        in_flight.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = in_flight.get(&key).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        in_flight.insert(key, Arc::downgrade(&lock));
        lock
    }
}

/// The name of a key's lock on all nodes.
fn lock_name(key: Hash) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = key;
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Engine {
    /// Submits a command that needs an external call: makes the call, and submits the command again with its result. It is
    /// completed even if the client disconnects.
    pub(crate) async fn run_external_calls(self: &Arc<Self>, envelope: Envelope) -> Result<Answer, Failure> {
        let engine = Arc::clone(self);
        let finished = tokio::spawn(async move { engine.with_external_calls(envelope).await }).await;
        finished.unwrap_or(Err(Failure::Internal("an external call panicked")))
    }

    async fn with_external_calls(&self, mut envelope: Envelope) -> Result<Answer, Failure> {
        let lock = envelope.request.as_ref().map(|request| self.external_calls.lock_of(request.key.identity));
        let _local = match &lock {
            Some(lock) => Some(lock.lock().await),
            None => None,
        };
        let locked = |_| Failure::Unavailable("another node makes this call");
        // Other nodes may have received copies too.
        let _shared = match &envelope.request {
            Some(request) => Some(self.store.lock(lock_name(request.key.identity)).await.map_err(locked)?),
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
        Err(Failure::Internal("a command needs too many external calls"))
    }
}
