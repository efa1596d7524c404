//! Changing a session: its invitations and its end, never beyond what was paid for.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{INVITED_ACTOR_IDS, SessionStatus, TableSession, end, guests};
use crate::kernel::{
    ACTOR_ID, ActorId, ActorInRoom, Authority, Command, CommandContext, CommandError, DomainError, Field,
    Fields, METADATA, Query, Reply, Success, TenantId, Timestamp, response,
};
use crate::permissions::{self, Capability};
use crate::work::names_nothing;

const ACTION: &str = "table_session_update";
/// What can be changed, in the order in which it is checked and reported.
const FIELDS: [Field; 6] = [INVITED_ACTOR_IDS, STATUS, STARTED_AT, EXPIRES_AT, ENDED_AT, METADATA];
const STATUS: Field =
    Field::new("status", "ended ends the session; a session that has ended stays so.", "active");
const STARTED_AT: Field =
    Field::new("startedAt", "When the session starts: not earlier than before.", "2026-01-01T00:00:00.000Z");
const EXPIRES_AT: Field =
    Field::new("expiresAt", "When the session ends: not later than before.", "2026-01-01T02:00:00.000Z");
const ENDED_AT: Field =
    Field::new("endedAt", "When the session was ended. Default: now.", "2026-01-01T01:00:00.000Z");

/// `PATCH /v1/table-sessions/{sessionId}`: its owner, or a moderator of the room, changes a session.
pub struct UpdateTableSession {
    tenant_id: TenantId,
    actor_id: ActorId,
    session_id: Uuid,
    change: Result<SessionChange, DomainError>,
    authority: Authority,
}

/// The fields of the body.
struct SessionChange {
    fields: Vec<String>,
    invited: Vec<ActorId>,
    status: Option<SessionStatus>,
    started_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    metadata: Option<Map<String, Value>>,
}

response! {
    /// The answer to a [`UpdateTableSession`].
    UpdateTableSessionResponse + emitted_events {
        /// The session as it is now; only its owner sees the payment.
        session: super::SessionView,
    }
}

impl SessionChange {
    fn read(body: &Fields) -> Result<Self, DomainError> {
        let named = FIELDS.into_iter().filter(|field| body.has(field.name));
        let fields: Vec<String> = named.map(|field| field.name.to_owned()).collect();
        if fields.is_empty() {
            return Err(names_nothing(&FIELDS));
        }
        Ok(Self {
            invited: body.actors(INVITED_ACTOR_IDS)?.unwrap_or_default(),
            status: body.choice(STATUS, &SessionStatus::NAMES)?,
            started_at: body.timestamp(STARTED_AT)?,
            expires_at: body.timestamp(EXPIRES_AT)?,
            ended_at: body.timestamp(ENDED_AT)?,
            metadata: body.object(METADATA)?,
            fields,
        })
    }

    /// The session after the change.
    fn apply(&self, before: &TableSession, now: Timestamp) -> Result<TableSession, DomainError> {
        let named = |name: &str| self.fields.iter().any(|field| field == name);
        let mut session = TableSession { updated_at: now, ..before.clone() };
        if named(INVITED_ACTOR_IDS.name) {
            session.invited_actor_ids =
                guests(self.invited.clone(), &before.owner_actor_id, before.max_agents)?;
        }
        if before.status == SessionStatus::Ended && self.status == Some(SessionStatus::Active) {
            return Err(DomainError::invalid(STATUS.name, "a session that has ended stays so; open another")
                .with("sessionId", before.session_id.to_string()));
        }
        session.status = self.status.unwrap_or(before.status);
        session.started_at = self.started_at.unwrap_or(before.started_at);
        session.expires_at = self.expires_at.unwrap_or(before.expires_at);
        within(STARTED_AT.name, session.started_at, before.started_at, before.expires_at)?;
        within(EXPIRES_AT.name, session.expires_at, session.started_at, before.expires_at)?;
        if session.status == SessionStatus::Ended {
            session.ended_at = self.ended_at.or(before.ended_at).or(Some(now));
        }
        if named(METADATA.name) {
            session.metadata = self.metadata.clone().unwrap_or_default();
        }
        Ok(session)
    }
}

/// Refuses a time outside of the session that was paid for.
fn within(field: &str, value: Timestamp, min: Timestamp, max: Timestamp) -> Result<(), DomainError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    let message = "a session can only be shortened; another one is another payment";
    Err(DomainError::out_of_bounds(field, message, value.to_string())
        .with("min", min.to_string())
        .with("max", max.to_string()))
}

impl UpdateTableSession {
    /// Reads the path's id and the body; the tenant may also be in the query.
    ///
    /// # Errors
    /// The requester is not valid; the command refuses other fields when it is decided.
    pub fn read(session_id: &str, query: &Fields, body: &Fields) -> Result<Self, DomainError> {
        let tenant_id = body.tenant_or_in(query)?;
        let actor_id = body.required_actor(ACTOR_ID)?;
        let change = SessionChange::read(body);
        let session_id = Uuid::parse_str(session_id).map_err(|_| super::not_found(&tenant_id, session_id))?;
        Ok(Self { tenant_id, actor_id, session_id, change, authority: body.authority() })
    }

    /// Names the fields of the body.
    pub fn describe(fields: &Fields) -> Result<(), DomainError> {
        Self::read(&Uuid::nil().to_string(), fields, fields).map(|_| ())
    }

    /// The tenant, the requester, and the session.
    pub fn subject(&self) -> (&TenantId, &ActorId, Uuid) {
        (&self.tenant_id, &self.actor_id, self.session_id)
    }
}

impl Command for UpdateTableSession {
    fn reads(&self) -> Vec<Query> {
        vec![Query::one::<TableSession>(TableSession::key_of(self.session_id))]
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let stored: Option<TableSession> = ctx.get(TableSession::key_of(self.session_id))?;
        let Some(before) = stored.filter(|session| session.tenant_id == self.tenant_id) else {
            return Err(super::not_found(&self.tenant_id, &self.session_id.to_string()).into());
        };
        let actor = ActorInRoom::new(&self.tenant_id, &before.room_id, &self.actor_id);
        if before.owner_actor_id != self.actor_id {
            permissions::require(ctx, &actor, Capability::Moderate, ACTION)?;
            permissions::require_operator(ctx, self.authority, &actor, ACTION)?;
        }
        permissions::not_overridden(ctx, &actor, ACTION)?;
        let change = self.change.as_ref().map_err(Clone::clone)?;
        let session = change.apply(&before, ctx.now)?;
        ctx.put(&session);
        let has_ended = session.status == SessionStatus::Ended && before.status == SessionStatus::Active;
        end::announce(ctx, &actor, &session, change.fields.clone(), has_ended.then_some(None))?;
        let is_owner = session.owner_actor_id == self.actor_id;
        Ok(UpdateTableSessionResponse::reply(ctx, Success::Ok, session.view(is_owner)))
    }
}
