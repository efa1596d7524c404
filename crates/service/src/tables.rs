//! Private tables: sessions that are bought for a while.

use agentcafe_domain::kernel::{ActorId, Authority, Field, OperationError, RoomId, TenantId};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::tables::change::{UpdateTableSession, UpdateTableSessionResponse};
use agentcafe_domain::tables::open::{CreateTableSession, CreateTableSessionResponse};
use agentcafe_domain::tables::{SessionStatus, SessionView, TableSession, not_found};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, KeyScope, Operation, mutation, parameters};
use crate::paging::{Page, RoomRecords, record_list};
use crate::read_access;

const OWNER_ACTOR_ID: Field = Field::new("ownerActorId", "Only sessions of this owner.", "Nova");
const STATUS: Field = Field::new("status", "Only sessions in this state.", "active");

/// Stands in the scope of a key for a room that the caller does not name.
const NEW_ROOM: &str = "auto";

record_list! {
    /// Sessions, the last changed first.
    SessionList { sessions: SessionView }
}

parameters! {
    /// Lists sessions, the last changed first.
    ListSessions(fields) {
        list: RoomRecords = RoomRecords::read::<TableSession>(fields, |all| {
            Ok(all.is_if_given("owner_actor_id", fields.actor(OWNER_ACTOR_ID)?.as_ref()).is_if_given(
                "status",
                fields.choice(STATUS, &SessionStatus::NAMES)?.map(SessionStatus::as_str),
            ))
        })?,
    }
}

/// Whether a session exists for the caller: with an actor's API key, for its owner and its guests.
fn is_entitled(call: &Call<'_>, session: &TableSession, viewer: Option<&ActorId>) -> bool {
    call.caller.principal.authority() == Authority::Admin
        || viewer.is_some_and(|viewer| session.entitles(viewer))
}

impl Operation for ListSessions {
    type Output = SessionList;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<SessionList, OperationError> {
        let viewer = self.list.viewer.clone();
        let mut page: Page<TableSession> = self.list.page(call).await?;
        let seen = |session: &TableSession| {
            is_entitled(call, session, viewer.as_ref())
                && call.service.may_see_session(session, viewer.as_ref()).is_ok()
        };
        page.records.retain(seen);
        Ok(page.map(|session| session.shown_to(viewer.as_ref())).into())
    }
}

parameters! {
    /// Reads one session.
    GetSession(fields, input) {
        id: String = input.id.clone(),
        tenant: TenantId = fields.tenant_or_default()?,
        viewer: Option<ActorId> = read_access::viewer(fields)?,
    }
}

/// One session.
#[derive(Serialize, JsonSchema)]
pub struct OneSession {
    /// The session.
    session: SessionView,
}

impl Operation for GetSession {
    type Output = OneSession;

    const SCOPES: &'static [Scope] = &[Scope::Listen];

    async fn run(self, call: &Call<'_>) -> Result<OneSession, OperationError> {
        let session: Option<TableSession> = call.service.by_id(&self.id, TableSession::key_of).await?;
        let own = session.filter(|session| {
            let principal = &call.caller.principal;
            session.tenant_id == self.tenant
                && principal.reaches(&self.tenant, Some(&session.room_id))
                && is_entitled(call, session, self.viewer.as_ref())
        });
        let session = own.ok_or_else(|| not_found(&self.tenant, &self.id))?;
        call.service.may_see_session(&session, self.viewer.as_ref())?;
        Ok(OneSession { session: session.shown_to(self.viewer.as_ref()) })
    }
}

mutation!(
    CreateTableSession,
    CreateTableSessionResponse,
    Scope::Host,
    |input, rules| Self::read(&input.body, rules),
    |open| {
        let (tenant, actor, owner, room) = open.subject();
        let room_part = room.map_or(NEW_ROOM, RoomId::as_str);
        let parts = [tenant.as_str(), "table-sessions", "create", room_part, owner.as_str()];
        KeyScope::post((tenant, room, Some(actor)), parts)
    }
);

mutation!(
    UpdateTableSession,
    UpdateTableSessionResponse,
    Scope::Host,
    |input, _| Self::read(&input.id, &input.parameters, &input.body),
    |change| {
        let (tenant, actor, session) = change.subject();
        let parts = [tenant.as_str(), "table-sessions", &session.to_string(), "patch"];
        KeyScope::patch((tenant, None, Some(actor)), parts)
    },
    |input| drop(Self::describe(&input.body)),
);
