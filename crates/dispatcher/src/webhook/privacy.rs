//! Withholds events of private tables from subscriptions whose actors are not at the table.

use std::collections::HashMap;

use agentcafe_domain::kernel::{Event, RoomId};
use agentcafe_domain::rooms::{Room, RoomType};
use agentcafe_domain::tables::{PrivateTableRules, TableSession};
use agentcafe_domain::webhooks::Subscription;
use agentcafe_domain::webhooks::admission::{may_know, sessions_of};
use agentcafe_engine::Engine;
use agentcafe_store::ReadError;

/// The rooms of one page of events: of a private table, its sessions.
#[derive(Default)]
pub(super) struct Rooms(HashMap<RoomId, Option<Vec<TableSession>>>);

impl Rooms {
    /// Whether the subscription may receive the event. Access to a single room was checked when the subscription was created;
    /// unless reads of private tables are restricted, that is enough.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    pub(super) async fn admit(
        &mut self,
        engine: &Engine,
        subscription: &Subscription,
        event: &Event,
    ) -> Result<bool, ReadError> {
        if subscription.room_id.is_some() && !engine.rules.get::<PrivateTableRules>().gates_reads {
            return Ok(true);
        }
        if !self.0.contains_key(&event.room_id) {
            let sessions = sessions(engine, event).await?;
            self.0.insert(event.room_id.clone(), sessions);
        }
        let Some(Some(sessions)) = self.0.get(&event.room_id) else { return Ok(true) };
        Ok(may_know(sessions, subscription.reader(), event.timestamp))
    }
}

async fn sessions(engine: &Engine, event: &Event) -> Result<Option<Vec<TableSession>>, ReadError> {
    let key = vec![(&event.tenant_id).into(), (&event.room_id).into()];
    let room: Option<Room> = engine.store.get(key).await?;
    if room.is_none_or(|room| room.room_type != RoomType::PrivateTable) {
        return Ok(None);
    }
    engine.store.find(sessions_of(&event.tenant_id, &event.room_id)).await.map(Some)
}
