//! All routes on one page: how each is reached, what it reads, what it answers.

use std::{collections::HashMap, sync::Arc, sync::LazyLock};

use agentcafe_domain::{
    actor_command::CommandAccepted,
    conversation::Say,
    inbox::{AckInboxItem, AckInboxItemResponse, AckInboxItems, AckInboxItemsResponse},
    kernel::rules::Rules,
    objects::{WriteObjectResponse, change::UpdateSharedObject, create::CreateSharedObject},
    operators::{ApplyOverride, ApplyOverrideResponse},
    orders::Order,
    permissions::grant::{GrantPermission, GrantPermissionResponse},
    presence::{
        Heartbeat, HeartbeatResponse,
        arrival::{Enter, Leave},
        movement::{ExecuteIntent, ExecuteIntentResponse, Move},
    },
    profiles::{DeleteProfileResponse, UpdateProfile, UpsertProfile, WriteProfileResponse},
    reactions as reaction_rules,
    rooms::{
        pin::{PinContext, PinContextResponse},
        upsert::{UpsertRoom, UpsertRoomResponse},
    },
    snapshots::{CreateSnapshot, CreateSnapshotResponse, SnapshotScope},
    tables::{
        change::{UpdateTableSession, UpdateTableSessionResponse},
        open::{CreateTableSession, CreateTableSessionResponse},
    },
    tasks::{
        WriteTaskResponse,
        change::UpdateTask,
        create::CreateTask,
        handoff::{HandOffTask, HandOffTaskResponse},
    },
    webhooks::{
        change::{DeleteSubscriptionResponse, UpdateSubscription},
        replay::{ReplayDelivery, ReplayDeliveryResponse},
        subscribe::{CreateSubscription, WriteSubscriptionResponse},
    },
};
use agentcafe_http::{RouteTraits, door};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{delete, get, patch, post},
};

use crate::{
    app::App,
    input::MAX_BODY_BYTES,
    route::{Answer, Route, schema_of},
    routes::{
        bootstrap::{self, Bootstrap, BootstrapQuery},
        commands,
        events::{self, EventsQuery, MentionsQuery, PageEnd, TimelineEnd, TimelineQuery},
        inbox::{self, InboxQuery, InboxResponse},
        intents,
        memory::{self, Memory, MemoryQuery},
        objects::{self, ObjectQuery, ObjectResponse, ObjectsQuery, ObjectsResponse},
        operations::{self, Health},
        operators::{self, AuditQuery, AuditResponse, OverridesAnswer, OverridesQuery},
        permissions::{self, PermissionsAnswer, PermissionsQuery},
        pins::{self, HistoryQuery, HistoryResponse, PinQuery, PinResponse},
        poll::{self, PollEnd, PollQuery},
        presence::{self, LastSeenAnswer, LastSeenQuery, PresenceAnswer, PresenceQuery},
        profiles::{self, ProfileResponse, ProfilesAnswer, ProfilesQuery},
        reactions::{self, ReactionResponse, ReactionsQuery, ReactionsResponse},
        replay::{self, ReplayQuery, Replayed},
        rooms::{self, RoomAnswer, RoomResponse, RoomsQuery},
        score::{self, ScoreQuery, Scored},
        snapshots::{self, SnapshotQuery, SnapshotResponse},
        streams::{self, StreamQuery},
        subscriptions::{
            self, DeliveriesQuery, DeliveriesResponse, DlqQuery, DlqResponse, SubscriptionResponse,
            SubscriptionsQuery, SubscriptionsResponse,
        },
        table_sessions::{self, SessionResponse, SessionsQuery, SessionsResponse},
        tasks::{self, HandoffsEnd, HandoffsQuery, TaskQuery, TaskResponse, TasksQuery, TasksResponse},
        traces::{self, TraceResponse},
    },
};

const STREAM: &str = "/v1/streams/market-events";
const STREAM_ALIAS: &str = "/v1/events/stream";
const SOCKET: &str = "/v1/ws";
const POLL: &str = "/v1/events/poll";
/// Neither counted against the request limit nor, but for the last two, behind the token.
const OPERATIONS: [&str; 5] = ["/healthz", "/livez", "/readyz", "/metrics", "/openapi.json"];

/// Every route.
pub(crate) fn table() -> Vec<Route> {
    let groups = [
        operations(),
        agents(),
        people(),
        pins(),
        commands(),
        rooms(),
        work(),
        looking_back(),
        reactions(),
        webhooks(),
        listening(),
    ];
    groups.into_iter().flatten().collect()
}

fn operations() -> Vec<Route> {
    let [health, live, ready, metrics, openapi] = OPERATIONS;
    let read = |path, handler, summary| Route::read(path, handler, "Operations", summary);
    vec![
        read(health, get(operations::health), "The settings and the state of the process")
            .answers_with(Answer::Bare(schema_of::<Health>)),
        read(live, get(operations::live), "The process is up").answers_with(Answer::Flag("live")),
        read(ready, get(operations::ready), "The store takes writes, and what follows the log is not stuck")
            .answers_with(Answer::Flag("ready")),
        read(metrics, get(operations::metrics), "Metrics for Prometheus").answers_with(Answer::Text),
        read(openapi, get(operations::openapi), "This document"),
    ]
}

fn agents() -> Vec<Route> {
    let rules = Rules::default();
    let bootstrap = |path, summary| {
        Route::read(path, get(bootstrap::bootstrap), "Agents", summary)
            .query(BootstrapQuery::read)
            .answers::<Bootstrap>(200)
    };
    vec![
        bootstrap("/v1/bootstrap", "Where an agent is, and what waits for it"),
        bootstrap("/v1/agent/bootstrap", "The same as /v1/bootstrap"),
        Route::read("/v1/inbox", get(inbox::list), "Inbox", "What waits for an actor")
            .query(InboxQuery::read)
            .answers::<InboxResponse>(200),
        Route::mutation("/v1/inbox/{inboxId}/ack", post(inbox::ack_one), "Inbox", "Acknowledge one item")
            .body(AckInboxItem::describe)
            .answers::<AckInboxItemResponse>(200),
        Route::mutation("/v1/inbox/ack", post(inbox::ack_many), "Inbox", "Acknowledge many items")
            .body(AckInboxItems::read)
            .answers::<AckInboxItemsResponse>(200),
        Route::read("/v1/presence", get(presence::list), "Presence", "Who is there")
            .query(PresenceQuery::read)
            .answers::<PresenceAnswer>(200),
        Route::read(
            "/v1/presence/last-seen",
            get(presence::last_seen),
            "Presence",
            "When actors last did something",
        )
        .query(LastSeenQuery::read)
        .answers::<LastSeenAnswer>(200),
        Route::mutation(
            "/v1/presence/heartbeat",
            post(presence::heartbeat),
            "Presence",
            "Show that one is there",
        )
        .body(|fields| Heartbeat::read(fields, &rules))
        .answers::<HeartbeatResponse>(202),
        Route::read(
            "/v1/traces/{correlationId}",
            get(traces::by_correlation),
            "Traces",
            "What became of a request",
        )
        .query(traces::read)
        .answers::<TraceResponse>(200),
        Route::hidden("/v1/traces/", get(traces::without_id)),
    ]
}

fn people() -> Vec<Route> {
    let profile = "/v1/profiles/{actorId}";
    vec![
        Route::read("/v1/profiles", get(profiles::list), "Profiles", "How actors are shown")
            .query(ProfilesQuery::read)
            .answers::<ProfilesAnswer>(200),
        Route::mutation("/v1/profiles", post(profiles::write), "Profiles", "Write a profile whole")
            .body(UpsertProfile::read)
            .answers::<WriteProfileResponse>(201),
        Route::read(profile, get(profiles::by_actor), "Profiles", "How an actor is shown")
            .query(|query| query.tenant("tenantId"))
            .answers::<ProfileResponse>(200),
        Route::change(profile, patch(profiles::change), "Profiles", "Change some of a profile")
            .query(|query| query.tenant("tenantId"))
            .body(UpdateProfile::describe)
            .answers::<WriteProfileResponse>(200),
        Route::deletion(profile, delete(profiles::delete), "Profiles", "Delete a profile")
            .query(|query| query.tenant("tenantId"))
            .answers::<DeleteProfileResponse>(200),
        Route::read("/v1/permissions", get(permissions::list), "Permissions", "Who may do what in a room")
            .query(PermissionsQuery::read)
            .answers::<PermissionsAnswer>(200),
        Route::mutation(
            "/v1/permissions",
            post(permissions::grant),
            "Permissions",
            "Give capabilities, or take them",
        )
        .body(GrantPermission::read)
        .answers::<GrantPermissionResponse>(200),
        Route::read(
            "/v1/operator/overrides",
            get(operators::overrides),
            "Operators",
            "What operators have set for rooms",
        )
        .query(OverridesQuery::read)
        .answers::<OverridesAnswer>(200),
        Route::mutation(
            "/v1/operator/overrides",
            post(operators::operate),
            "Operators",
            "Pause a room, mute an actor, or send one away",
        )
        .body(ApplyOverride::read)
        .answers::<ApplyOverrideResponse>(202),
        Route::read("/v1/operator/audit", get(operators::audit), "Operators", "What operators did")
            .query(AuditQuery::read)
            .answers::<AuditResponse>(200),
    ]
}

fn pins() -> Vec<Route> {
    let pin = "/v1/rooms/context/pin";
    vec![
        Route::read(pin, get(pins::pinned), "Rooms", "What is pinned in a room")
            .query(PinQuery::read)
            .answers::<PinResponse>(200),
        Route::mutation(pin, post(pins::pin), "Rooms", "Pin what everybody in a room should know")
            .body(PinContext::read)
            .answers::<PinContextResponse>(201),
        Route::read("/v1/rooms/context/history", get(pins::history), "Rooms", "What was pinned in a room")
            .query(HistoryQuery::read)
            .answers::<HistoryResponse>(200),
    ]
}

fn commands() -> Vec<Route> {
    let rules = Rules::default();
    let act = |path, handler, summary| {
        Route::mutation(path, handler, "Commands", summary).answers::<CommandAccepted>(202)
    };
    vec![
        act("/v1/commands/enter", post(commands::enter), "Enter a room").body(Enter::read),
        act("/v1/commands/leave", post(commands::leave), "Leave a room").body(Leave::read),
        act("/v1/commands/move", post(commands::walk), "Take steps").body(Move::read),
        act("/v1/commands/say", post(commands::say), "Say something")
            .body(|fields| Say::read(fields, &rules)),
        act(
            "/v1/conversations/messages",
            post(commands::message),
            "Say something, as a message of a conversation",
        )
        .body(|fields| Say::read_message(fields, &rules)),
        act("/v1/commands/order", post(commands::order), "Order something").body(Order::read),
        Route::mutation(
            "/v1/intents/execute",
            post(intents::execute),
            "Commands",
            "Go somewhere, or sit at a table",
        )
        .body(ExecuteIntent::describe)
        .answers::<ExecuteIntentResponse>(202),
    ]
}

fn rooms() -> Vec<Route> {
    let rules = Rules::default();
    const ROOMS: &str = "/v1/rooms";
    const SESSIONS: &str = "/v1/table-sessions";
    const SESSION: &str = "/v1/table-sessions/{sessionId}";
    vec![
        Route::read(ROOMS, get(rooms::list), "Rooms", "Rooms that have a record")
            .query(RoomsQuery::read)
            .answers::<RoomAnswer>(200),
        Route::mutation(ROOMS, post(rooms::upsert), "Rooms", "Give a room a record, or change it")
            .body(UpsertRoom::read)
            .answers_either::<UpsertRoomResponse>(200, 201),
        Route::read("/v1/rooms/{roomId}", get(rooms::by_id), "Rooms", "A room")
            .query(rooms::read_tenant)
            .answers::<RoomResponse>(200),
        Route::read(SESSIONS, get(table_sessions::list), "Private tables", "Sessions of private tables")
            .query(SessionsQuery::read)
            .answers::<SessionsResponse>(200),
        Route::mutation(SESSIONS, post(table_sessions::open), "Private tables", "Buy a session")
            .body(|fields| CreateTableSession::read(fields, &rules))
            .answers::<CreateTableSessionResponse>(201),
        Route::read(SESSION, get(table_sessions::by_id), "Private tables", "A session")
            .query(table_sessions::read_viewer)
            .answers::<SessionResponse>(200),
        Route::change(SESSION, patch(table_sessions::change), "Private tables", "Invite, shorten or end")
            .body(UpdateTableSession::describe)
            .answers::<UpdateTableSessionResponse>(200),
    ]
}

fn work() -> Vec<Route> {
    const TASK: &str = "/v1/tasks/{taskId}";
    const HANDOFFS: &str = "/v1/tasks/{taskId}/handoffs";
    const OBJECT: &str = "/v1/objects/{objectId}";
    vec![
        Route::read("/v1/tasks", get(tasks::list), "Tasks", "What is to be done")
            .query(TasksQuery::read)
            .answers::<TasksResponse>(200),
        Route::mutation("/v1/tasks", post(tasks::create), "Tasks", "Create a task")
            .body(CreateTask::read)
            .answers::<WriteTaskResponse>(201),
        Route::read(TASK, get(tasks::by_id), "Tasks", "One task")
            .query(TaskQuery::read)
            .answers::<TaskResponse>(200),
        Route::change(TASK, patch(tasks::change), "Tasks", "Change a task")
            .body(UpdateTask::describe)
            .answers::<WriteTaskResponse>(200),
        Route::read(HANDOFFS, get(tasks::handoffs), "Tasks", "How a task was handed over")
            .query(HandoffsQuery::read)
            .lists_events::<HandoffsEnd>("handoffs"),
        Route::mutation(HANDOFFS, post(tasks::hand_over), "Tasks", "Hand a task over")
            .body(HandOffTask::describe)
            .answers::<HandOffTaskResponse>(200),
        Route::read("/v1/objects", get(objects::list), "Objects", "What lies in the rooms")
            .query(ObjectsQuery::read)
            .answers::<ObjectsResponse>(200),
        Route::mutation("/v1/objects", post(objects::create), "Objects", "Create a shared object")
            .body(CreateSharedObject::read)
            .answers::<WriteObjectResponse>(201),
        Route::read(OBJECT, get(objects::by_id), "Objects", "One shared object")
            .query(ObjectQuery::read)
            .answers::<ObjectResponse>(200),
        Route::change(OBJECT, patch(objects::change), "Objects", "Change a shared object")
            .body(UpdateSharedObject::describe)
            .answers::<WriteObjectResponse>(200),
    ]
}

fn listening() -> Vec<Route> {
    let read = |path, handler, summary| Route::read(path, handler, "Events", summary);
    let stream = |path, summary| {
        read(path, get(streams::market_events), summary).query(StreamQuery::read).answers_with(Answer::Stream)
    };
    vec![
        read("/v1/events", get(events::events), "A page of the log")
            .query(EventsQuery::read)
            .lists_events::<PageEnd>("events"),
        read(POLL, get(poll::poll), "The next events, as soon as there are any")
            .query(PollQuery::read)
            .lists_events::<PollEnd>("events"),
        read("/v1/timeline", get(events::timeline), "A page of the log, by time and in either order")
            .query(TimelineQuery::read)
            .lists_events::<TimelineEnd>("events"),
        read("/v1/mentions", get(events::mentions), "Who was mentioned")
            .query(MentionsQuery::read)
            .lists_events::<PageEnd>("mentions"),
        stream(STREAM, "The log as server-sent events"),
        stream(STREAM_ALIAS, "The same as /v1/streams/market-events"),
        // What OpenAPI has no words for: docs/api.md has them.
        Route::hidden(SOCKET, get(streams::socket)),
    ]
}

fn looking_back() -> Vec<Route> {
    let read = |path, handler, summary| Route::read(path, handler, "Looking back", summary);
    let save = |path, handler, summary| Route::mutation(path, handler, "Looking back", summary);
    vec![
        read("/v1/replay", get(replay::replay), "What happened in a room, and what it looks like after it")
            .query(ReplayQuery::read)
            .lists_events::<Replayed>("events"),
        read("/v1/memory/local", get(memory::local), "What to remember of a room")
            .query(MemoryQuery::read)
            .answers::<Memory>(200),
        read("/v1/collaboration/score", get(score::score), "How much those in a room have done together")
            .query(ScoreQuery::read)
            .answers::<Scored>(200),
        read("/v1/snapshots/room", get(snapshots::room), "What was saved of a room")
            .query(|fields| SnapshotQuery::read(fields, SnapshotScope::Room))
            .answers::<SnapshotResponse>(200),
        save("/v1/snapshots/room", post(snapshots::save_room), "Save a state of a room")
            .body(|fields| CreateSnapshot::read(fields, SnapshotScope::Room))
            .answers::<CreateSnapshotResponse>(201),
        read("/v1/snapshots/agent", get(snapshots::agent), "What an actor saved of itself in a room")
            .query(|fields| SnapshotQuery::read(fields, SnapshotScope::Agent))
            .answers::<SnapshotResponse>(200),
        save("/v1/snapshots/agent", post(snapshots::save_agent), "Save a state of an actor in a room")
            .body(|fields| CreateSnapshot::read(fields, SnapshotScope::Agent))
            .answers::<CreateSnapshotResponse>(201),
    ]
}

fn reactions() -> Vec<Route> {
    const ALL: &str = "/v1/reactions/subscriptions";
    const ONE: &str = "/v1/reactions/subscriptions/{subscriptionId}";
    let rules = Rules::default();
    vec![
        Route::read(ALL, get(reactions::list), "Reactions", "The rules by which actors react")
            .query(ReactionsQuery::read)
            .answers::<ReactionsResponse>(200),
        Route::read(ONE, get(reactions::by_id), "Reactions", "One rule")
            .query(reactions::tenant)
            .answers::<ReactionResponse>(200),
        Route::mutation(ALL, post(reactions::create), "Reactions", "Let an actor react to events")
            .body(|fields| reaction_rules::CreateReaction::read(fields, &rules))
            .answers::<reaction_rules::WriteReactionResponse>(201),
        Route::change(ONE, patch(reactions::change), "Reactions", "Change a rule")
            .body(reaction_rules::UpdateReaction::describe)
            .answers::<reaction_rules::WriteReactionResponse>(200),
        Route::deletion(ONE, delete(reactions::delete), "Reactions", "Delete a rule")
            .query(reactions::deletion)
            .answers::<reaction_rules::DeleteReactionResponse>(200),
    ]
}

fn webhooks() -> Vec<Route> {
    const TAG: &str = "Webhooks";
    const ALL: &str = "/v1/subscriptions";
    const ONE: &str = "/v1/subscriptions/{subscriptionId}";
    let rules = Rules::default();
    let read = |path, handler, summary| Route::read(path, handler, TAG, summary);
    vec![
        Route::mutation(ALL, post(subscriptions::create), TAG, "Be told of events, by HTTP")
            .body(|fields| CreateSubscription::read(fields, &rules, [0; 32]))
            .answers::<WriteSubscriptionResponse>(201),
        read(ALL, get(subscriptions::list), "Who is told of events")
            .query(SubscriptionsQuery::read)
            .answers::<SubscriptionsResponse>(200),
        read(
            "/v1/subscriptions/deliveries",
            get(subscriptions::deliveries),
            "Attempts to deliver, newest first",
        )
        .query(DeliveriesQuery::read)
        .answers::<DeliveriesResponse>(200),
        read("/v1/subscriptions/dlq", get(subscriptions::dlq), "What could not be delivered, newest first")
            .query(DlqQuery::read)
            .answers::<DlqResponse>(200),
        Route::mutation(
            "/v1/subscriptions/dlq/{dlqId}/replay",
            post(subscriptions::replay),
            TAG,
            "Deliver once more what could not be delivered",
        )
        .body(ReplayDelivery::describe)
        .answers::<ReplayDeliveryResponse>(202),
        read(ONE, get(subscriptions::by_id), "A subscription")
            .query(subscriptions::read_tenant)
            .answers::<SubscriptionResponse>(200),
        Route::change(ONE, patch(subscriptions::change), TAG, "Change a subscription")
            .body(UpdateSubscription::describe)
            .answers::<WriteSubscriptionResponse>(200),
        Route::deletion(ONE, delete(subscriptions::delete), TAG, "End a subscription")
            .query(subscriptions::read_tenant)
            .answers::<DeleteSubscriptionResponse>(200),
    ]
}

/// The router of the API, with everything that is done around all routes.
pub fn router(app: Arc<App>) -> Router {
    let routes =
        table().into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handler));
    routes
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(&app.door), door::pass))
        .with_state(app)
}

/// What the door must know of a route: only probes are neither counted nor behind the token, streams and long polls take
/// long on purpose.
pub(crate) fn traits(matched: Option<&str>) -> RouteTraits {
    static KNOWN: LazyLock<HashMap<&'static str, RouteTraits>> = LazyLock::new(|| {
        let known = table().into_iter().map(|route| (route.path, of(route.path)));
        known.collect()
    });
    matched.and_then(|path| KNOWN.get(path).copied()).unwrap_or(RouteTraits::UNMATCHED)
}

fn of(template: &'static str) -> RouteTraits {
    RouteTraits {
        template,
        is_limited: !OPERATIONS.contains(&template),
        is_public: OPERATIONS[..3].contains(&template),
        waits: [STREAM, STREAM_ALIAS, SOCKET, POLL].contains(&template),
    }
}
