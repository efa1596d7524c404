//! Active rooms: all of them, those with the newest events first, page by page, whether they are few or many.

use std::collections::BTreeMap;

use agentcafe_domain::kernel::{ActorInRoom, IdPatterns, Sequence, TenantId};
use agentcafe_domain::tasks::{Task, TaskState};
use agentcafe_store::{ActiveRoom, Store};

use crate::commands::{NOTE_TYPES, actor, append_note, append_texts, command, done, reply};
use crate::records::{put, task};
use crate::test_store::{BEGIN, TestStore};

/// How many rooms the test of many has: more than are looked up one by one.
const MANY: usize = 1_300;

fn patterns(patterns: &[&str]) -> IdPatterns {
    IdPatterns::new(patterns.iter().map(|pattern| (*pattern).to_owned()).collect())
}

/// The rooms on all pages.
async fn all(store: &Store, ids: &IdPatterns, limit: usize) -> Vec<ActiveRoom> {
    let (mut rooms, mut before) = (Vec::new(), None);
    loop {
        let page = store.active_rooms(TenantId::default(), ids.clone(), before, limit).await.unwrap();
        assert!(page.rooms.len() <= limit, "{page:?}");
        rooms.extend(page.rooms);
        assert!(page.next_before.is_none() || page.next_before < before || before.is_none(), "it goes on");
        before = page.next_before;
        if before.is_none() {
            return rooms;
        }
    }
}

fn ids(rooms: &[ActiveRoom]) -> Vec<&str> {
    rooms.iter().map(|room| room.room_id.as_str()).collect()
}

/// Of one tenant; with the last event, and what is counted in the room.
#[tokio::test]
async fn active_rooms_are_listed_newest_event_first() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    assert_eq!(all(&opened.store, &IdPatterns::any(), 10).await, []);
    let other = ActorInRoom { tenant_id: TenantId::parse("other").unwrap(), ..actor("elsewhere", "Nova") };
    for room in ["main", "team-a/x", "attic", "team-a/y", "main", "team-b", "team-a0"] {
        opened.store.submit(append_texts(&actor(room, "Nova"), &["hi", "ho"])).await.unwrap();
        opened.store.submit(append_texts(&other, &["hi"])).await.unwrap();
    }
    let tasks = [("main", TaskState::Open), ("main", TaskState::Active), ("main", TaskState::Done)];
    let tasks = tasks.into_iter().chain([("attic", TaskState::Open)]).zip(1..);
    put(
        &opened.store,
        tasks.map(|((room, state), number)| Task { state, ..task(number, room, None, 0) }).collect(),
    )
    .await;
    let listed = all(&opened.store, &IdPatterns::any(), 100).await;
    assert_eq!(ids(&listed), ["team-a0", "team-b", "main", "team-a/y", "attic", "team-a/x"]);
    let counts = |room: &ActiveRoom| (room.last_sequence, room.last_event_at, room.present, room.open_tasks);
    assert_eq!(counts(&listed[2]), (Sequence(14), BEGIN, 0, 2));
    assert_eq!(counts(&listed[4]), (Sequence(8), BEGIN, 0, 1));
    for limit in [1, 2, 5, 6] {
        assert_eq!(all(&opened.store, &IdPatterns::any(), limit).await, listed, "{limit}");
    }
    for (given, want) in [
        (&["main"][..], &["main"][..]),
        (&["team-a/"], &["team-a/y", "team-a/x"]),
        (&["team-a/", "attic", "team-a/x", "attic2"], &["team-a/y", "attic", "team-a/x"]),
        (&["mai", "zoo"], &[]),
        (&[], &[]),
    ] {
        assert_eq!(ids(&all(&opened.store, &patterns(given), 2).await), want, "{given:?}");
    }
    opened.close();
}

/// As the log has them, also behind thousands of events of one room.
#[tokio::test]
async fn active_rooms_of_many_are_all_listed_page_by_page() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let rooms = |number: usize| {
        format!("{}{}", if number.is_multiple_of(3) { "team/" } else { "room-" }, number * 7 % MANY)
    };
    let mut last: BTreeMap<String, Sequence> = BTreeMap::new();
    for numbers in [0..MANY, 100..200] {
        let named: Vec<String> = numbers.map(rooms).collect();
        let noted = named.clone();
        let appends = command(move |ctx| {
            let append = |room: &String| {
                append_note(ctx, &actor(room, "Nova"), NOTE_TYPES[0], "hi", None).map(|event| event.sequence)
            };
            reply(&noted.iter().map(append).collect::<Result<Vec<_>, _>>()?)
        });
        let sequences: Vec<Sequence> = done(&opened.store.submit(appends).await);
        last.extend(named.into_iter().zip(sequences));
        let busy: Vec<Sequence> =
            done(&opened.store.submit(append_texts(&actor("busy", "Nova"), &["hi"; 2_500])).await);
        last.extend([("busy".to_owned(), busy[busy.len() - 1])]);
    }
    let mut want: Vec<(&str, Sequence)> = last.iter().map(|(room, last)| (room.as_str(), *last)).collect();
    want.sort_by_key(|(_, last)| std::cmp::Reverse(*last));
    for limit in [7, 100] {
        let listed = all(&opened.store, &IdPatterns::any(), limit).await;
        let listed: Vec<_> = listed.iter().map(|room| (room.room_id.as_str(), room.last_sequence)).collect();
        assert_eq!(listed, want, "{limit}");
    }
    want.retain(|(room, _)| room.starts_with("team/"));
    let listed = all(&opened.store, &patterns(&["team/"]), 100).await;
    assert_eq!(ids(&listed), want.iter().map(|(room, _)| *room).collect::<Vec<_>>());
    opened.close();
}
