//! An example of every event type, and of every way its optional fields can be.

use serde_json::{Map, Value, json};

use super::Example;
use crate::{
    conversation::{ContextWindow, Conversation},
    event::payload::*,
    ids::{ActorId, RoomId},
    position::{Direction, Leg, Point},
    presence::Status,
    time::Timestamp,
};

const MESSAGE: &str = "01990000-0000-7000-8000-0000000000a1";
const PARENT: &str = "01990000-0000-7000-8000-0000000000a0";

pub(super) fn all() -> Vec<Example> {
    [
        presence(),
        moves(),
        speech(),
        orders(),
        rooms(),
        operators(),
        tasks(),
        handoffs(),
        objects(),
        sessions(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn actor(name: &str) -> ActorId {
    ActorId::parse(name).unwrap()
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

fn reaction() -> Option<Reaction> {
    Some(Reaction { source_subscription_id: id(0xb0), source_event_id: id(0xb1), hops: 1 })
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
    let mut examples = vec![
        Example::of("", &entered),
        Example::of("position", &placed),
        Example::of("", &left),
        Example::of("forced", &forced),
        Example::of("", &heartbeat),
    ];
    examples.extend(statuses());
    examples
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
    let (leg, target) = (Leg { direction: Direction::W, steps: 4 }, Point { x: 6, y: 2 });
    let command = ActorMoved { leg, intent: None, target_label: None, reaction: None };
    let meant = ActorMoved { intent: Some(text("stretch_legs")), ..command.clone() };
    let intent = ActorMoved {
        intent: Some(text("sit_at_table")),
        target_label: Some(text("table_2")),
        ..command.clone()
    };
    let reacted = ActorMoved { intent: Some(text("reaction")), reaction: reaction(), ..command.clone() };
    let planned = IntentPlanned {
        intent: text("sit_at_table"),
        target,
        label: text("table_2"),
        from: Point { x: 10, y: 6 },
        path: vec![leg, Leg { direction: Direction::N, steps: 4 }],
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
        Example::of("reaction", &reacted),
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
        reaction: None,
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
    let reacted = ConversationMessagePosted { reaction: reaction(), ..reply.clone() };
    let mention = MentionCreated {
        mentioned_actor_id: actor("Kai"),
        source_message_id: text(MESSAGE),
        thread_id: Some(text(MESSAGE)),
    };
    let alone = MentionCreated { thread_id: None, ..mention.clone() };
    vec![
        Example::of("", &first),
        Example::of("reply", &reply),
        Example::of("reaction", &reacted),
        Example::of("", &mention),
        Example::of("no_thread", &alone),
        Example::of("", &BubblePosted { bubble }),
    ]
}

fn orders() -> Vec<Example> {
    let ordered = OrderChanged { item_id: text("flat_white"), size: text("regular"), reaction: None };
    let reacted = OrderChanged { reaction: reaction(), ..ordered.clone() };
    vec![Example::of("", &ordered), Example::of("reaction", &reacted)]
}

fn rooms() -> Vec<Example> {
    let created = RoomCreated {
        room_id: RoomId::parse("terrace").unwrap(),
        room_type: text("lobby"),
        display_name: None,
        owner_actor_id: None,
        metadata: Map::new(),
        payment_provider: None,
        payment_ref: None,
        payment_amount_usd: None,
    };
    let private = RoomCreated {
        room_type: text("private_table"),
        display_name: Some(text("The terrace")),
        owner_actor_id: Some(actor("Nova")),
        metadata: metadata(),
        payment_provider: Some(text("stub")),
        payment_ref: Some(text("stub_1")),
        payment_amount_usd: Some(6.5),
        ..created.clone()
    };
    let RoomCreated { room_id, room_type, display_name, owner_actor_id, metadata, .. } = private.clone();
    let updated = RoomUpdated {
        room_id,
        room_type,
        display_name,
        owner_actor_id,
        metadata,
        payment_provider: None,
        payment_ref: None,
        payment_amount_usd: None,
    };
    let paid = RoomUpdated {
        payment_provider: Some(text("webhook")),
        payment_ref: Some(text("pay_1")),
        payment_amount_usd: Some(3.0),
        ..updated.clone()
    };
    vec![
        Example::of("", &created),
        Example::of("private_table", &private),
        Example::of("", &updated),
        Example::of("paid", &paid),
    ]
}

fn operators() -> Vec<Example> {
    let paused = OperatorOverrideApplied {
        action: text("pause_room"),
        target_actor_id: None,
        reason: None,
        metadata: Map::new(),
        override_state: OverrideSummary {
            room_paused: true,
            paused_by: Some(actor("Nova")),
            muted_actor_ids: Vec::new(),
        },
    };
    let muted = OperatorOverrideApplied {
        action: text("mute_agent"),
        target_actor_id: Some(actor("Kai")),
        reason: Some(text("too loud")),
        metadata: metadata(),
        override_state: OverrideSummary {
            room_paused: false,
            paused_by: None,
            muted_actor_ids: vec![actor("Kai"), actor("Zoe")],
        },
    };
    let pinned = RoomContextPinned {
        version: 3,
        content: text("Be kind."),
        metadata: metadata(),
        pinned_by: actor("Nova"),
    };
    let room = SnapshotCreated {
        scope: text("room"),
        version: 1,
        expires_at: Some(at("04:04:05.678")),
        snapshot_ref: SnapshotRef { room_id: RoomId::main(), actor_id: None },
    };
    let agent = SnapshotCreated {
        scope: text("agent"),
        version: 2,
        expires_at: None,
        snapshot_ref: SnapshotRef { room_id: RoomId::main(), actor_id: Some(actor("Nova")) },
    };
    vec![
        Example::of("", &paused),
        Example::of("mute", &muted),
        Example::of("", &pinned),
        Example::of("", &room),
        Example::of("agent", &agent),
    ]
}

fn tasks() -> Vec<Example> {
    let created = TaskCreated {
        task_id: id(0xd0),
        title: text("Sweep the floor"),
        state: text("open"),
        assignee_actor_id: None,
        progress: 0,
        created_by: actor("Nova"),
    };
    let given =
        TaskCreated { state: text("active"), assignee_actor_id: Some(actor("Kai")), ..created.clone() };
    let updated = TaskUpdated {
        task_id: id(0xd0),
        changed_fields: vec![text("state"), text("assigneeActorId"), text("progress")],
        state: text("active"),
        assignee_actor_id: Some(actor("Kai")),
        progress: 40,
    };
    let dropped = TaskUpdated { assignee_actor_id: None, ..updated.clone() };
    let assigned = TaskAssigned {
        task_id: id(0xd0),
        from_assignee_actor_id: None,
        to_assignee_actor_id: Some(actor("Kai")),
        assigned_by: actor("Nova"),
    };
    let unassigned = TaskAssigned {
        from_assignee_actor_id: Some(actor("Kai")),
        to_assignee_actor_id: None,
        ..assigned.clone()
    };
    let progressed = TaskProgressUpdated { task_id: id(0xd0), from_progress: 0, to_progress: 40 };
    let completed = TaskCompleted {
        task_id: id(0xd0),
        completed_by: actor("Kai"),
        completed_at: at("03:04:05.678"),
        progress: 100,
    };
    vec![
        Example::of("", &created),
        Example::of("assigned", &given),
        Example::of("", &updated),
        Example::of("unassigned", &dropped),
        Example::of("", &assigned),
        Example::of("unassigned", &unassigned),
        Example::of("", &progressed),
        Example::of("", &completed),
    ]
}

fn handoffs() -> Vec<Example> {
    let assigned = TaskHandoff {
        handoff_id: id(0xd1),
        task_id: id(0xd0),
        action: text("assign"),
        from_assignee_actor_id: Some(actor("Kai")),
        to_assignee_actor_id: Some(actor("Zoe")),
        initiated_by: actor("Nova"),
        owner_actor_id: actor("Zoe"),
        state: text("active"),
        progress: 40,
        note: Some(text("Mind the corners.")),
        blocked_reason: None,
        thread_id: Some(text(MESSAGE)),
        reply_to_event_id: Some(id(0xb1).to_string()),
        metadata: metadata(),
        target_actor_ids: vec![actor("Kai"), actor("Zoe")],
        at: at("03:04:05.678"),
    };
    let blocked = TaskHandoff {
        action: text("blocked"),
        from_assignee_actor_id: None,
        to_assignee_actor_id: None,
        owner_actor_id: actor("Nova"),
        state: text("open"),
        note: None,
        blocked_reason: Some(text("No broom.")),
        thread_id: None,
        reply_to_event_id: None,
        metadata: Map::new(),
        target_actor_ids: Vec::new(),
        ..assigned.clone()
    };
    vec![Example::of("", &assigned), Example::of("blocked", &blocked)]
}

fn objects() -> Vec<Example> {
    let note = SharedObjectCreated {
        object_id: id(0xe0),
        object_type: text("note"),
        object_key: None,
        title: None,
        content: None,
        data: Map::new(),
        quantity: None,
        metadata: Map::new(),
        version: 1,
        created_by: actor("Nova"),
        updated_by: actor("Nova"),
        created_at: at("03:04:05.678"),
        updated_at: at("03:04:05.678"),
    };
    let token = SharedObjectCreated {
        object_type: text("token"),
        object_key: Some(text("beans")),
        title: Some(text("Beans")),
        content: Some(text("One per cup.")),
        data: metadata(),
        quantity: Some(12),
        metadata: metadata(),
        ..note.clone()
    };
    let SharedObjectCreated { object_id, object_type, object_key, title, content, data, metadata, .. } =
        token.clone();
    let fewer = SharedObjectUpdated {
        object_id,
        object_type,
        object_key,
        title,
        content,
        data,
        quantity: Some(0),
        metadata,
        version: 2,
        created_by: actor("Nova"),
        updated_by: actor("Kai"),
        created_at: at("03:04:00.000"),
        updated_at: at("03:04:05.678"),
        changed_fields: vec![text("quantity")],
    };
    let emptied = SharedObjectUpdated {
        object_key: None,
        title: None,
        content: None,
        quantity: None,
        changed_fields: vec![text("objectKey"), text("title"), text("content"), text("quantity")],
        ..fewer.clone()
    };
    vec![
        Example::of("", &note),
        Example::of("token", &token),
        Example::of("", &fewer),
        Example::of("emptied", &emptied),
    ]
}

fn sessions() -> Vec<Example> {
    let created = TableSessionCreated {
        session_id: id(0xf0),
        room_id: RoomId::parse("private-1a2b3c4d").unwrap(),
        owner_actor_id: actor("Nova"),
        plan_id: text("cappuccino"),
        invited_actor_ids: vec![actor("Kai")],
        status: text("active"),
        started_at: at("03:04:05.678"),
        expires_at: Some(at("04:34:05.678")),
        payment_provider: text("stub"),
        payment_ref: Some(text("stub_1")),
        payment_amount_usd: 6.0,
        metadata: metadata(),
    };
    let free = TableSessionCreated {
        invited_actor_ids: Vec::new(),
        expires_at: None,
        payment_provider: text("off"),
        payment_ref: None,
        payment_amount_usd: 0.5,
        metadata: Map::new(),
        ..created.clone()
    };
    let updated = TableSessionUpdated {
        session_id: id(0xf0),
        status: text("active"),
        plan_id: text("cappuccino"),
        invited_actor_ids: vec![actor("Kai"), actor("Zoe")],
        started_at: at("03:04:05.678"),
        expires_at: None,
        ended_at: None,
        metadata: metadata(),
        changed_fields: vec![text("invitedActorIds")],
    };
    let over = TableSessionUpdated {
        status: text("ended"),
        expires_at: Some(at("04:34:05.678")),
        ended_at: Some(at("04:34:06.000")),
        changed_fields: vec![text("status"), text("endedAt")],
        ..updated.clone()
    };
    let ended = TableSessionEnded {
        session_id: id(0xf0),
        ended_at: at("04:34:06.000"),
        owner_actor_id: actor("Nova"),
        reason: None,
    };
    let expired = TableSessionEnded { reason: Some(text("expired")), ..ended.clone() };
    vec![
        Example::of("", &created),
        Example::of("unpaid", &free),
        Example::of("", &updated),
        Example::of("ended", &over),
        Example::of("", &ended),
        Example::of("expired", &expired),
    ]
}
