//! The end of a session: by its owner, or because its time has run out.

use serde_json::Value;

use super::{SessionStatus, TableSession, TableSessionEnded, TableSessionUpdated};
use crate::kernel::{
    ActorInRoom, Command, CommandContext, CommandError, Comparison, EmittedEvent, Query, RecordQuery, Reply,
    Success, Timestamp,
};

/// Appends `table_session_updated`, and `table_session_ended` if the change has ended it.
///
/// # Errors
/// None: the event notifies no inbox.
pub(super) fn announce(
    ctx: &mut CommandContext<'_>,
    actor: &ActorInRoom,
    session: &TableSession,
    changed_fields: Vec<String>,
    ended: Option<Option<&str>>,
) -> Result<EmittedEvent, CommandError> {
    let updated = TableSessionUpdated {
        session_id: session.session_id,
        status: session.status.as_str().to_owned(),
        plan_id: session.plan_id.clone(),
        invited_actor_ids: session.invited_actor_ids.clone(),
        started_at: session.started_at,
        expires_at: Some(session.expires_at),
        ended_at: session.ended_at,
        metadata: session.metadata.clone(),
        changed_fields,
    };
    let updated = ctx.append(actor, &updated, None)?;
    let Some(reason) = ended else { return Ok(updated) };
    let payload = TableSessionEnded {
        session_id: session.session_id,
        ended_at: session.ended_at.unwrap_or(ctx.now),
        owner_actor_id: session.owner_actor_id.clone(),
        reason: reason.map(str::to_owned),
    };
    ctx.append(actor, &payload, Some(&updated.cause()))
}

/// Ends an expired session. Its two events have a correlation id of their own.
///
/// # Errors
/// As [`announce`].
pub(super) fn expire(ctx: &mut CommandContext<'_>, session: TableSession) -> Result<(), CommandError> {
    let own = ctx.fresh_id().into();
    let requests = std::mem::replace(&mut ctx.correlation_id, own);
    let session = TableSession {
        status: SessionStatus::Ended,
        ended_at: Some(ctx.now),
        updated_at: ctx.now,
        ..session
    };
    ctx.put(&session);
    let owner = ActorInRoom::new(&session.tenant_id, &session.room_id, &session.owner_actor_id);
    let changed = vec!["status".to_owned(), "endedAt".to_owned()];
    announce(ctx, &owner, &session, changed, Some(Some("expired")))?;
    ctx.correlation_id = requests;
    Ok(())
}

/// Ends expired sessions, at most [`ExpireTableSessions::BATCH`] at once. Answers their number.
pub struct ExpireTableSessions {
    /// Sessions that expire at or before this time end.
    pub now: Timestamp,
}

impl ExpireTableSessions {
    /// The most sessions that one command ends; a sweep goes on until a command ends fewer.
    pub const BATCH: usize = 200;

    fn due(&self) -> RecordQuery {
        let by_expiry = RecordQuery::all::<TableSession>("active_until", Self::BATCH);
        by_expiry.only("active_until", Comparison::AtMost, self.now)
    }
}

impl Command for ExpireTableSessions {
    fn reads(&self) -> Vec<Query> {
        vec![Query::Many(self.due())]
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let due: Vec<TableSession> = ctx.find(self.due())?;
        let count = due.len();
        due.into_iter().try_for_each(|session| expire(ctx, session))?;
        Ok(Reply::new(Success::Ok, &Value::from(count)))
    }
}
