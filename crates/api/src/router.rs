//! The table of the API: each route, the operation behind it, its success statuses and its summary.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use agentcafe_domain::conversation::{PostMessage, Say};
use agentcafe_domain::inbox::AckInboxItems;
use agentcafe_domain::kernel::OperationError;
use agentcafe_domain::objects::create::CreateSharedObject;
use agentcafe_domain::operators::ApplyOverride;
use agentcafe_domain::orders::Order;
use agentcafe_domain::permissions::grant::GrantPermission;
use agentcafe_domain::presence::Heartbeat;
use agentcafe_domain::presence::arrival::{Enter, Leave};
use agentcafe_domain::presence::movement::{ExecuteIntent, Move};
use agentcafe_domain::profiles::{DeleteProfile, UpsertProfile};
use agentcafe_domain::rooms::pin::PinContext;
use agentcafe_domain::tasks::create::CreateTask;
use agentcafe_http::{ApiError, RouteAccess, RouteTraits, answer};
use agentcafe_service::actions::FindCommands;
use agentcafe_service::digest::ReadDigest;
use agentcafe_service::events::{FollowEvents, ListEvents, ListMentions, PollEvents, ReadTimeline};
use agentcafe_service::history::{ReadMemory, ReadScore, ReplayRoom};
use agentcafe_service::inbox::{AckItem, ListInbox};
use agentcafe_service::keys::{
    CreateKey, FilterLiveKeys, GetKey, GetOwnKey, IssueTicket, ListKeys, RedeemTicket, RevokeKey, RotateKey,
    UpdateKey,
};
use agentcafe_service::messages::{GetMessage, ReadThread};
use agentcafe_service::objects::{GetObject, ListObjects, UpdateObject};
use agentcafe_service::operators::{ListAudit, ListOverrides};
use agentcafe_service::permissions::ListPermissions;
use agentcafe_service::presence::{ListPresence, ReadLastSeen};
use agentcafe_service::profiles::{GetProfile, ListProfiles, UpdateProfile};
use agentcafe_service::reactions::{
    CreateReaction, GetReaction, ListReactions, RemoveReaction, UpdateReaction,
};
use agentcafe_service::rooms::{GetRoom, ListPinned, ListRooms, PutRoom, ReadBootstrap, ReadPinned};
use agentcafe_service::search::Search;
use agentcafe_service::snapshots::{GetAgentSnapshot, GetRoomSnapshot, SaveAgentSnapshot, SaveRoomSnapshot};
use agentcafe_service::tables::{ChangeTable, GetSession, ListSessions, OpenTable};
use agentcafe_service::tasks::{GetTask, HandOffTask, ListHandoffs, ListTasks, UpdateTask};
use agentcafe_service::traces::GetTrace;
use agentcafe_service::webhooks::{
    ChangeSubscription, CreateSubscription, GetSubscription, ListDeliveries, ListDlq, ListSubscriptions,
    RemoveSubscription, ReplayDelivery,
};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use tokio::task::spawn_blocking;

use crate::app::App;
use crate::asyncapi;
use crate::bootstrap::{BootstrapAnswer, CommandList};
use crate::openapi;
use crate::route::{ResponseKind, Route, schema_of};
use crate::system::{self, HealthAnswer, Ready};

const STREAM: &str = "/v1/streams/market-events";
const STREAM_ALIAS: &str = "/v1/events/stream";
const SOCKET: &str = "/v1/ws";
const POLL: &str = "/v1/events/poll";
/// Where the paths of commands begin.
pub(crate) const COMMANDS: &str = "/v1/commands";
/// Not counted against the rate limit. Only the metrics need a token.
const OPERATIONS: [&str; 6] =
    ["/healthz", "/livez", "/readyz", "/metrics", "/openapi.json", "/asyncapi.json"];

/// Every route.
#[rustfmt::skip]
pub(crate) fn table() -> Vec<Route> {
    let [health, live, ready, metrics, openapi, asyncapi] = OPERATIONS;
    let bootstrap = |path, summary| Route::read_as::<ReadBootstrap, BootstrapAnswer>(path, "Agents", summary);
    vec![
        Route::new(health, "Operations", "The settings and the state of the process", get(system::health)).named("getHealth").responds(ResponseKind::Bare(schema_of::<HealthAnswer>)),
        Route::new(live, "Operations", "The process is up", get(system::live)).named("getLiveness").responds(ResponseKind::Flag("live")),
        Route::new(ready, "Operations", "The store takes writes, and no follower of the log is stuck", get(system::ready)).named("getReadiness").responds(ResponseKind::Data(&[200], schema_of::<Ready>)),
        Route::new(metrics, "Operations", "Metrics for Prometheus", get(system::metrics)).named("getMetrics").responds(ResponseKind::Text),
        Route::new(openapi, "Operations", "This document", get(openapi_document)).named("getOpenapi"),
        Route::new(asyncapi, "Operations", "The event streams, as an AsyncAPI document", get(asyncapi_document)).named("getAsyncapi"),

        bootstrap("/v1/bootstrap", "What an agent needs to begin: its room, inbox, tasks and cursor"),
        bootstrap("/v1/agent/bootstrap", "The same as /v1/bootstrap").named("readAgentBootstrap"),
        Route::read::<ReadDigest>("/v1/digest", "Agents", "What an actor has to know to go on, as a short text"),
        Route::read::<ListInbox>("/v1/inbox", "Inbox", "The inbox of an actor"),
        Route::post::<AckItem>(&[200], "/v1/inbox/{inboxId}/ack", "Inbox", "Acknowledge one item").named("ackInboxItem"),
        Route::post::<AckInboxItems>(&[200], "/v1/inbox/ack", "Inbox", "Acknowledge many items"),
        Route::read::<ListPresence>("/v1/presence", "Presence", "Who is present"),
        Route::read::<GetMessage>("/v1/messages/{messageId}", "Messages", "A message"),
        Route::read::<ReadThread>("/v1/threads/{threadId}", "Messages", "The messages of a thread"),
        Route::read::<Search>("/v1/search", "Messages", "Messages, rooms, tasks and shared objects by their words"),
        Route::read::<ReadLastSeen>("/v1/presence/last-seen", "Presence", "When actors were last seen"),
        Route::command::<Heartbeat>("/v1/presence/heartbeat", "Presence", "Show an actor as present").named("sendHeartbeat"),
        Route::read::<GetTrace>("/v1/traces/{correlationId}", "Traces", "What became of a request"),
        Route::new("/v1/traces/", "", "", get(system::trace_without_id)).hidden(),

        Route::read::<ListProfiles>("/v1/profiles", "Profiles", "How actors are shown"),
        Route::post::<UpsertProfile>(&[201], "/v1/profiles", "Profiles", "Write a whole profile"),
        Route::read::<GetProfile>("/v1/profiles/{actorId}", "Profiles", "How an actor is shown"),
        Route::patch::<UpdateProfile>("/v1/profiles/{actorId}", "Profiles", "Change some members of a profile"),
        Route::delete::<DeleteProfile>("/v1/profiles/{actorId}", "Profiles", "Delete a profile"),
        Route::read::<ListKeys>("/v1/keys", "Keys", "API keys"),
        Route::post::<CreateKey>(&[201], "/v1/keys", "Keys", "Create an API key; only this response shows it"),
        Route::read::<GetOwnKey>("/v1/keys/self", "Keys", "The API key of the request, and what it is bound to"),
        Route::read::<FilterLiveKeys>("/v1/keys/live", "Keys", "Which of these API keys count, for servers of streams"),
        Route::read::<GetKey>("/v1/keys/{keyId}", "Keys", "An API key, without its secret"),
        Route::patch::<UpdateKey>("/v1/keys/{keyId}", "Keys", "Change the name or the end of a key"),
        Route::post::<RotateKey>(&[200], "/v1/keys/{keyId}/rotate", "Keys", "Give a key a new secret"),
        Route::delete::<RevokeKey>("/v1/keys/{keyId}", "Keys", "Revoke a key"),
        Route::post::<IssueTicket>(&[201], "/v1/tickets", "Keys", "Get a ticket with which a browser opens one stream"),
        Route::post::<RedeemTicket>(&[200], "/v1/tickets/redeem", "Keys", "Use a ticket up, for servers of streams"),

        Route::read::<ListPermissions>("/v1/permissions", "Permissions", "Who may do what in a room"),
        Route::post::<GrantPermission>(&[200], "/v1/permissions", "Permissions", "Grant capabilities, or revoke them"),
        Route::read::<ListOverrides>("/v1/operator/overrides", "Operators", "Overrides in force"),
        Route::post::<ApplyOverride>(&[202], "/v1/operator/overrides", "Operators", "Pause a room, mute an actor, or make one leave"),
        Route::read::<ListAudit>("/v1/operator/audit", "Operators", "The audit trail of operators"),

        Route::read::<ReadPinned>("/v1/rooms/context/pin", "Rooms", "What is pinned in a room").named("getPinnedContext"),
        Route::post::<PinContext>(&[201], "/v1/rooms/context/pin", "Rooms", "Pin what everybody in a room should know"),
        Route::read::<ListPinned>("/v1/rooms/context/history", "Rooms", "What was pinned in a room").named("listPinnedContexts"),

        Route::read_as::<FindCommands, CommandList>(COMMANDS, "Commands", "The commands and their paths").named("listCommands"),
        Route::command::<Enter>("/v1/commands/enter", "Commands", "Enter a room").named("enterRoom"),
        Route::command::<Leave>("/v1/commands/leave", "Commands", "Leave a room").named("leaveRoom"),
        Route::command::<Move>("/v1/commands/move", "Commands", "Take steps").named("takeSteps"),
        Route::command::<Say>("/v1/commands/say", "Commands", "Say something").named("sayInRoom"),
        Route::command::<PostMessage>("/v1/conversations/messages", "Commands", "Say something, as a message of a conversation").named("postMessage"),
        Route::command::<Order>("/v1/commands/order", "Commands", "Order something").named("placeOrder"),
        Route::command::<ExecuteIntent>("/v1/intents/execute", "Commands", "Go somewhere, or sit at a table").named("executeIntent"),

        Route::read::<ListRooms>("/v1/rooms", "Rooms", "Rooms that have a record, or in which anything happened"),
        Route::post::<PutRoom>(&[200, 201], "/v1/rooms", "Rooms", "Create the record of a room, or change it"),
        Route::read::<GetRoom>("/v1/rooms/{roomId}", "Rooms", "A room"),
        Route::read::<ListSessions>("/v1/table-sessions", "Private tables", "Sessions of private tables").named("listTableSessions"),
        Route::post::<OpenTable>(&[201], "/v1/table-sessions", "Private tables", "Buy a session").named("openTableSession"),
        Route::read::<GetSession>("/v1/table-sessions/{sessionId}", "Private tables", "A session").named("getTableSession"),
        Route::patch::<ChangeTable>("/v1/table-sessions/{sessionId}", "Private tables", "Invite, shorten or end").named("changeTableSession"),

        Route::read::<ListTasks>("/v1/tasks", "Tasks", "Tasks"),
        Route::post::<CreateTask>(&[201], "/v1/tasks", "Tasks", "Create a task"),
        Route::read::<GetTask>("/v1/tasks/{taskId}", "Tasks", "A task").named("getTask"),
        Route::patch::<UpdateTask>("/v1/tasks/{taskId}", "Tasks", "Change a task"),
        Route::events::<ListHandoffs, _>("/v1/tasks/{taskId}/handoffs", "handoffs", "Tasks", "The handoffs of a task").named("listTaskHandoffs"),
        Route::post::<HandOffTask>(&[200], "/v1/tasks/{taskId}/handoffs", "Tasks", "Hand a task over"),
        Route::read::<ListObjects>("/v1/objects", "Objects", "Shared objects"),
        Route::post::<CreateSharedObject>(&[201], "/v1/objects", "Objects", "Create a shared object").named("createObject"),
        Route::read::<GetObject>("/v1/objects/{objectId}", "Objects", "A shared object").named("getObject"),
        Route::patch::<UpdateObject>("/v1/objects/{objectId}", "Objects", "Change a shared object"),

        Route::pages::<ReplayRoom, _>("/v1/replay", "events", "Looking back", "The last minutes of a room, and its state after them"),
        Route::read::<ReadMemory>("/v1/memory/local", "Looking back", "What an agent should remember of a room"),
        Route::read::<ReadScore>("/v1/collaboration/score", "Looking back", "How much the actors in a room have done together").named("readCollaborationScore"),
        Route::read::<GetRoomSnapshot>("/v1/snapshots/room", "Looking back", "What was saved of a room"),
        Route::post::<SaveRoomSnapshot>(&[201], "/v1/snapshots/room", "Looking back", "Save a state of a room"),
        Route::read::<GetAgentSnapshot>("/v1/snapshots/agent", "Looking back", "What an agent saved of itself in a room"),
        Route::post::<SaveAgentSnapshot>(&[201], "/v1/snapshots/agent", "Looking back", "Save a state of an agent in a room"),

        Route::read::<ListReactions>("/v1/reactions/subscriptions", "Reactions", "The rules by which actors react"),
        Route::read::<GetReaction>("/v1/reactions/subscriptions/{subscriptionId}", "Reactions", "A rule"),
        Route::post::<CreateReaction>(&[201], "/v1/reactions/subscriptions", "Reactions", "Let an actor react to events"),
        Route::patch::<UpdateReaction>("/v1/reactions/subscriptions/{subscriptionId}", "Reactions", "Change a rule"),
        Route::delete::<RemoveReaction>("/v1/reactions/subscriptions/{subscriptionId}", "Reactions", "Delete a rule"),

        Route::post::<CreateSubscription>(&[201], "/v1/subscriptions", "Webhooks", "Subscribe to events with a webhook"),
        Route::read::<ListSubscriptions>("/v1/subscriptions", "Webhooks", "Webhook subscriptions"),
        Route::read::<ListDeliveries>("/v1/subscriptions/deliveries", "Webhooks", "Attempts to deliver, newest first"),
        Route::read::<ListDlq>("/v1/subscriptions/dlq", "Webhooks", "Events that could not be delivered, newest first"),
        Route::post::<ReplayDelivery>(&[202], "/v1/subscriptions/dlq/{dlqId}/replay", "Webhooks", "Deliver an event of the DLQ once more"),
        Route::read::<GetSubscription>("/v1/subscriptions/{subscriptionId}", "Webhooks", "A subscription"),
        Route::patch::<ChangeSubscription>("/v1/subscriptions/{subscriptionId}", "Webhooks", "Change a subscription"),
        Route::delete::<RemoveSubscription>("/v1/subscriptions/{subscriptionId}", "Webhooks", "End a subscription"),

        Route::events::<ListEvents, _>("/v1/events", "events", "Events", "A page of the log"),
        Route::events::<PollEvents, _>(POLL, "events", "Events", "The next events, as soon as there are any"),
        Route::events::<ReadTimeline, _>("/v1/timeline", "events", "Events", "A page of the log, by time and in either order"),
        Route::events::<ListMentions, _>("/v1/mentions", "mentions", "Events", "Mentions"),
        Route::stream::<FollowEvents>(STREAM, "Events", "The log as server-sent events"),
        Route::stream::<FollowEvents>(STREAM_ALIAS, "Events", "The same as /v1/streams/market-events").named("followEventsAlias"),
        Route::socket::<FollowEvents>(SOCKET),
    ]
}

/// `GET /openapi.json`: this API, described from its code.
async fn openapi_document(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let render = |app: &App| openapi::document(&app.service.engine().rules, &table(), access);
    document(move || app.openapi.get_or_init(|| render(&app)).clone()).await
}

/// `GET /asyncapi.json`: the event streams, likewise.
async fn asyncapi_document(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let stream = Route::stream::<FollowEvents>(STREAM, "", "");
    let render = move |app: &App| asyncapi::document(&app.service.engine().rules, &stream);
    document(move || app.asyncapi.get_or_init(|| render(&app)).clone()).await
}

/// Making a document takes longer than other requests may occupy a thread.
async fn document(render: impl FnOnce() -> Bytes + Send + 'static) -> Result<Response, ApiError> {
    let document = spawn_blocking(render).await.map_err(|_| OperationError::internal())?;
    Ok(answer::json(StatusCode::OK, document))
}

/// The router of the API, with the middleware around all routes.
pub fn router(app: Arc<App>) -> Router {
    let routes = table()
        .into_iter()
        .fold(Router::new(), |router, Route { path, handler, .. }| router.route(path, handler));
    app.middleware(traits).wrap(routes).with_state(app)
}

/// Who may call a route.
fn access(template: &str) -> RouteAccess {
    let [health, live, ready, _, openapi, asyncapi] = OPERATIONS;
    match template {
        _ if [live, openapi, asyncapi].contains(&template) => RouteAccess::Everybody,
        _ if [health, ready].contains(&template) => RouteAccess::Observers,
        STREAM | STREAM_ALIAS | SOCKET => RouteAccess::Tickets,
        _ => RouteAccess::Callers,
    }
}

/// How the middleware treats a route.
fn traits(path: &str) -> Option<RouteTraits> {
    static TRAITS: LazyLock<HashMap<&'static str, RouteTraits>> = LazyLock::new(|| {
        let traits_of = |template| RouteTraits {
            template,
            is_limited: !OPERATIONS.contains(&template),
            access: access(template),
            stays_open: [STREAM, STREAM_ALIAS, SOCKET, POLL].contains(&template),
        };
        table().into_iter().map(|route| (route.path, traits_of(route.path))).collect()
    });
    TRAITS.get(path).copied()
}
