//! Records: what is put is read, and lists match their conditions, in order, page by page.

use agentcafe_domain::kernel::{
    ActorId, Cell, Comparison, Record, RecordQuery, RoomId, StoredRecord, TenantId, Timestamp,
};
use agentcafe_domain::tasks::{Task, TaskState};
use agentcafe_store::Store;
use serde_json::json;
use uuid::Uuid;

use crate::commands::{command, reply};
use crate::test_store::TestStore;

/// A task of the default tenant. Without an assignee, that column is null.
pub(crate) fn task(number: u128, room: &str, assignee: Option<&str>, updated_at: i64) -> Task {
    Task {
        task_id: Uuid::from_u128(number),
        tenant_id: TenantId::default(),
        room_id: RoomId::parse(room).unwrap(),
        title: format!("task {number}"),
        description: None,
        state: TaskState::Open,
        created_by: ActorId::parse("Nova").unwrap(),
        assignee_actor_id: assignee.map(|name| ActorId::parse(name).unwrap()),
        progress: 0,
        metadata: json!({ "nested": { "text": "\u{1f600}\"\\" } }).as_object().cloned().unwrap(),
        created_at: Timestamp::from_millis(updated_at),
        updated_at: Timestamp::from_millis(updated_at),
        completed_at: None,
        completed_by: None,
    }
}

/// Puts tasks in one command.
pub(crate) async fn put(store: &Store, tasks: Vec<Task>) {
    let puts = command(move |ctx| {
        tasks.iter().for_each(|task| ctx.put(task));
        reply(&())
    });
    store.submit(puts).await.unwrap();
}

async fn delete(store: &Store, task: &Task) {
    let key = task.key();
    let deletes = command(move |ctx| {
        ctx.delete::<Task>(key.clone());
        reply(&())
    });
    store.submit(deletes).await.unwrap();
}

/// The numbers of the tasks that a query selects.
pub(crate) async fn numbers(store: &Store, find: RecordQuery) -> Vec<u128> {
    let found: Vec<Task> = store.find(find).await.unwrap();
    found.iter().map(|task| task.task_id.as_u128()).collect()
}

/// Putting again replaces a record, and deleting removes it.
#[tokio::test]
async fn record_is_read_as_it_was_put() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let one = task(1, "main", Some("Kai"), 10);
    assert_eq!(opened.store.get::<Task>(one.key()).await.unwrap(), None);
    put(&opened.store, vec![one.clone(), task(2, "main", None, 10)]).await;
    assert_eq!(opened.store.get::<Task>(one.key()).await.unwrap().as_ref(), Some(&one));
    let changed = Task { assignee_actor_id: None, state: TaskState::Done, ..task(1, "lounge", None, 99) };
    put(&opened.store, vec![changed.clone()]).await;
    assert_eq!(opened.store.get::<Task>(one.key()).await.unwrap().as_ref(), Some(&changed));
    assert_eq!(
        numbers(&opened.store, RecordQuery::all::<Task>("updated_at", 10).is("room_id", "main")).await,
        [2]
    );
    delete(&opened.store, &one).await;
    delete(&opened.store, &one).await;
    assert_eq!(opened.store.get::<Task>(one.key()).await.unwrap(), None);
    assert_eq!(numbers(&opened.store, RecordQuery::all::<Task>("updated_at", 10)).await, [2]);
    opened.close();
}

/// On texts, numbers and nulls: null satisfies only `Is` with null, and differs from every value.
#[tokio::test]
async fn record_query_applies_every_comparison() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let assignees = [Some("Kai"), Some("Mira"), None, Some("kai"), Some("Zoë")];
    let tasks =
        assignees.iter().zip(1..).map(|(name, number)| task(number, "main", *name, number as i64 * 10));
    put(&opened.store, tasks.collect()).await;
    let cases: [(&str, Comparison, Cell, &[u128]); 16] = [
        ("assignee_actor_id", Comparison::Is, "Kai".into(), &[1]),
        ("assignee_actor_id", Comparison::Is, "Zoë".into(), &[5]),
        ("assignee_actor_id", Comparison::Is, Cell::Null, &[3]),
        ("assignee_actor_id", Comparison::IsNot, "Kai".into(), &[2, 3, 4, 5]),
        ("assignee_actor_id", Comparison::IsNot, Cell::Null, &[1, 2, 4, 5]),
        ("assignee_actor_id", Comparison::Above, "Mira".into(), &[4, 5]),
        ("assignee_actor_id", Comparison::Below, "Zoë".into(), &[1, 2]),
        ("assignee_actor_id", Comparison::AtMost, "Kai".into(), &[1]),
        ("assignee_actor_id", Comparison::AtMost, Cell::Null, &[]),
        ("updated_at", Comparison::Is, 20.into(), &[2]),
        ("updated_at", Comparison::IsNot, 20.into(), &[1, 3, 4, 5]),
        ("updated_at", Comparison::AtMost, 20.into(), &[1, 2]),
        ("updated_at", Comparison::Above, 20.into(), &[3, 4, 5]),
        ("updated_at", Comparison::Below, 20.into(), &[1]),
        ("updated_at", Comparison::Above, Cell::Null, &[]),
        ("task_id", Comparison::Is, Uuid::from_u128(4).to_string().as_str().into(), &[4]),
    ];
    for (column, comparison, value, want) in cases {
        let find = RecordQuery::all::<Task>("updated_at", 10).only(column, comparison, value.clone());
        assert_eq!(numbers(&opened.store, find).await, want, "{column} {comparison:?} {value:?}");
    }
    let both = RecordQuery::all::<Task>("updated_at", 10)
        .only("updated_at", Comparison::Above, 10)
        .only("updated_at", Comparison::Below, 50)
        .is_if_given::<&str>("room_id", None)
        .only("assignee_actor_id", Comparison::IsNot, Cell::Null);
    assert_eq!(numbers(&opened.store, both).await, [2, 4], "all conditions must hold");
    opened.close();
}

/// The key breaks ties, ascending in both; the limit holds.
#[tokio::test]
async fn record_query_sorts_in_both_directions() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let updated = [30, 10, 20, 20, 20, -5];
    put(&opened.store, updated.iter().zip(1..).map(|(at, number)| task(number, "main", None, *at)).collect())
        .await;
    let all = RecordQuery::all::<Task>("updated_at", 10);
    assert_eq!(numbers(&opened.store, all.clone()).await, [6, 2, 3, 4, 5, 1]);
    assert_eq!(numbers(&opened.store, all.clone().newest_first()).await, [1, 3, 4, 5, 2, 6]);
    for limit in 0..7 {
        let found = numbers(&opened.store, RecordQuery { limit, ..all.clone() }).await;
        assert_eq!(found, [6, 2, 3, 4, 5, 1][..limit.min(6)]);
    }
    opened.close();
}

/// All pages of a list, each after the last record of the page before.
async fn pages(store: &Store, first: &RecordQuery) -> Vec<u128> {
    let mut all = Vec::new();
    let mut next = first.clone();
    loop {
        let page: Vec<Task> = store.find(next.clone()).await.unwrap();
        let Some(last) = page.last() else { return all };
        next = first.clone().behind(Some(first.position(&StoredRecord::of(last))));
        all.extend(page.iter().map(|task| task.task_id.as_u128()));
        assert!(all.len() <= 100, "the pages never end");
    }
}

/// Keyset pagination: the pages of a list are the list, whatever their size, in both directions, across
/// ties.
#[tokio::test]
async fn record_query_pages_together_are_the_whole_list() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    put(&opened.store, (0..25).map(|number| task(number, "main", None, number as i64 / 4)).collect()).await;
    for limit in [1, 2, 3, 4, 7, 25] {
        for descending in [false, true] {
            let list = RecordQuery { descending, ..RecordQuery::all::<Task>("updated_at", limit) };
            let whole = numbers(&opened.store, RecordQuery { limit: 100, ..list.clone() }).await;
            assert_eq!(pages(&opened.store, &list).await, whole, "limit {limit}, descending {descending}");
        }
    }
    opened.close();
}

/// The same with a column that may be null: null comes before every value, and pagination does not end
/// there.
#[tokio::test]
async fn record_query_pages_continue_after_nulls() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let assignees = [Some("Kai"), None, Some("Mira"), None, Some("Kai")];
    put(
        &opened.store,
        assignees.iter().zip(1..).map(|(name, number)| task(number, "main", *name, 0)).collect(),
    )
    .await;
    for descending in [false, true] {
        let list = RecordQuery { descending, ..RecordQuery::all::<Task>("assignee_actor_id", 1) };
        let whole = numbers(&opened.store, RecordQuery { limit: 100, ..list.clone() }).await;
        assert_eq!(whole, if descending { [3, 1, 5, 2, 4] } else { [2, 4, 1, 5, 3] });
        assert_eq!(pages(&opened.store, &list).await, whole, "descending {descending}");
    }
    opened.close();
}

/// A command is answered after its records can be read.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn record_is_readable_before_its_command_is_answered() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let writers: Vec<_> = (0..8_u128)
        .map(|writer| {
            let store = std::sync::Arc::clone(&opened.store);
            tokio::spawn(async move {
                for round in 0..25 {
                    let task = task(writer, "main", None, round);
                    put(&store, vec![task.clone()]).await;
                    assert_eq!(store.get::<Task>(task.key()).await.unwrap(), Some(task));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    opened.close();
}
