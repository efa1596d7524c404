//! `/v1/operator/overrides` and `/v1/operator/audit`.

use agentcafe_domain::{
    kernel::{
        actor::ActorInRoom,
        error::DomainError,
        fields::Fields,
        ids::{ActorId, RoomId, Sequence, TenantId},
        record::{Comparison, RecordQuery, SortKey},
        time::Timestamp,
    },
    operators::{ApplyOverride, OverrideState, audit::AuditEntry},
    permissions::{self, Capability, Permission, PermissionsMode, RoomOverride},
    tables::PrivateTableRules,
};
use axum::response::Response;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    answer,
    app::App,
    error::ApiError,
    input::{ReadRequest, Subject, WriteRequest},
    paging, read_access,
};

const LIMIT: usize = 200;
const AUDIT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

pub(crate) async fn operate(request: WriteRequest) -> Result<Response, ApiError> {
    let command = ApplyOverride::read(&request.body)?;
    let (operator, action) = (command.operator().clone(), command.action().as_str());
    let target = command.target().cloned();
    let (tenant, room) = (operator.tenant_id.as_str(), operator.room_id.as_str());
    let target = target.as_ref().map_or("-", ActorId::as_str);
    let scope = [tenant, room, "operator-overrides", action, target];
    request.execute(Subject::from(&operator), &scope, command).await
}

/// Who reads what operators did, and of which room.
struct Viewer<'a> {
    tenant: &'a TenantId,
    room: Option<&'a RoomId>,
    actor: Option<&'a ActorId>,
}

impl Viewer<'_> {
    /// In strict mode, only operators of a room read what was done there; where reads are gated, those at its table too.
    async fn may_see(&self, app: &App, action: &str) -> Result<(), ApiError> {
        let is_open = *app.rules().get::<PermissionsMode>() == PermissionsMode::Open;
        if is_open && !app.rules().get::<PrivateTableRules>().gates_reads {
            return Ok(());
        }
        let Some(room) = self.room else {
            if is_open {
                return read_access::may_list(&app.engine, self.tenant, None, self.actor).await;
            }
            return Err(DomainError::missing("roomId").into());
        };
        let viewer = ActorInRoom {
            tenant_id: self.tenant.clone(),
            room_id: room.clone(),
            actor_id: self.actor.cloned().unwrap_or_else(ActorId::system),
        };
        let permission: Option<Permission> = match self.actor {
            Some(_) => app.engine.store.get(viewer.key()).await?,
            None => None,
        };
        match permissions::granted(permission.as_ref(), &viewer, Capability::Moderate, action) {
            Err(_) if is_open => read_access::may_read(&app.engine, self.tenant, room, self.actor).await,
            granted => Ok(granted?),
        }
    }
}

/// What a list of overrides is asked for.
pub(crate) struct OverridesQuery {
    tenant: TenantId,
    room: Option<RoomId>,
    viewer: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

impl OverridesQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        let operator = query.actor("operatorId")?;
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            room: query.room("roomId")?,
            viewer: query.actor("viewerActorId")?.or(operator),
            cursor: paging::cursor::<RoomOverride>(query)?,
            limit: query.limit(LIMIT, MAX_LIMIT)?,
        })
    }
}

/// The overrides of one room.
#[derive(Serialize, JsonSchema)]
pub(crate) struct OverrideResponse {
    #[serde(rename = "override")]
    state: OverrideState,
}

/// Of many.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OverridesResponse {
    overrides: Vec<OverrideState>,
    count: usize,
    next_cursor: Option<String>,
}

/// The overrides of one room, or of many.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) enum OverridesAnswer {
    One(OverrideResponse),
    Many(OverridesResponse),
}

pub(crate) async fn overrides(request: ReadRequest) -> Result<Response, ApiError> {
    let OverridesQuery { tenant, room, viewer, cursor, limit } = OverridesQuery::read(&request.query)?;
    let viewer = Viewer { tenant: &tenant, room: room.as_ref(), actor: viewer.as_ref() };
    viewer.may_see(&request.app, "operator_overrides_read").await?;
    let store = &request.app.engine.store;
    if let Some(room) = room {
        let set: Option<RoomOverride> = store.get(vec![(&tenant).into(), (&room).into()]).await?;
        let state = set.map_or_else(|| OverrideState::none(tenant, room), Into::into);
        return Ok(answer::found(&OverrideResponse { state }));
    }
    let find = RecordQuery::all::<RoomOverride>("updated_at", limit)
        .newest_first()
        .is("tenant_id", &tenant)
        .behind(cursor);
    let (set, next_cursor): (Vec<RoomOverride>, _) = paging::page(store, find).await?;
    let overrides: Vec<OverrideState> = set.into_iter().map(Into::into).collect();
    Ok(answer::found(&OverridesResponse { count: overrides.len(), overrides, next_cursor }))
}

/// What the audit trail is asked for.
pub(crate) struct AuditQuery {
    tenant: TenantId,
    room: Option<RoomId>,
    operator: Option<ActorId>,
    viewer: Option<ActorId>,
    action: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    cursor: Option<Sequence>,
    limit: usize,
    ascending: bool,
}

impl AuditQuery {
    pub(crate) fn read(query: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            tenant: query.tenant("tenantId")?.unwrap_or_else(TenantId::default),
            room: query.room("roomId")?,
            operator: query.actor("operatorId")?,
            viewer: query.actor("viewerActorId")?,
            action: query.trimmed_text("action")?,
            from: query.timestamp("fromTs")?,
            to: query.timestamp("toTs")?,
            cursor: query.sequence("cursor")?,
            limit: query.limit(AUDIT_LIMIT, MAX_LIMIT)?,
            ascending: query.is_ascending(),
        })
    }

    fn entries(&self) -> RecordQuery {
        let mut find = RecordQuery::all::<AuditEntry>("audit_seq", self.limit)
            .is("tenant_id", &self.tenant)
            .is_if_given("room_id", self.room.as_ref())
            .is_if_given("operator_id", self.operator.as_ref())
            .is_if_given("action", self.action.as_deref());
        find.descending = !self.ascending;
        if let Some(from) = self.from {
            find = find.only("created_at", Comparison::Above, from.as_millis() - 1);
        }
        if let Some(to) = self.to {
            find = find.only("created_at", Comparison::AtMost, to);
        }
        let Some(cursor) = self.cursor else { return find };
        let beyond = if self.ascending { Comparison::Above } else { Comparison::Below };
        find.only("audit_seq", beyond, i64::try_from(cursor.0).unwrap_or(i64::MAX))
    }
}

/// A page of the audit trail.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditResponse {
    entries: Vec<AuditEntry>,
    count: usize,
    next_cursor: Sequence,
    order: &'static str,
}

pub(crate) async fn audit(request: ReadRequest) -> Result<Response, ApiError> {
    let audit = AuditQuery::read(&request.query)?;
    let actor = audit.viewer.as_ref().or(audit.operator.as_ref());
    let viewer = Viewer { tenant: &audit.tenant, room: audit.room.as_ref(), actor };
    viewer.may_see(&request.app, "operator_audit_read").await?;
    let (entries, _) = paging::page::<AuditEntry>(&request.app.engine.store, audit.entries()).await?;
    let given = audit.cursor.unwrap_or(Sequence::START);
    Ok(answer::found(&AuditResponse {
        count: entries.len(),
        next_cursor: entries.last().map_or(given, |entry| entry.audit_seq),
        entries,
        order: if audit.ascending { "asc" } else { "desc" },
    }))
}
