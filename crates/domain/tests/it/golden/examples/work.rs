//! Examples of what is done to rooms, tasks, objects and private tables.

use agentcafe_domain::kernel::RoomId;
use agentcafe_domain::objects::events::*;
use agentcafe_domain::operators::events::*;
use agentcafe_domain::rooms::events::*;
use agentcafe_domain::snapshots::{SnapshotCreated, SnapshotRef};
use agentcafe_domain::tables::events::*;
use agentcafe_domain::tasks::events::*;
use serde_json::Map;

use super::{MESSAGE, actor, at, id, metadata, text};
use crate::golden::Example;

pub(super) fn all() -> Vec<Example> {
    let kinds = [rooms(), operators(), tasks(), handoffs(), objects(), sessions()];
    kinds.into_iter().flatten().collect()
}

fn rooms() -> Vec<Example> {
    let lobby = RoomDetails {
        room_id: RoomId::parse("terrace").unwrap(),
        room_type: text("lobby"),
        display_name: None,
        owner_actor_id: None,
        metadata: Map::new(),
        payment_provider: None,
        payment_ref: None,
        payment_amount_usd: None,
    };
    let private = RoomDetails {
        room_type: text("private_table"),
        display_name: Some(text("The terrace")),
        owner_actor_id: Some(actor("Nova")),
        metadata: metadata(),
        ..lobby.clone()
    };
    let paid = |provider: &str, reference: &str, amount| RoomDetails {
        payment_provider: Some(text(provider)),
        payment_ref: Some(text(reference)),
        payment_amount_usd: Some(amount),
        ..private.clone()
    };
    vec![
        Example::of("", &RoomCreated { room: lobby }),
        Example::of("private_table", &RoomCreated { room: paid("stub", "stub_1", 6.5) }),
        Example::of("", &RoomUpdated { room: private.clone() }),
        Example::of("paid", &RoomUpdated { room: paid("webhook", "pay_1", 3.0) }),
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
    let note = ObjectDetails {
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
    let token = ObjectDetails {
        object_type: text("token"),
        object_key: Some(text("beans")),
        title: Some(text("Beans")),
        content: Some(text("One per cup.")),
        data: metadata(),
        quantity: Some(12),
        metadata: metadata(),
        ..note.clone()
    };
    let fewer = ObjectDetails {
        quantity: Some(0),
        version: 2,
        updated_by: actor("Kai"),
        created_at: at("03:04:00.000"),
        ..token.clone()
    };
    let emptied =
        ObjectDetails { object_key: None, title: None, content: None, quantity: None, ..fewer.clone() };
    let updated = |object, changed: &[&str]| SharedObjectUpdated {
        object,
        changed_fields: changed.iter().map(|name| text(name)).collect(),
    };
    vec![
        Example::of("", &SharedObjectCreated { object: note }),
        Example::of("token", &SharedObjectCreated { object: token }),
        Example::of("", &updated(fewer, &["quantity"])),
        Example::of("emptied", &updated(emptied, &["objectKey", "title", "content", "quantity"])),
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
