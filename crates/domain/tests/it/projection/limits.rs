//! A room stays the same size however long its log grows.

use agentcafe_domain::presence::Status;
use agentcafe_domain::projection::actors::MAX_ACTORS;
use agentcafe_domain::projection::conversations::{
    MAX_CHAT, MAX_MESSAGES, MAX_THREAD_MESSAGES, MAX_THREAD_PARTICIPANTS, MAX_THREADS,
};
use agentcafe_domain::projection::objects::MAX_OBJECTS;
use agentcafe_domain::projection::orders::MAX_ORDERS;
use agentcafe_domain::projection::tasks::MAX_TASKS;

use super::*;

fn many(kind: EventType, count: u64, payload: impl Fn(u64) -> Value) -> RoomSnapshot {
    let events: Vec<Event> =
        (1..=count).map(|number| numbered(number, kind, "Nova", payload(number))).collect();
    project(&events).snapshot()
}

#[test]
fn projection_lists_keep_the_newest_entries() {
    use EventType::*;
    let room = many(OrderChanged, 60, |number| json!({ "itemId": number.to_string() }));
    assert_eq!((room.orders.len(), room.orders[0].item_id.as_deref()), (MAX_ORDERS, Some("60")));
    assert_eq!((room.local_memory.len(), room.local_memory[0].sequence), (MAX_MEMORY, Sequence(60)));

    let room = many(TaskCreated, 110, |number| json!({ "taskId": number.to_string() }));
    assert_eq!((room.tasks.len(), room.tasks[0].task_id.as_str()), (MAX_TASKS, "110"));

    let room = many(SharedObjectCreated, 210, |number| json!({ "objectId": number.to_string() }));
    assert_eq!((room.shared_objects.len(), room.shared_objects[0].object_id.as_str()), (MAX_OBJECTS, "210"));

    let room = many(ConversationMessagePosted, 210, |number| json!({ "text": number.to_string() }));
    assert_eq!((room.chat.len(), room.chat[0].text.as_str()), (MAX_CHAT, "210"));
    assert_eq!((room.messages.len(), room.messages[0].text.as_str()), (MAX_MESSAGES, "210"));
}

/// The thread without a message for the longest time is dropped, not the oldest one.
#[test]
fn projection_drops_the_thread_without_new_messages() {
    let room = many(EventType::ConversationMessagePosted, 202, |number| {
        // The first thread speaks once more just before the room is full.
        let thread = if number == 200 { 1 } else { number };
        json!({ "conversation": { "threadId": thread.to_string() } })
    });
    let threads: Vec<&str> = room.threads.iter().map(|thread| thread.thread_id.as_str()).collect();
    assert_eq!((threads.len(), threads[0], threads[2]), (MAX_THREADS, "202", "1"));
    assert!(!threads.contains(&"2"));
}

/// A long thread drops its first messages and speakers; its count goes on.
#[test]
fn projection_cuts_a_long_thread_at_its_start() {
    let post = |number: u64| {
        let payload = json!({ "conversation": { "messageId": number.to_string(), "threadId": "t" } });
        numbered(number, EventType::ConversationMessagePosted, &format!("actor{number}"), payload)
    };
    let room = project(&(1..=250).map(post).collect::<Vec<_>>()).snapshot();
    let thread = &room.threads[0];
    assert_eq!((thread.message_count, thread.root_message_id.as_str()), (250, "1"));
    assert_eq!(
        (thread.message_ids.len(), thread.participants.len()),
        (MAX_THREAD_MESSAGES, MAX_THREAD_PARTICIPANTS)
    );
    assert_eq!((thread.message_ids[0].as_str(), thread.participants[0].as_str()), ("51", "actor51"));
}

/// A full room drops an inactive actor first, then the one with the oldest event.
#[test]
fn projection_drops_inactive_actors_first() {
    let max = u64::try_from(MAX_ACTORS).unwrap();
    let name = |number: u64| format!("actor{number}");
    let enter = |number: u64| numbered(number, EventType::AgentEntered, &name(number), json!({}));
    let expired = numbered(max + 1, EventType::StatusChanged, &name(7), json!({ "to": "inactive" }));
    let mut events: Vec<Event> = (1..=max).map(enter).chain([expired]).collect();
    events.extend((max + 2..=max + 3).map(enter));
    let room = project(&events).snapshot();
    assert_eq!(room.actors.len(), MAX_ACTORS);
    assert!(room.actors.iter().all(|actor| actor.status != Status::Inactive));
    let gone = [name(1), name(7)];
    assert!(room.actors.iter().all(|actor| !gone.iter().any(|gone| gone == actor.actor_id.as_str())));
    assert_eq!(room.actors[MAX_ACTORS - 1].actor_id.as_str(), name(max + 3));
}
