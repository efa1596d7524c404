//! Random records and random queries: the store, and a commit batch that has just written them, answer as a
//! sorted list in memory.

use std::collections::BTreeMap;

use agentcafe_domain::kernel::{
    Cell, Comparison, Condition, Query, Record, RecordQuery, SortKey, StoredRecord,
};
use agentcafe_domain::tasks::Task;
use proptest::prelude::*;
use uuid::Uuid;

use crate::commands::{command_that_reads, done, reply, submit_batch};
use crate::records::{numbers, put, task};
use crate::test_store::TestStore;

const NAMES: [&str; 6] = ["Kai", "kai", "Zoë", "a:b", "a", "日本"];

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&NAMES)
}

fn random_task() -> impl Strategy<Value = Task> {
    (0..30_u128, name(), prop::option::of(name()), -3..4_i64)
        .prop_map(|(number, room, assignee, at)| task(number, room, assignee, at))
}

/// A column, and a value that it can have.
fn column() -> impl Strategy<Value = (&'static str, Cell)> {
    prop_oneof![
        name().prop_map(|name| ("room_id", name.into())),
        prop::option::of(name()).prop_map(|name| ("assignee_actor_id", name.into())),
        (-3..4_i64).prop_map(|at| ("updated_at", at.into())),
        (0..30_u128).prop_map(|number| ("task_id", Uuid::from_u128(number).to_string().as_str().into())),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    use Comparison::{Above, AtMost, Below, Is, IsNot};
    let comparison = prop::sample::select(vec![Is, IsNot, AtMost, Above, Below]);
    (column(), comparison).prop_map(|((column, value), comparison)| Condition { column, comparison, value })
}

/// A query that sorts by a column without nulls.
fn list() -> impl Strategy<Value = RecordQuery> {
    let conditions = prop::collection::vec(condition(), 0..3);
    let order = prop::sample::select(vec!["updated_at", "room_id", "task_id"]);
    (conditions, order, any::<bool>(), prop::option::of(random_task()), 0..12_usize).prop_map(
        |(conditions, order_by, descending, behind, limit)| {
            let find = RecordQuery { conditions, descending, ..RecordQuery::all::<Task>(order_by, limit) };
            let after: Option<SortKey> = behind.map(|task| find.position(&StoredRecord::of(&task)));
            find.behind(after)
        },
    )
}

/// The records that a query selects from the model.
fn expected(stored: &BTreeMap<u128, Task>, find: &RecordQuery) -> Vec<u128> {
    let mut found: Vec<StoredRecord> =
        stored.values().map(StoredRecord::of).filter(|record| find.matches(record)).collect();
    found.sort_by(|left, right| find.compare(left, right));
    found.truncate(find.limit);
    found.iter().map(|record| record.read::<Task>().unwrap().task_id.as_u128()).collect()
}

async fn check(before: Vec<Task>, within: Vec<Task>, deleted: Vec<u128>, lists: Vec<RecordQuery>) {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let mut model: BTreeMap<u128, Task> = BTreeMap::new();
    model.extend(before.iter().map(|task| (task.task_id.as_u128(), task.clone())));
    put(&opened.store, before).await;
    model.extend(within.iter().map(|task| (task.task_id.as_u128(), task.clone())));
    deleted.iter().for_each(|number| drop(model.remove(number)));
    let writes = command_that_reads([], move |ctx| {
        within.iter().for_each(|task| ctx.put(task));
        for number in &deleted {
            ctx.delete::<Task>(vec![Uuid::from_u128(*number).to_string().as_str().into()]);
        }
        reply(&())
    });
    // Without a limit in the commit batch: another test is about that.
    let wide = |find: &RecordQuery| RecordQuery { limit: 1_000, ..find.clone() };
    let looks = lists.iter().map(|find| {
        let find = wide(find);
        command_that_reads([Query::Many(find.clone())], move |ctx| {
            let found: Vec<Task> = ctx.find(find.clone())?;
            reply(&found.iter().map(|task| task.task_id.to_string()).collect::<Vec<_>>())
        })
    });
    let answers =
        submit_batch(&test_store, &opened.store, std::iter::once(writes).chain(looks).collect()).await;
    for (find, answer) in lists.iter().zip(&answers[1..]) {
        let seen: Vec<Uuid> = done(answer);
        let seen: Vec<u128> = seen.iter().map(Uuid::as_u128).collect();
        assert_eq!(seen, expected(&model, &wide(find)), "in the commit batch: {find:?}");
        assert_eq!(
            numbers(&opened.store, find.clone()).await,
            expected(&model, find),
            "in the store: {find:?}"
        );
    }
    for (number, task) in &model {
        assert_eq!(opened.store.get::<Task>(task.key()).await.unwrap().as_ref(), Some(task), "{number}");
    }
    opened.close();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// A query selects the same records in a database and among the writes of a commit batch.
    #[test]
    fn record_query_agrees_with_the_model(
        before in prop::collection::vec(random_task(), 0..40),
        within in prop::collection::vec(random_task(), 0..10),
        deleted in prop::collection::vec(0..30_u128, 0..5),
        lists in prop::collection::vec(list(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(before, within, deleted, lists));
    }
}
