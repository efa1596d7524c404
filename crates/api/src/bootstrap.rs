//! Bootstrap as the API shows it: what the service answers, and the paths to go on with, those of commands included.

use std::sync::LazyLock;

use agentcafe_domain::kernel::{ActorId, RoomId, Sequence, TenantId};
use agentcafe_domain::rooms::Room;
use agentcafe_service::LogPosition;
use agentcafe_service::actions::FindCommands;
use agentcafe_service::rooms::{ActiveRoom, ActorView, Bootstrap, RoomView};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::router::{COMMANDS, table};

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
    /// The rooms with the newest events, the newest first, at most 20. `GET /v1/rooms?scope=active` lists all of them.
    active_rooms: Vec<ActiveRoom>,
    /// The path of the event stream.
    stream_path: String,
    /// The path of long polls.
    poll_path: String,
    /// Where the paths of the commands are listed.
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
        let Bootstrap { tenant, room, actor, rooms, active_rooms, actor_view, room_view, log } = bootstrap;
        let (place, ids) = (query_of(&tenant, &room, None), query_of(&tenant, &room, actor.as_ref()));
        let discovery = Discovery {
            canonical_api_version: "v1",
            default_tenant_id: TenantId::default(),
            default_room_id: RoomId::main(),
            resolved_room_id: room,
            rooms,
            active_rooms,
            // On these two, `actorId` would filter by author: an agent needs the events of others.
            stream_path: format!("/v1/streams/market-events?{place}"),
            timeline_path: format!("/v1/timeline?{place}"),
            poll_path: format!("/v1/events/poll?{ids}"),
            commands_path: format!("{COMMANDS}?{ids}"),
            heartbeat_path: format!("/v1/presence/heartbeat?{ids}"),
            inbox_path: format!("/v1/inbox?{ids}"),
        };
        Self { discovery, actor: actor_view, room: room_view, cursor: log.head, log }
    }
}

/// The query that names an actor in a room.
fn query_of(tenant: &TenantId, room: &RoomId, actor: Option<&ActorId>) -> String {
    let encode = |id: &str| utf8_percent_encode(id, NON_ALPHANUMERIC).to_string();
    let place = format!("tenantId={}&roomId={}", encode(tenant.as_str()), encode(room.as_str()));
    match actor {
        Some(actor) => format!("{place}&actorId={}", encode(actor.as_str())),
        None => place,
    }
}

/// The commands of an actor in a room.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CommandList {
    /// The commands.
    commands: Vec<CommandLink>,
}

/// A command.
#[derive(Serialize, JsonSchema)]
struct CommandLink {
    /// What it does.
    summary: &'static str,
    /// The method of its request.
    method: &'static str,
    /// The path of its request, with the ids of this one. The body has the rest.
    path: String,
}

impl From<FindCommands> for CommandList {
    fn from(FindCommands { tenant, room, actor }: FindCommands) -> Self {
        static ROUTES: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
            let commands = table().into_iter().filter(|route| route.tag == "Commands" && route.is_mutation());
            commands.map(|route| (route.summary, route.path)).collect()
        });
        let ids = query_of(&tenant, &room, actor.as_ref());
        let link = |(summary, path): &(&'static str, &str)| CommandLink {
            summary,
            method: "POST",
            path: format!("{path}?{ids}"),
        };
        Self { commands: ROUTES.iter().map(link).collect() }
    }
}
