//! Private tables: sessions that are bought for a while.

use agentcafe_domain::kernel::{
    ActorId, ActorInRoom, Authority, DomainError, Field, OperationError, RoomId, Rules, TenantId,
};
use agentcafe_domain::keys::Scope;
use agentcafe_domain::tables::change::{UpdateTableSession, UpdateTableSessionResponse};
use agentcafe_domain::tables::open::{CreateTableSession, CreateTableSessionResponse};
use agentcafe_domain::tables::{SessionStatus, SessionView, TableSession, not_found};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, FromInput, Input, KeyScope, Mutation, Operation, Prepared, parameters};
use crate::paging::{Page, RoomRecords, record_list};
use crate::read_access;
use crate::rooms::claim;

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

/// Whether the caller sees the payment of a session: its owner and admins do. Without an API key, the caller is an admin, or
/// the viewer that it names.
fn sees_payment(call: &Call<'_>, session: &TableSession, viewer: Option<&ActorId>) -> bool {
    let principal = &call.caller.principal;
    let is_admin = match principal.binding() {
        Some(binding) => binding.authority == Authority::Admin,
        None => viewer.is_none(),
    };
    is_admin || viewer == Some(&session.owner_actor_id)
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
        let view = |session: TableSession| {
            let shows_payment = sees_payment(call, &session, viewer.as_ref());
            session.view(shows_payment)
        };
        Ok(page.map(view).into())
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
        let shows_payment = sees_payment(call, &session, self.viewer.as_ref());
        Ok(OneSession { session: session.view(shows_payment) })
    }
}

/// Opens a session.
pub struct OpenTable(CreateTableSession);

impl FromInput for OpenTable {
    fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError> {
        CreateTableSession::read(&input.body, rules).map(Self)
    }
}

impl Mutation for OpenTable {
    type Command = CreateTableSession;
    type Answer = CreateTableSessionResponse;

    const SCOPES: &'static [Scope] = &[Scope::Host];

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<CreateTableSession>, OperationError> {
        let Self(open) = self;
        let (tenant, actor, owner, room) = open.subject();
        if let Some(room) = room {
            claim::check(call, &ActorInRoom::new(tenant, room, owner)).await?;
        }
        let room_part = room.map_or(NEW_ROOM, RoomId::as_str);
        let parts = [tenant.as_str(), "table-sessions", "create", room_part, owner.as_str()];
        Ok(Prepared { scope: KeyScope::post((tenant, room, Some(actor)), parts), command: open })
    }
}

/// Changes a session.
pub struct ChangeTable(UpdateTableSession);

impl FromInput for ChangeTable {
    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        UpdateTableSession::read(&input.id, &input.parameters, &input.body).map(Self)
    }

    fn describe(input: &Input, _: &Rules) {
        let _ = UpdateTableSession::describe(&input.body);
    }
}

impl Mutation for ChangeTable {
    type Command = UpdateTableSession;
    type Answer = UpdateTableSessionResponse;

    const SCOPES: &'static [Scope] = &[Scope::Host];

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<UpdateTableSession>, OperationError> {
        let Self(change) = self;
        let (tenant, actor, session) = change.subject();
        if call.caller.principal.binding().is_some() {
            let known: Option<TableSession> = call.service.get(TableSession::key_of(session)).await?;
            let reached = |known: TableSession| call.caller.principal.reaches(tenant, Some(&known.room_id));
            if !known.is_some_and(reached) {
                return Err(not_found(tenant, &session.to_string()).into());
            }
        }
        let parts = [tenant.as_str(), "table-sessions", &session.to_string(), "patch"];
        Ok(Prepared { scope: KeyScope::patch((tenant, None, Some(actor)), parts), command: change })
    }
}
