//! Bootstrap as the API shows it: what the service answers, and the paths to go on with.

use agentcafe_domain::kernel::{RoomId, Sequence, TenantId};
use agentcafe_domain::rooms::Room;
use agentcafe_service::LogPosition;
use agentcafe_service::rooms::{ActorView, Bootstrap, RoomView};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Serialize;

/// What an agent needs to begin.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Bootstrap")]
pub(crate) struct BootstrapAnswer {
    /// The paths and defaults of the API.
    discovery: Discovery,
    /// The requested actor, with its inbox and its tasks; null without actorId.
    actor: Option<ActorView>,
    /// What happens in the room.
    room: RoomView,
    /// Where to follow the log from: its head.
    cursor: Sequence,
    #[serde(flatten)]
    log: LogPosition,
}

/// Where to go from here. Paths are relative and carry the ids, never a credential.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Discovery {
    /// The API version with which paths begin.
    canonical_api_version: &'static str,
    /// The tenant of requests that name none.
    default_tenant_id: TenantId,
    /// The room of requests that name none.
    default_room_id: RoomId,
    /// The room of this answer.
    resolved_room_id: RoomId,
    /// The rooms.
    rooms: Vec<Room>,
    /// The path of the event stream.
    stream_path: String,
    /// The path of long polls.
    poll_path: String,
    /// The path of commands; the name of the command follows.
    commands_path: String,
    /// The path of presence heartbeats.
    heartbeat_path: String,
    /// The path of the inbox.
    inbox_path: String,
    /// The path of the timeline.
    timeline_path: String,
}

impl From<Bootstrap> for BootstrapAnswer {
    fn from(bootstrap: Bootstrap) -> Self {
        let Bootstrap { tenant, room, actor, rooms, actor_view, room_view, log } = bootstrap;
        let encode = |id: &str| utf8_percent_encode(id, NON_ALPHANUMERIC).to_string();
        let place = format!("tenantId={}&roomId={}", encode(tenant.as_str()), encode(room.as_str()));
        let ids = match &actor {
            Some(actor) => format!("{place}&actorId={}", encode(actor.as_str())),
            None => place.clone(),
        };
        let discovery = Discovery {
            canonical_api_version: "v1",
            default_tenant_id: TenantId::default(),
            default_room_id: RoomId::main(),
            resolved_room_id: room,
            rooms,
            // On these two, `actorId` would filter by author: an agent needs the events of others.
            stream_path: format!("/v1/streams/market-events?{place}"),
            timeline_path: format!("/v1/timeline?{place}"),
            poll_path: format!("/v1/events/poll?{ids}"),
            commands_path: format!("/v1/commands?{ids}"),
            heartbeat_path: format!("/v1/presence/heartbeat?{ids}"),
            inbox_path: format!("/v1/inbox?{ids}"),
        };
        Self { discovery, actor: actor_view, room: room_view, cursor: log.head, log }
    }
}
