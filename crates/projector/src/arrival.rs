//! An event as the projector takes it: for the fold if this version knows its type, for the stream in any case.

use std::borrow::Cow;

use agentcafe_client::Arrived;
use agentcafe_domain::kernel::{
    event::Event,
    ids::{RoomId, TenantId},
};
use agentcafe_redis::{RoomName, read_models::StreamEntry};
use serde::Deserialize;
use serde_json::value::RawValue;

/// An event, read as far as it can be.
pub(crate) struct Arrival {
    pub(crate) tenant: TenantId,
    pub(crate) room: RoomId,
    pub(crate) name: RoomName,
    /// None for one that only later versions know.
    pub(crate) event: Option<Event>,
    pub(crate) entry: StreamEntry,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    tenant_id: TenantId,
    room_id: RoomId,
    #[serde(borrow)]
    actor_id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl Arrival {
    /// Reads an event.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn read(arrived: &Arrived) -> Result<Self, serde_json::Error> {
        let envelope: Envelope<'_> = serde_json::from_slice(&arrived.json)?;
        let fields = [
            ("eventId", envelope.event_id.into_owned()),
            ("sequence", arrived.sequence.to_string()),
            ("tenantId", envelope.tenant_id.to_string()),
            ("roomId", envelope.room_id.to_string()),
            ("actorId", envelope.actor_id.into_owned()),
            ("type", envelope.kind.into_owned()),
            ("timestamp", envelope.timestamp.into_owned()),
            ("payload", envelope.payload.get().to_owned()),
            ("event", String::from_utf8_lossy(&arrived.json).into_owned()),
        ];
        let name = RoomName::of(&envelope.tenant_id, &envelope.room_id);
        Ok(Self {
            tenant: envelope.tenant_id,
            room: envelope.room_id,
            name,
            event: arrived.event().ok(),
            entry: StreamEntry { sequence: arrived.sequence, fields },
        })
    }
}
