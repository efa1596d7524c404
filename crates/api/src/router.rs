//! All routes on one page: how each is reached, what it reads, what it answers.

use std::{collections::HashMap, sync::Arc, sync::LazyLock};

use agentcafe_domain::{
    act::CommandAccepted,
    arrival::{Enter, Leave},
    conversation::Say,
    inbox::{AckMany, AckOne, ItemAcked, ItemsAcked},
    movement::{Intent, IntentExecuted, Move},
    order::Order,
    presence::{Heartbeat, HeartbeatRecorded},
    rules::Rules,
};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{MethodRouter, get, post},
};

use crate::{
    app::App,
    front,
    input::MAX_BODY_BYTES,
    openapi::Operation,
    routes::{
        bootstrap::{self, Bootstrap, BootstrapAsked},
        commands,
        events::{self, EventsAsked, MentionsAsked, PageEnd, TimelineAsked, TimelineEnd},
        inbox::{self, InboxAsked, InboxFound},
        intents,
        operations::{self, Health},
        poll::{self, PollAsked, PollEnd},
        presence::{self, LastSeenAnswer, LastSeenAsked, PresenceAnswer, PresenceAsked},
        streams::{self, StreamAsked},
        traces::{self, TraceFound},
    },
};

const STREAM: &str = "/v1/streams/market-events";
const STREAM_ALIAS: &str = "/v1/events/stream";
const POLL: &str = "/v1/events/poll";
/// Neither counted against the request limit nor, but for the last two, behind the token.
const OPERATIONS: [&str; 5] = ["/healthz", "/livez", "/readyz", "/metrics", "/openapi.json"];

/// One way to reach something.
pub(crate) struct Route {
    pub(crate) path: &'static str,
    pub(crate) handler: MethodRouter<Arc<App>>,
    pub(crate) operation: Operation,
}

/// Every route.
pub(crate) fn table() -> Vec<Route> {
    let rules = Rules::default();
    let act = |summary| Operation::mutation("Commands", summary).answers::<CommandAccepted>(202);
    vec![
        Route {
            path: "/v1/bootstrap",
            handler: get(bootstrap::bootstrap),
            operation: Operation::read("Agents", "Where an agent is, and what waits for it")
                .query(|fields| BootstrapAsked::read(fields))
                .answers::<Bootstrap>(200),
        },
        Route {
            path: "/v1/agent/bootstrap",
            handler: get(bootstrap::bootstrap),
            operation: Operation::read("Agents", "The same as /v1/bootstrap")
                .query(|fields| BootstrapAsked::read(fields))
                .answers::<Bootstrap>(200),
        },
        Route {
            path: "/v1/commands/enter",
            handler: post(commands::enter),
            operation: act("Enter a room").body(|fields| Enter::read(fields)),
        },
        Route {
            path: "/v1/commands/leave",
            handler: post(commands::leave),
            operation: act("Leave a room").body(|fields| Leave::read(fields)),
        },
        Route {
            path: "/v1/commands/move",
            handler: post(commands::walk),
            operation: act("Take steps").body(|fields| Move::read(fields)),
        },
        Route {
            path: "/v1/commands/say",
            handler: post(commands::say),
            operation: act("Say something").body(|fields| Say::read(fields, &rules)),
        },
        Route {
            path: "/v1/conversations/messages",
            handler: post(commands::message),
            operation: act("Say something, as a message of a conversation")
                .body(|fields| Say::read_message(fields, &rules)),
        },
        Route {
            path: "/v1/commands/order",
            handler: post(commands::order),
            operation: act("Order something").body(|fields| Order::read(fields)),
        },
        Route {
            path: "/v1/intents/execute",
            handler: post(intents::execute),
            operation: Operation::mutation("Commands", "Go somewhere, or sit at a table")
                .body(|fields| Intent::describe(fields))
                .answers::<IntentExecuted>(202),
        },
        Route {
            path: "/v1/events",
            handler: get(events::events),
            operation: Operation::read("Events", "A page of the log")
                .query(|fields| EventsAsked::read(fields))
                .lists_events::<PageEnd>("events"),
        },
        Route {
            path: POLL,
            handler: get(poll::poll),
            operation: Operation::read("Events", "The next events, as soon as there are any")
                .query(|fields| PollAsked::read(fields))
                .lists_events::<PollEnd>("events"),
        },
        Route {
            path: "/v1/timeline",
            handler: get(events::timeline),
            operation: Operation::read("Events", "A page of the log, by time and in either order")
                .query(|fields| TimelineAsked::read(fields))
                .lists_events::<TimelineEnd>("events"),
        },
        Route {
            path: "/v1/mentions",
            handler: get(events::mentions),
            operation: Operation::read("Events", "Who was mentioned")
                .query(|fields| MentionsAsked::read(fields))
                .lists_events::<PageEnd>("mentions"),
        },
        Route {
            path: STREAM,
            handler: get(streams::market_events),
            operation: Operation::read("Events", "The log as server-sent events")
                .query(|fields| StreamAsked::read(fields))
                .streams(),
        },
        Route {
            path: STREAM_ALIAS,
            handler: get(streams::market_events),
            operation: Operation::read("Events", "The same as /v1/streams/market-events")
                .query(|fields| StreamAsked::read(fields))
                .streams(),
        },
        Route {
            path: "/v1/inbox",
            handler: get(inbox::list),
            operation: Operation::read("Inbox", "What waits for an actor")
                .query(|fields| InboxAsked::read(fields))
                .answers::<InboxFound>(200),
        },
        Route {
            path: "/v1/inbox/{inboxId}/ack",
            handler: post(inbox::ack_one),
            operation: Operation::mutation("Inbox", "Acknowledge one item")
                .body(|fields| AckOne::read("0190b5a0-0000-7000-8000-000000000000", fields, fields))
                .answers::<ItemAcked>(200),
        },
        Route {
            path: "/v1/inbox/ack",
            handler: post(inbox::ack_many),
            operation: Operation::mutation("Inbox", "Acknowledge many items")
                .body(|fields| AckMany::read(fields))
                .answers::<ItemsAcked>(200),
        },
        Route {
            path: "/v1/presence",
            handler: get(presence::list),
            operation: Operation::read("Presence", "Who is there")
                .query(|fields| PresenceAsked::read(fields))
                .answers::<PresenceAnswer>(200),
        },
        Route {
            path: "/v1/presence/last-seen",
            handler: get(presence::last_seen),
            operation: Operation::read("Presence", "When actors last did something")
                .query(|fields| LastSeenAsked::read(fields))
                .answers::<LastSeenAnswer>(200),
        },
        Route {
            path: "/v1/presence/heartbeat",
            handler: post(presence::heartbeat),
            operation: Operation::mutation("Presence", "Show that one is there")
                .body(|fields| Heartbeat::read(fields, &rules))
                .answers::<HeartbeatRecorded>(202),
        },
        Route {
            path: "/v1/traces/{correlationId}",
            handler: get(traces::by_correlation),
            operation: Operation::read("Traces", "What became of a request")
                .query(|fields| traces::read(fields))
                .answers::<TraceFound>(200),
        },
        Route {
            path: "/v1/traces/",
            handler: get(traces::without_id),
            operation: Operation::hidden(),
        },
        Route {
            path: OPERATIONS[0],
            handler: get(operations::health),
            operation: Operation::read("Operations", "The settings and the state of the process")
                .answers_bare::<Health>(),
        },
        Route {
            path: OPERATIONS[1],
            handler: get(operations::live),
            operation: Operation::read("Operations", "The process is up").answers_with("live"),
        },
        Route {
            path: OPERATIONS[2],
            handler: get(operations::ready),
            operation: Operation::read("Operations", "The store takes writes").answers_with("ready"),
        },
        Route {
            path: OPERATIONS[3],
            handler: get(operations::metrics),
            operation: Operation::read("Operations", "Metrics for Prometheus").answers_text(),
        },
        Route {
            path: OPERATIONS[4],
            handler: get(operations::openapi),
            operation: Operation::read("Operations", "This document").answers_any(),
        },
    ]
}

/// The router of the API, with everything that is done around all routes.
pub fn router(app: Arc<App>) -> Router {
    let routes = table().into_iter().fold(Router::new(), |router, route| router.route(route.path, route.handler));
    routes
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), front::door))
        .with_state(app)
}

/// The template of a matched route, for as long as the process lives; `unmatched` for all others.
pub(crate) fn known_path(matched: Option<&str>) -> &'static str {
    static KNOWN: LazyLock<HashMap<&'static str, &'static str>> =
        LazyLock::new(|| table().iter().map(|route| (route.path, route.path)).collect());
    matched.and_then(|path| KNOWN.get(path).copied()).unwrap_or("unmatched")
}

/// Whether a route is not counted against the request limit.
pub(crate) fn is_unlimited(path: &str) -> bool {
    OPERATIONS.contains(&path)
}

/// Whether a route needs no token.
pub(crate) fn is_public(path: &str) -> bool {
    OPERATIONS[..3].contains(&path)
}

/// Whether a route takes long on purpose: streams and long polls.
pub(crate) fn waits(path: &str) -> bool {
    [STREAM, STREAM_ALIAS, POLL].contains(&path)
}
