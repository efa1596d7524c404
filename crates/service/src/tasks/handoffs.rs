//! Lists the handoffs of a task, oldest first.

use agentcafe_domain::kernel::{CURSOR, DomainError, OperationError, Rules, Sequence};
use agentcafe_domain::tasks::handoff::HandoffPosition;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::get::GetTask;
use crate::operation::{Call, EventList, Input, Operation};

const LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;

/// Lists the handoffs of a task.
pub struct ListHandoffs {
    task: GetTask,
    cursor: Sequence,
    limit: usize,
}

/// Where a page of handoffs ends.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HandoffsEnd {
    /// The task.
    task_id: Uuid,
    /// The number of entries in this answer.
    count: usize,
    /// The cursor of the next page; null if this is the last one.
    next_cursor: Sequence,
}

impl Operation for ListHandoffs {
    type Output = EventList<HandoffsEnd>;

    fn read(input: &Input, rules: &Rules) -> Result<Self, DomainError> {
        Ok(Self {
            task: GetTask::read(input, rules)?,
            cursor: input.parameters.sequence(CURSOR)?.unwrap_or(Sequence::START),
            limit: input.parameters.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<EventList<HandoffsEnd>, OperationError> {
        let task_id = self.task.find(call.service).await?.task_id;
        let places: Vec<HandoffPosition> =
            call.service.find(HandoffPosition::after(task_id, self.cursor, self.limit)).await?;
        let sequences = places.iter().map(|place| place.sequence).collect();
        let events = call.service.store().events_at(sequences).await?;
        let next_cursor = events.last().map_or(self.cursor, |event| event.sequence);
        Ok(EventList { rest: HandoffsEnd { task_id, count: events.len(), next_cursor }, events })
    }
}
