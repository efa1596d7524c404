//! Lists sessions, the last changed first.

use agentcafe_domain::kernel::{
    ActorId, DomainError, Field, OperationError, ROOM_FILTER, RecordQuery, RoomId, Rules, SortKey, TenantId,
};
use agentcafe_domain::tables::{SessionStatus, SessionView, TableSession};

use crate::operation::{Call, Input, Operation};
use crate::paging::{self, record_list};
use crate::read_access;

const OWNER_ACTOR_ID: Field = Field::new("ownerActorId", "Only sessions of this owner.", "Nova");
const STATUS: Field = Field::new("status", "Only sessions in this state.", "active");

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// Lists sessions.
pub struct ListSessions {
    tenant: TenantId,
    room: Option<RoomId>,
    owner: Option<ActorId>,
    status: Option<SessionStatus>,
    viewer: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

record_list! {
    /// Sessions, the last changed first.
    SessionList { sessions: SessionView }
}

impl Operation for ListSessions {
    type Output = SessionList;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        Ok(Self {
            tenant: fields.tenant_or_default()?,
            room: fields.room(ROOM_FILTER)?,
            owner: fields.actor(OWNER_ACTOR_ID)?,
            status: fields.choice(STATUS, &SessionStatus::NAMES)?,
            viewer: read_access::viewer(fields)?,
            cursor: paging::cursor::<TableSession>(fields)?,
            limit: fields.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<SessionList, OperationError> {
        let (service, viewer) = (call.service, self.viewer.as_ref());
        let query = RecordQuery::all::<TableSession>("updated_at", self.limit)
            .newest_first()
            .is("tenant_id", &self.tenant)
            .is_if_given("room_id", self.room.as_ref())
            .is_if_given("owner_actor_id", self.owner.as_ref())
            .is_if_given("status", self.status.map(SessionStatus::as_str))
            .behind(self.cursor);
        let (mut sessions, next_cursor) = service.page::<TableSession>(query).await?;
        sessions.retain(|session| service.may_see_session(session, viewer).is_ok());
        let shown: Vec<_> = sessions.into_iter().map(|session| session.shown_to(viewer)).collect();
        Ok((shown, next_cursor).into())
    }
}
