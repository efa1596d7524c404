//! Sentences about what people do together: tasks, shared objects, rooms, private tables, and what operators do.

use std::fmt::Display;

use agentcafe_domain::kernel::ActorId;
use agentcafe_domain::objects::{ObjectDetails, SharedObjectCreated, SharedObjectUpdated};
use agentcafe_domain::operators::OperatorOverrideApplied;
use agentcafe_domain::rooms::{RoomContextPinned, RoomDetails};
use agentcafe_domain::snapshots::SnapshotCreated;
use agentcafe_domain::tables::{TableSessionCreated, TableSessionEnded, TableSessionUpdated};
use agentcafe_domain::tasks::{
    TaskAssigned, TaskCompleted, TaskCreated, TaskHandoff, TaskProgressUpdated, TaskUpdated,
};

use super::{Phrase, clock};

/// The end of an id, which differs between ids; the beginning is a time.
fn short(id: impl Display) -> String {
    let id = id.to_string();
    let start = id.char_indices().rev().nth(5).map_or(0, |(at, _)| at);
    format!("…{}", &id[start..])
}

fn task(id: impl Display) -> String {
    format!("task {}", short(id))
}

/// A text after a colon; nothing if there is none.
fn remark(text: Option<&str>) -> String {
    text.map(|text| format!(": {text}")).unwrap_or_default()
}

fn names(actors: &[ActorId]) -> Phrase {
    actors.iter().enumerate().fold(Phrase::default(), |phrase, (index, actor)| {
        let phrase = if index == 0 { phrase } else { phrase.plain(", ") };
        phrase.actor(actor)
    })
}

pub(super) fn snapshot(who: Phrase, snapshot: &SnapshotCreated) -> Phrase {
    let saved = match &snapshot.snapshot_ref.actor_id {
        Some(actor) => who.dim("saves ").actor(actor),
        None => who.dim("saves the room"),
    };
    saved.dim(format!(" (version {})", snapshot.version))
}

pub(super) fn pinned(who: Phrase, pin: &RoomContextPinned) -> Phrase {
    who.plain(format!("pins: {}", pin.content)).dim(format!(" (version {})", pin.version))
}

pub(super) fn operator(who: Phrase, applied: &OperatorOverrideApplied) -> Phrase {
    let (verb, ending) = match applied.action.as_str() {
        "pause_room" => ("pauses the room", ""),
        "resume_room" => ("resumes the room", ""),
        "mute_agent" => ("mutes ", ""),
        "unmute_agent" => ("unmutes ", ""),
        "force_leave" => ("makes ", " leave"),
        other => (other, ""),
    };
    let did = who.plain(verb);
    let did = match &applied.target_actor_id {
        Some(target) => did.plain(if verb.ends_with(' ') { "" } else { " " }).actor(target).plain(ending),
        None => did,
    };
    did.plain(remark(applied.reason.as_deref()))
}

pub(super) fn task_created(who: Phrase, created: &TaskCreated) -> Phrase {
    let creates = who.plain(format!("creates {}", task(created.task_id)));
    let creates = match &created.assignee_actor_id {
        Some(assignee) => creates.plain(" for ").actor(assignee),
        None => creates,
    };
    creates.plain(format!(": {}", created.title))
}

/// Important changes have an event of their own; this one has the others.
pub(super) fn task_updated(who: Phrase, updated: &TaskUpdated) -> Phrase {
    who.dim(format!("changes {} ({})", task(updated.task_id), updated.changed_fields.join(", ")))
}

pub(super) fn task_assigned(who: Phrase, assigned: &TaskAssigned) -> Phrase {
    let task = task(assigned.task_id);
    match (&assigned.from_assignee_actor_id, &assigned.to_assignee_actor_id) {
        (_, Some(to)) if *to == assigned.assigned_by => who.plain(format!("takes {task}")),
        (_, Some(to)) => who.plain(format!("gives {task} to ")).actor(to),
        (Some(from), None) if *from == assigned.assigned_by => who.plain(format!("gives up {task}")),
        (Some(from), None) => who.plain(format!("takes {task} from ")).actor(from),
        (None, None) => who.plain(format!("gives {task} to nobody")),
    }
}

pub(super) fn task_progress(who: Phrase, progress: &TaskProgressUpdated) -> Phrase {
    let TaskProgressUpdated { task_id, from_progress, to_progress } = progress;
    who.plain(format!("brings {} from {from_progress} % to {to_progress} %", task(task_id)))
}

pub(super) fn task_completed(who: Phrase, completed: &TaskCompleted) -> Phrase {
    who.plain(format!("finishes {}", task(completed.task_id)))
}

pub(super) fn handoff(who: Phrase, handoff: &TaskHandoff) -> Phrase {
    let task = task(handoff.task_id);
    let hands = match (handoff.action.as_str(), &handoff.to_assignee_actor_id) {
        ("assign", Some(to)) => who.plain(format!("hands {task} to ")).actor(to),
        ("accept", _) => who.plain(format!("accepts {task}")),
        ("blocked", _) => who.plain(format!("is blocked on {task}")),
        ("done", _) => who.plain(format!("reports {task} done")),
        (other, _) => who.plain(format!("hands {task} over ({other})")),
    };
    hands.plain(remark(handoff.blocked_reason.as_deref())).plain(remark(handoff.note.as_deref()))
}

fn object_name(object: &ObjectDetails) -> String {
    let name = object.title.clone().or_else(|| object.object_key.clone());
    name.unwrap_or_else(|| short(object.object_id))
}

pub(super) fn object_created(who: Phrase, created: &SharedObjectCreated) -> Phrase {
    let object = &created.object;
    let number = object.quantity.map(|quantity| format!(" × {quantity}")).unwrap_or_default();
    let content = remark(object.content.as_deref());
    who.plain(format!("creates {} {}{number}{content}", object.object_type, object_name(object)))
}

pub(super) fn object_updated(who: Phrase, updated: &SharedObjectUpdated) -> Phrase {
    let SharedObjectUpdated { object, changed_fields } = updated;
    let changed = |field: &str| changed_fields.iter().any(|changed| changed == field);
    let number = object.quantity.filter(|_| changed("quantity"));
    let number = number.map(|quantity| format!(" × {quantity}")).unwrap_or_default();
    let content = remark(object.content.as_deref().filter(|_| changed("content")));
    who.plain(format!("changes {} {}{number}{content}", object.object_type, object_name(object)))
        .dim(format!(" ({})", changed_fields.join(", ")))
}

pub(super) fn room(who: Phrase, verb: &str, room: &RoomDetails) -> Phrase {
    let title = remark(room.display_name.as_deref());
    who.plain(format!("{verb} room {}{title}", room.room_id)).dim(format!(" ({})", room.room_type))
}

pub(super) fn table_opened(who: Phrase, session: &TableSessionCreated) -> Phrase {
    let opens = who.plain(format!("opens the private table {}", session.room_id));
    let opens = if session.invited_actor_ids.is_empty() {
        opens
    } else {
        opens.plain(" for ").and(names(&session.invited_actor_ids))
    };
    let until =
        session.expires_at.map(|at| format!(", until {}", clock(&at.to_string()))).unwrap_or_default();
    opens.dim(format!(" ({}{until})", session.plan_id))
}

pub(super) fn table_changed(who: Phrase, session: &TableSessionUpdated) -> Phrase {
    let changes = who.plain("changes the private table");
    let changed = session.changed_fields.join(", ");
    if session.invited_actor_ids.is_empty()
        || !session.changed_fields.iter().any(|field| field == "invitedActorIds")
    {
        return changes.dim(format!(" ({changed})"));
    }
    changes.plain(", now for ").and(names(&session.invited_actor_ids)).dim(format!(" ({changed})"))
}

pub(super) fn table_closed(who: Phrase, session: &TableSessionEnded) -> Phrase {
    match session.reason.as_deref() {
        Some(reason) => who.plain("no longer has the private table").dim(format!(" ({reason})")),
        None => who.plain("closes the private table"),
    }
}
