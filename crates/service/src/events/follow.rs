//! Follows the log: what is stored after a cursor, then what comes.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{
    ActorId, Code, Cursor, DomainError, EVENT_ACTOR_FILTER, LIMIT, OperationError, Rules, STREAM_CURSOR,
    Sequence, TYPES,
};
use agentcafe_eventlog::Follower;
use agentcafe_store::{EventFilter, Store};
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::filter::filter;
use crate::operation::{Call, Input, Operation};
use crate::read_access;
use crate::service::Service;

const MAX_BACKLOG: usize = 5_000;

/// Follows the log.
pub struct FollowEvents {
    filter: EventFilter,
    viewer: Option<ActorId>,
    cursor: Option<Cursor>,
    backlog_limit: Option<usize>,
    types: Vec<String>,
    last_event_id: Option<Sequence>,
}

/// An open stream of events.
pub struct Subscription {
    /// Reads the events.
    pub follower: Follower,
    /// The most events that are sent of those stored before the stream began.
    pub backlog_limit: Option<usize>,
    /// Where the stream begins and what it filters by, for its first message.
    pub ready: Value,
    /// Held as long as the stream is open: there is a limit on how many are.
    pub permit: OwnedSemaphorePermit,
    /// Checks while the stream is open whether it may go on.
    pub access: StreamAccess,
}

/// Whether a subscriber may still read what it follows: tables close while streams are open.
pub struct StreamAccess {
    service: Arc<Service>,
    viewer: Option<ActorId>,
}

impl StreamAccess {
    /// Checks it.
    ///
    /// # Errors
    /// The code of the refusal.
    pub async fn check(&self, filter: &EventFilter) -> Result<(), Code> {
        let allowed = self.service.may_follow(&mut filter.clone(), self.viewer.as_ref()).await;
        allowed.map_err(|error| error.error.code)
    }

    /// The store that is followed.
    pub fn store(&self) -> &Store {
        self.service.store()
    }

    /// The present, on the engine's stopwatch.
    pub fn now(&self) -> Duration {
        self.service.engine.clock.stopwatch()
    }
}

impl Operation for FollowEvents {
    type Output = Subscription;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        let limit = fields.limit(MAX_BACKLOG, MAX_BACKLOG)?;
        let limited = fields.text(LIMIT)?.is_some();
        Ok(Self {
            filter: filter(fields, EVENT_ACTOR_FILTER)?,
            viewer: read_access::viewer(fields)?,
            cursor: fields.cursor(STREAM_CURSOR)?,
            backlog_limit: limited.then_some(limit),
            types: fields.names(TYPES),
            last_event_id: input.last_event_id,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<Subscription, OperationError> {
        let Self { mut filter, viewer, cursor, backlog_limit, types, last_event_id } = self;
        let service = call.service;
        service.may_follow(&mut filter, viewer.as_ref()).await?;
        let head = service.store().recent_events().head();
        let after = match cursor {
            Some(Cursor::Latest) => last_event_id.unwrap_or(head),
            Some(Cursor::After(cursor)) => cursor.max(last_event_id.unwrap_or(cursor)),
            None => last_event_id.unwrap_or(Sequence::START),
        };
        let permit = Arc::clone(&service.streams).try_acquire_owned().map_err(|_| {
            let limit = service.settings.max_streams;
            OperationError::unavailable(&format!("all {limit} streams are taken (API_STREAM_MAX_CLIENTS)"))
        })?;
        let ready = json!({
            "tenantId": filter.tenant, "roomId": filter.room, "actorId": filter.actor,
            "cursor": after, "types": types, "head": head,
        });
        let follower = Follower::new(Arc::clone(&service.engine.store), filter, after);
        let access = StreamAccess { service: Arc::clone(service), viewer };
        Ok(Subscription { follower, backlog_limit, ready, permit, access })
    }
}
