//! Who may read what happens at a private table: everybody, unless `PRIVATE_TABLE_READ_GATE=members`; and who may replay it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use agentcafe_domain::inbox::{InboxItem, UnreadCount};
use agentcafe_domain::kernel::{
    ActorId, ActorInRoom, Code, DomainError, Fields, OperationError, RoomId, TenantId, VIEWER_ACTOR_ID,
};
use agentcafe_domain::keys::Principal;
use agentcafe_domain::rooms::{Room, RoomType};
use agentcafe_domain::search::IndexEntry;
use agentcafe_domain::tables::access::{self, AccessRequirement};
use agentcafe_domain::tables::plan::Feature;
use agentcafe_domain::tables::{PrivateTableRules, TableSession};
use agentcafe_domain::tasks::Task;
use agentcafe_domain::webhooks::delivery::{Delivery, DlqEntry};
use agentcafe_store::EventFilter;

use crate::service::Service;

const READ: AccessRequirement<'_> = AccessRequirement { action: "read", feature: None, takes_seat: false };
const REPLAY: AccessRequirement<'_> =
    AccessRequirement { action: "replay", feature: Some(Feature::Replay), takes_seat: false };

/// A record that is about what happened in a room.
pub(crate) trait OfRoom {
    /// The tenant and the room.
    fn room(&self) -> (&TenantId, &RoomId);
}

macro_rules! of_room {
    ($($record:ty),+) => {
        $(impl OfRoom for $record {
            fn room(&self) -> (&TenantId, &RoomId) {
                (&self.tenant_id, &self.room_id)
            }
        })+
    };
}
of_room!(InboxItem, UnreadCount, Task, Delivery, DlqEntry, IndexEntry);

/// Reads the actor on whose behalf a read is made.
pub(crate) fn viewer(parameters: &Fields) -> Result<Option<ActorId>, DomainError> {
    parameters.actor(VIEWER_ACTOR_ID)
}

impl Service {
    /// Whether reading is gated at private tables.
    pub(crate) fn gates_reads(&self) -> bool {
        self.rules().get::<PrivateTableRules>().gates_reads
    }

    /// Checks that the viewer may read what is kept of a room.
    pub(crate) async fn may_read(
        &self,
        tenant: &TenantId,
        room: &RoomId,
        viewer: Option<&ActorId>,
    ) -> Result<(), OperationError> {
        if !self.gates_reads() {
            return Ok(());
        }
        Ok(self.read_access(tenant, room, viewer, READ, VIEWER_ACTOR_ID.name).await??)
    }

    /// As [`Service::may_read`], for lists of one room or of all; where reading is gated, they must be of one.
    pub(crate) async fn may_list(
        &self,
        tenant: &TenantId,
        room: Option<&RoomId>,
        viewer: Option<&ActorId>,
    ) -> Result<(), OperationError> {
        match room {
            Some(room) => self.may_read(tenant, room, viewer).await,
            None if self.gates_reads() => Err(DomainError::new(Code::Forbidden)
                .saying("only rooms can be read here (PRIVATE_TABLE_READ_GATE=members): name one as roomId")
                .with("field", "roomId")
                .into()),
            None => Ok(()),
        }
    }

    /// As [`Service::may_list`], for the log: where reading is gated, a missing tenant is the default one, as everywhere else.
    /// A caller with a key needs the scope `follow`, or for what is of one room, or a mention of its own actor, `listen`. What the
    /// caller came in with must still hold.
    pub(crate) async fn may_follow(
        &self,
        principal: &Principal,
        filter: &mut EventFilter,
        viewer: Option<&ActorId>,
    ) -> Result<(), OperationError> {
        self.require_live(principal).await?;
        if let Some(binding) = principal.binding() {
            let is_own = filter.mentioned.as_ref().is_some_and(|actor| binding.actors.allow(actor.as_str()));
            principal.check_listens(filter.room.is_some() || is_own)?;
        }
        if !self.gates_reads() {
            return Ok(());
        }
        let tenant = filter.tenant.get_or_insert_default();
        self.may_list(tenant, filter.room.as_ref(), viewer).await
    }

    /// Checks that the viewer may replay a room: at a private table that is part of a plan, whether reading is gated or not.
    pub(crate) async fn may_replay(
        &self,
        tenant: &TenantId,
        room: &RoomId,
        viewer: Option<&ActorId>,
    ) -> Result<(), OperationError> {
        Ok(self.read_access(tenant, room, viewer, REPLAY, "actorId").await??)
    }

    /// Checks that the viewer may read a session, also one that has ended: its owner and its guests may.
    pub(crate) fn may_see_session(
        &self,
        session: &TableSession,
        viewer: Option<&ActorId>,
    ) -> Result<(), DomainError> {
        if !self.gates_reads() || viewer.is_some_and(|viewer| session.entitles(viewer)) {
            return Ok(());
        }
        let Some(viewer) = viewer else {
            return Err(no_viewer(&session.room_id, READ, VIEWER_ACTOR_ID.name));
        };
        Err(DomainError::new(Code::Forbidden)
            .saying("the viewer neither owns the session nor is invited to it")
            .with("tenantId", session.tenant_id.as_str())
            .with("roomId", session.room_id.as_str())
            .with("actorId", viewer.as_str())
            .with("action", READ.action)
            .with("sessionId", session.session_id.to_string()))
    }

    /// Removes the entries of a list that are about rooms which the viewer may not read.
    pub(crate) async fn retain_readable<T: OfRoom>(
        &self,
        entries: &mut Vec<T>,
        viewer: Option<&ActorId>,
    ) -> Result<(), OperationError> {
        if !self.gates_reads() {
            return Ok(());
        }
        let room_of = |entry: &T| {
            let (tenant, room) = entry.room();
            (tenant.clone(), room.clone())
        };
        let mut readable: HashMap<(TenantId, RoomId), bool> = HashMap::new();
        for entry in &*entries {
            if let Entry::Vacant(unknown) = readable.entry(room_of(entry)) {
                let (tenant, room) = unknown.key();
                let access = self.read_access(tenant, room, viewer, READ, VIEWER_ACTOR_ID.name).await?;
                unknown.insert(access.is_ok());
            }
        }
        entries.retain(|entry| readable.get(&room_of(entry)).copied().unwrap_or(false));
        Ok(())
    }

    /// Removes the entries of a list that are about rooms which the caller's key does not reach, or the viewer may not read.
    pub(crate) async fn retain_visible<T: OfRoom>(
        &self,
        entries: &mut Vec<T>,
        principal: &Principal,
        viewer: Option<&ActorId>,
    ) -> Result<(), OperationError> {
        entries.retain(|entry| {
            let (tenant, room) = entry.room();
            principal.reaches(tenant, Some(room))
        });
        self.retain_readable(entries, viewer).await
    }

    /// Checks a read. The inner result is the refusal; the outer error means that the store cannot be read.
    async fn read_access(
        &self,
        tenant: &TenantId,
        room: &RoomId,
        viewer: Option<&ActorId>,
        required: AccessRequirement<'_>,
        field: &str,
    ) -> Result<Result<(), DomainError>, OperationError> {
        let record: Option<Room> = self.get(vec![tenant.into(), room.into()]).await?;
        if record.is_none_or(|room| room.room_type != RoomType::PrivateTable) {
            return Ok(Ok(()));
        }
        let Some(viewer) = viewer else { return Ok(Err(no_viewer(room, required, field))) };
        let session = self.find::<TableSession>(access::active_session(tenant, room)).await?.pop();
        let (tenant_id, room_id, actor_id) = (tenant.clone(), room.clone(), viewer.clone());
        let actor = ActorInRoom { tenant_id, room_id, actor_id };
        Ok(access::allow(session.as_ref(), &actor, required, self.engine.now()).map(|_| ()))
    }
}

/// The refusal of a read that names no viewer.
fn no_viewer(room: &RoomId, required: AccessRequirement<'_>, field: &str) -> DomainError {
    let error = DomainError::missing(field).saying(format!("{} must name the reader", VIEWER_ACTOR_ID.name));
    error.with("roomId", room.as_str()).with("action", required.action)
}
