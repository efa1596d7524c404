//! The dead-letter queue: lists events that could not be delivered, and delivers one once more.

use agentcafe_domain::kernel::{
    ActorId, DomainError, Field, OperationError, RecordQuery, Rules, SortKey, TENANT_FILTER, TenantId,
};
use agentcafe_domain::webhooks::delivery::{DlqEntry, DlqStatus};
use agentcafe_domain::webhooks::replay::{ReplayDelivery, ReplayDeliveryResponse};

use crate::operation::{Call, Input, KeyScope, Mutation, Operation, Prepared, Subject};
use crate::paging::{self, record_list};
use crate::read_access;

const STATUS: Field = Field::new("status", "Only entries in this state.", "open");

const LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// Lists events that could not be delivered.
pub struct ListDlq {
    tenant: Option<TenantId>,
    status: Option<DlqStatus>,
    viewer: Option<ActorId>,
    cursor: Option<SortKey>,
    limit: usize,
}

record_list! {
    /// Events that could not be delivered, the newest first.
    DlqList { dlq: DlqEntry }
}

impl Operation for ListDlq {
    type Output = DlqList;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        Ok(Self {
            tenant: fields.tenant(TENANT_FILTER)?,
            status: fields.text_choice(STATUS, &DlqStatus::NAMES)?,
            viewer: read_access::viewer(fields)?,
            cursor: paging::cursor::<DlqEntry>(fields)?,
            limit: fields.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<DlqList, OperationError> {
        let query = RecordQuery::all::<DlqEntry>("dlq_seq", self.limit)
            .newest_first()
            .is_if_given("tenant_id", self.tenant.as_ref())
            .is_if_given("status", self.status.map(DlqStatus::as_str))
            .behind(self.cursor);
        let (mut dlq, next_cursor) = call.service.page::<DlqEntry>(query).await?;
        let room_of = |entry: &DlqEntry| (entry.tenant_id.clone(), entry.room_id.clone());
        call.service.retain_readable(&mut dlq, self.viewer.as_ref(), room_of).await?;
        Ok((dlq, next_cursor).into())
    }
}

impl Mutation for ReplayDelivery {
    type Command = Self;
    type Answer = ReplayDeliveryResponse;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Self::read(input.id.clone(), &input.parameters, &input.body)
    }

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<Self>, OperationError> {
        let (tenant, room, actor) = self.subject();
        let scope = KeyScope::post([tenant.as_str(), "subscriptions", "dlq-replay", &call.input.id]);
        Ok(Prepared { subject: Subject { tenant, room, actor }, scope, command: self })
    }

    fn describe(input: &Input, _: &Rules) {
        Self::describe(&input.body);
    }
}
