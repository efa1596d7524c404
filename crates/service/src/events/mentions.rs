//! Lists mentions after a cursor.

use agentcafe_domain::kernel::{
    ActorId, CURSOR, DomainError, EVENT_TENANT_FILTER, EventType, Field, OperationError, ROOM_FILTER, Rules,
    Sequence,
};
use agentcafe_store::{EventFilter, EventPage, EventQuery};

use super::list::{LIMIT, MAX_LIMIT, PageEnd};
use crate::operation::{Call, EventList, Input, Operation};
use crate::read_access;

const MENTIONED_ACTOR_ID: Field = Field::new("mentionedActorId", "Only mentions of this actor.", "Kai");

/// Lists mentions after a cursor.
pub struct ListMentions {
    filter: EventFilter,
    viewer: Option<ActorId>,
    cursor: Option<Sequence>,
    limit: usize,
}

impl Operation for ListMentions {
    type Output = EventList<PageEnd>;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        let filter = EventFilter {
            tenant: fields.tenant(EVENT_TENANT_FILTER)?,
            room: fields.room(ROOM_FILTER)?,
            actor: None,
            mentioned: fields.actor(MENTIONED_ACTOR_ID)?,
            types: Some(vec![EventType::MentionCreated]),
        };
        let viewer = read_access::viewer(fields)?;
        Ok(Self { filter, viewer, cursor: fields.sequence(CURSOR)?, limit: fields.limit(LIMIT, MAX_LIMIT)? })
    }

    async fn run(self, call: &Call<'_>) -> Result<EventList<PageEnd>, OperationError> {
        let Self { mut filter, viewer, cursor, limit } = self;
        call.service.may_follow(&mut filter, viewer.as_ref()).await?;
        let query = EventQuery::after(filter, cursor.unwrap_or(Sequence::START), limit);
        let EventPage { events, scanned_to } = call.service.store().events(query).await?;
        Ok(EventList { rest: PageEnd { count: events.len(), next_cursor: scanned_to }, events })
    }
}
