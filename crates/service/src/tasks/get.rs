//! Reads one task.

use agentcafe_domain::kernel::{ActorId, DomainError, Fields, OperationError, Rules, TenantId};
use agentcafe_domain::tasks::Task;
use agentcafe_domain::work;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::operation::{Call, Input, Operation};
use crate::read_access;
use crate::service::Service;

/// Reads one task.
pub struct GetTask {
    pub(super) id: String,
    pub(super) tenant: TenantId,
    pub(super) viewer: Option<ActorId>,
}

/// One task.
#[derive(Serialize, JsonSchema)]
pub struct OneTask {
    /// The task.
    task: Task,
}

impl GetTask {
    /// The task, if it is in this tenant and the viewer may read its room.
    pub(super) async fn find(&self, service: &Service) -> Result<Task, OperationError> {
        let task = task(service, &self.tenant, &self.id).await?;
        service.may_read(&self.tenant, &task.room_id, self.viewer.as_ref()).await?;
        Ok(task)
    }
}

impl Operation for GetTask {
    type Output = OneTask;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields: &Fields = &input.parameters;
        Ok(Self {
            id: input.id.clone(),
            tenant: fields.tenant_or_default()?,
            viewer: read_access::viewer(fields)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<OneTask, OperationError> {
        Ok(OneTask { task: self.find(call.service).await? })
    }
}

/// The task with this id in this tenant. Tasks neither vanish nor move.
pub(super) async fn task(service: &Service, tenant: &TenantId, id: &str) -> Result<Task, OperationError> {
    let task: Option<Task> = match Uuid::parse_str(id) {
        Ok(task_id) => service.get(Task::key_of(task_id)).await?,
        Err(_) => None,
    };
    let own = task.filter(|task| task.tenant_id == *tenant);
    own.ok_or_else(|| work::not_found(tenant, "taskId", id).into())
}
