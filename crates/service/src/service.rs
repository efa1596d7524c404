//! The service: what all operations share, and how one is called.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{
    Code, Command, DomainError, IdempotencyKey, Key, OperationError, Owner, Record, RecordQuery, Rules,
    TENANT_FILTER, Timestamp,
};
use agentcafe_engine::{Engine, Executed, SubmittedCommand};
use agentcafe_eventlog::{OpenKeys, StreamHub};
use agentcafe_store::{Origin, Store};
use serde_json::Map;
use tokio::sync::{Mutex, Semaphore};
use uuid::Uuid;

use crate::auth_mode::Authentication;
use crate::caller::Caller;
use crate::key_ring::KeyRing;
use crate::operation::{Call, Input, KeyScope, Operation, Prepared};

/// Settings that operations use or show.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// How callers authenticate.
    pub authentication: Authentication,
    /// The most event streams that are open at once.
    pub max_streams: usize,
    /// The most streams and waiting polls of one API key that are open at once; 0: no limit.
    pub max_open_per_key: usize,
    /// The interval of a stream's heartbeats.
    pub stream_heartbeat: Duration,
    /// How often presences are swept, for the health document.
    pub presence_sweep: Duration,
    /// How often table sessions are swept, for the health document.
    pub table_session_sweep: Duration,
}

/// What all operations share.
pub struct Service {
    pub(crate) engine: Arc<Engine>,
    pub(crate) settings: ServiceSettings,
    /// The API keys that this node knows.
    pub(crate) keys: KeyRing,
    /// One permit per open stream.
    pub(crate) streams: Arc<Semaphore>,
    /// The streams and waiting polls of each API key.
    pub(crate) open_keys: Arc<OpenKeys>,
    /// Held while the store is probed for writing, so that probes do not pile up in the queue of commands.
    pub(crate) probing: Mutex<()>,
    pub(crate) started_at: Timestamp,
}

impl Service {
    /// A service on an engine.
    pub fn new(engine: Arc<Engine>, settings: ServiceSettings) -> Self {
        Self {
            streams: Arc::new(Semaphore::new(settings.max_streams)),
            open_keys: Arc::new(OpenKeys::new(settings.max_open_per_key)),
            probing: Mutex::default(),
            started_at: engine.now(),
            keys: KeyRing::new(Arc::clone(&engine.store)),
            engine,
            settings,
        }
    }

    /// Reads the input of an operation and does it.
    ///
    /// # Errors
    /// The caller's key does not allow it, what is wrong with the input, a refusal, or that the store is not available.
    pub async fn call<O: Operation>(
        self: &Arc<Self>,
        caller: &Caller,
        input: &Input,
    ) -> Result<O::Output, OperationError> {
        let is_enough = |scope| caller.principal.check(&[scope]).is_ok();
        if !O::SUFFICIENT_SCOPE.is_some_and(is_enough) {
            caller.principal.check(O::SCOPES)?;
        }
        if O::READS_OWN_WRITES {
            self.store().catch_up().await?;
        }
        if caller.principal.binding().is_some() {
            // Also where the body has the tenant: a parameter that says another is not ignored.
            input.parameters.tenant(TENANT_FILTER)?;
        }
        O::read(input, self.rules())?.run(&Call { service: self, caller, input }).await
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// What all streams of the log share.
    pub(crate) fn stream_hub(&self) -> StreamHub {
        StreamHub {
            fanout: Arc::clone(&self.engine.fanout),
            clock: Arc::clone(&self.engine.clock),
            heartbeat: self.settings.stream_heartbeat,
            stopping: self.engine.stopping.clone(),
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.engine.store
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.engine.rules
    }

    /// The record with this key.
    pub(crate) async fn get<R: Record>(&self, key: Key) -> Result<Option<R>, OperationError> {
        Ok(self.store().get(key).await?)
    }

    /// The record of an id as a caller wrote it: a text that is no id names no record.
    pub(crate) async fn by_id<R: Record>(
        &self,
        id: &str,
        key_of: fn(Uuid) -> Key,
    ) -> Result<Option<R>, OperationError> {
        match Uuid::parse_str(id) {
            Ok(id) => self.get(key_of(id)).await,
            Err(_) => Ok(None),
        }
    }

    /// The records that a query selects.
    pub(crate) async fn find<R: Record>(&self, query: RecordQuery) -> Result<Vec<R>, OperationError> {
        Ok(self.store().find(query).await?)
    }
}

impl Call<'_> {
    /// Executes the command of a mutation, once under its key.
    pub(crate) async fn execute<C: Command + 'static>(
        &self,
        prepared: Prepared<C>,
    ) -> Result<Executed, OperationError> {
        let Prepared { command, scope: KeyScope { subject, verb, parts } } = prepared;
        let (engine, caller) = (&self.service.engine, self.caller);
        if !caller.principal.reaches(&subject.tenant, subject.room.as_ref()) {
            return Err(DomainError::new(Code::NotFound).into());
        }
        let correlation_id = caller.correlation_id(&self.input.body, engine)?;
        let no_body = Map::new();
        let body = self.input.body.body().unwrap_or(&no_body);
        // Nobody occupies, probes or replays another caller's key.
        let owner = caller.principal.owner();
        let parts: Vec<&str> =
            parts.iter().map(String::as_str).chain(owner.as_ref().map(Owner::as_str)).collect();
        let key = caller.idempotency_key.as_deref();
        let key = IdempotencyKey::new(key, &subject.tenant, &parts, verb, body);
        let origin = Origin {
            trace_id: engine.fresh_id(),
            request_id: caller.request_id.clone(),
            route: caller.transport.route.clone(),
            method: caller.transport.method,
            tenant_id: subject.tenant,
            room_id: subject.room,
            actor_id: subject.actor,
            by: caller.principal.author(),
            owner,
            started_at: engine.now(),
        };
        let submitted = SubmittedCommand { command: Arc::new(command), correlation_id, origin, key };
        Ok(engine.execute(submitted).await?)
    }
}
