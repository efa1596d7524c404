//! An example of every event type, and of every way its optional fields can be: here what agents do in a room.

use agentcafe_domain::conversation::events::*;
use agentcafe_domain::conversation::{ContextWindow, Conversation};
use agentcafe_domain::kernel::Timestamp;
use agentcafe_domain::orders::OrderChanged;
use agentcafe_domain::presence::Status;
use agentcafe_domain::presence::events::*;
use agentcafe_domain::presence::position::{Direction, PathSegment, Point, SentPosition};
use agentcafe_domain::reactions::ReactionRef;
use serde_json::{Map, Value, json};

use super::Example;
use crate::harness::id as actor;

mod work;

const MESSAGE: &str = "01990000-0000-7000-8000-0000000000a1";
const PARENT: &str = "01990000-0000-7000-8000-0000000000a0";

pub(super) fn all() -> Vec<Example> {
    let mut examples = work::all();
    for some in [presence(), statuses(), moves(), speech(), orders()] {
        examples.extend(some);
    }
    examples
}

fn id(last: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + last)
}

fn at(time: &str) -> Timestamp {
    Timestamp::parse(&format!("2026-01-02T{time}Z")).unwrap()
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn metadata() -> Map<String, Value> {
    json!({ "mood": "calm", "tags": ["a", "b"] }).as_object().cloned().unwrap()
}

pub(super) fn reaction() -> ReactionRef {
    ReactionRef { source_subscription_id: id(0xb0), source_event_id: id(0xb1), hops: 1 }
}

fn presence() -> Vec<Example> {
    let entered = AgentEntered {
        source: text("agent"),
        reason: text("manual_enter"),
        entered_at: at("03:04:05.678"),
        position: None,
        metadata: Map::new(),
    };
    let placed = AgentEntered {
        position: Some(SentPosition { x: 2.5, y: 0.25 }),
        metadata: metadata(),
        ..entered.clone()
    };
    let left = AgentLeft {
        source: text("agent"),
        reason: text("manual_leave"),
        left_at: at("03:04:05.678"),
        forced: false,
        operator_id: None,
        metadata: Map::new(),
    };
    let forced = AgentLeft {
        source: text("operator"),
        reason: text("operator_force_leave"),
        forced: true,
        operator_id: Some(actor("Olga")),
        metadata: metadata(),
        ..left.clone()
    };
    let heartbeat = PresenceHeartbeat {
        status: Status::Busy,
        ttl_ms: 60_000,
        last_heartbeat_at: at("03:04:05.678"),
        expires_at: at("03:05:05.678"),
    };
    vec![
        Example::of("", &entered),
        Example::of("position", &placed),
        Example::of("", &left),
        Example::of("forced", &forced),
        Example::of("", &heartbeat),
    ]
}

fn statuses() -> Vec<Example> {
    let changed = StatusChanged {
        from_status: Some(Status::Idle),
        to_status: Status::Busy,
        reason: text("command_activity"),
        source: text("agent"),
        changed_at: at("03:04:05.678"),
        last_heartbeat_at: Some(at("03:04:05.678")),
        expires_at: None,
        operator_id: None,
        metadata: Map::new(),
        from: Some(Status::Idle),
        to: Status::Busy,
    };
    let gone = StatusChanged {
        from_status: Some(Status::Thinking),
        to_status: Status::Inactive,
        reason: text("agent_left"),
        expires_at: Some(at("03:05:05.678")),
        from: Some(Status::Thinking),
        to: Status::Inactive,
        ..changed.clone()
    };
    let expired = StatusChanged {
        reason: text("heartbeat_ttl_expired"),
        source: text("system"),
        last_heartbeat_at: None,
        ..gone.clone()
    };
    let forced = StatusChanged {
        reason: text("operator_force_leave"),
        source: text("system"),
        operator_id: Some(actor("Olga")),
        ..gone.clone()
    };
    let first = StatusChanged { from_status: None, from: None, ..changed.clone() };
    vec![
        Example::of("", &changed),
        Example::of("left", &gone),
        Example::of("expired", &expired),
        Example::of("forced", &forced),
        Example::of("first", &first),
    ]
}

fn moves() -> Vec<Example> {
    let (leg, target) = (PathSegment { direction: Direction::W, steps: 4 }, Point { x: 6, y: 2 });
    let command = ActorMoved { leg, intent: None, target_label: None };
    let meant = ActorMoved { intent: Some(text("stretch_legs")), ..command.clone() };
    let intent = ActorMoved {
        intent: Some(text("sit_at_table")),
        target_label: Some(text("table_2")),
        ..command.clone()
    };
    let reacted = ActorMoved { intent: Some(text("reaction")), ..command.clone() };
    let planned = IntentPlanned {
        intent: text("sit_at_table"),
        target,
        label: text("table_2"),
        from: Point { x: 10, y: 6 },
        path: vec![leg, PathSegment { direction: Direction::N, steps: 4 }],
    };
    let there = IntentPlanned { from: target, path: Vec::new(), ..planned.clone() };
    let seated = IntentCompleted {
        intent: text("sit_at_table"),
        target,
        label: text("table_2"),
        final_position: target,
        outcome: text("seated"),
    };
    let corner = Point { x: 0, y: 0 };
    let arrived = IntentCompleted {
        intent: text("navigate_to"),
        target: corner,
        label: text("(0, 0)"),
        final_position: corner,
        outcome: text("arrived"),
    };
    vec![
        Example::of("", &command),
        Example::of("command_intent", &meant),
        Example::of("intent", &intent),
        Example::of_reaction(&reacted),
        Example::of("", &planned),
        Example::of("already_there", &there),
        Example::of("", &seated),
        Example::of("arrived", &arrived),
    ]
}

fn speech() -> Vec<Example> {
    let bubble = Bubble { text: text("hey @Kai"), ttl_ms: 7_000 };
    let first = ConversationMessagePosted {
        conversation: Conversation {
            message_id: text(MESSAGE),
            thread_id: text(MESSAGE),
            parent_message_id: None,
            reply_to_message_id: None,
            mentions: vec![actor("Kai")],
            context_window: ContextWindow { id: None, max_items: 20 },
            text: text("hey @Kai"),
            metadata: Map::new(),
        },
        bubble: bubble.clone(),
    };
    let answer = Conversation {
        thread_id: text(PARENT),
        parent_message_id: Some(text(PARENT)),
        reply_to_message_id: Some(text(PARENT)),
        mentions: Vec::new(),
        context_window: ContextWindow { id: Some(text("morning")), max_items: 5 },
        metadata: metadata(),
        ..first.conversation.clone()
    };
    let reply = ConversationMessagePosted { conversation: answer, ..first.clone() };
    let mention = MentionCreated {
        mentioned_actor_id: actor("Kai"),
        source_message_id: text(MESSAGE),
        thread_id: Some(text(MESSAGE)),
    };
    let alone = MentionCreated { thread_id: None, ..mention.clone() };
    vec![
        Example::of("", &first),
        Example::of("reply", &reply),
        Example::of_reaction(&reply),
        Example::of("", &mention),
        Example::of("no_thread", &alone),
        Example::of("", &BubblePosted { bubble }),
    ]
}

fn orders() -> Vec<Example> {
    let ordered = OrderChanged { item_id: text("flat_white"), size: text("regular") };
    vec![Example::of("", &ordered), Example::of_reaction(&ordered)]
}
