//! Retention of webhook deliveries and dead letters: the newest are kept, and the open ones are counted.

use agentcafe_domain::kernel::{ActorInRoom, Event, Record, RecordQuery, Reply, Sequence, Success, TenantId};
use agentcafe_domain::webhooks::counter::{CounterKind, WebhookCounter};
use agentcafe_domain::webhooks::delivery::{Delivery, DlqEntry, DlqStatus, EventRef, SendResult};
use agentcafe_domain::webhooks::record::{
    DeliveryAttempt, DeliveryOutcome, DeliveryReport, RecordDeliveries,
};
use agentcafe_domain::webhooks::retention::MAX_KEPT;
use agentcafe_domain::webhooks::{DeliveryProgress, Subscription};
use agentcafe_store::{EventFilter, EventQuery, Store};
use uuid::Uuid;

use crate::commands::{actor, append_texts, command, envelope};
use crate::test_store::TestStore;

/// The report of a delivery that failed for good, with this number as the id of its attempt.
fn given_up(event: &Event, id: usize) -> DeliveryReport {
    let attempted = SendResult { status_code: Some(500), error: Some("HTTP 500".to_owned()), duration_ms: 1 };
    let outcome = DeliveryOutcome::GivenUp { event: Box::new(event.clone()), is_gone: false };
    let (id, sent) = (Uuid::from_u128(id as u128), EventRef::from(event));
    let attempt = DeliveryAttempt { id, owner: None, sent, number: 4, attempted, outcome };
    DeliveryReport { subscription_id: Uuid::nil(), cursor: event.sequence, attempt: Some(attempt) }
}

/// An event, and the progress of the subscription that it is delivered for.
async fn subscribed_event(store: &Store) -> Event {
    let begun = command(|ctx| {
        ctx.put(&DeliveryProgress::at(Uuid::nil(), Sequence(0), true));
        Ok(Reply::new(Success::Ok, &()))
    });
    store.submit(begun).await.unwrap();
    store.submit(append_texts(&actor("main", "Nova"), &["hi"])).await.unwrap();
    let page = store.events(EventQuery::after(EventFilter::default(), Sequence::START, 1)).await.unwrap();
    serde_json::from_slice(&page.events[0].json).unwrap()
}

async fn open_entries(store: &Store) -> u64 {
    let counter: Option<WebhookCounter> =
        store.get(WebhookCounter::key_of(CounterKind::DeadLetters)).await.unwrap();
    counter.unwrap().open
}

async fn kept<R: Record>(store: &Store, order_by: &'static str) -> Vec<R> {
    store.find(RecordQuery::all::<R>(order_by, MAX_KEPT as usize + 1)).await.unwrap()
}

/// 10,000 deliveries and dead letters are kept. The number of open entries is right, also when resolved
/// ones are deleted.
#[tokio::test]
async fn webhook_retention_keeps_the_newest_deliveries() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let store = &opened.store;
    let event = subscribed_event(store).await;
    let mut left = MAX_KEPT as usize - 1;
    while left > 0 {
        let batch = left.min(RecordDeliveries::BATCH);
        store
            .submit(envelope(RecordDeliveries::new(None, vec![given_up(&event, left); batch])))
            .await
            .unwrap();
        left -= batch;
    }
    assert_eq!(open_entries(store).await, MAX_KEPT - 1);
    let mut oldest: DlqEntry = store.get(DlqEntry::key_of(Sequence(2))).await.unwrap().unwrap();
    oldest.status = DlqStatus::Resolved;
    let resolve = command(move |ctx| {
        ctx.put(&oldest);
        Ok(Reply::new(Success::Ok, &()))
    });
    store.submit(resolve).await.unwrap();
    // Of five new ones the first fills the last free place; four replace three open ones and a resolved one.
    store.submit(envelope(RecordDeliveries::new(None, vec![given_up(&event, 0); 5]))).await.unwrap();
    assert_eq!(open_entries(store).await, MAX_KEPT - 1 + 5 - 3);
    let (entries, deliveries) =
        (kept::<DlqEntry>(store, "dlq_seq").await, kept::<Delivery>(store, "delivery_seq").await);
    assert_eq!((entries.len() as u64, deliveries.len() as u64), (MAX_KEPT, MAX_KEPT));
    assert_eq!((entries[0].dlq_seq, deliveries[0].delivery_seq), (Sequence(5), Sequence(5)));
    let progress: DeliveryProgress = store.get(Subscription::key_of(Uuid::nil())).await.unwrap().unwrap();
    assert_eq!((progress.cursor, progress.last_error.as_deref()), (event.sequence, Some("HTTP 500")));
    opened.close();
}

/// The failures of one tenant, however many, leave the deliveries and dead letters of another where they are.
#[tokio::test]
async fn webhook_retention_of_a_tenant_outlasts_the_failures_of_another() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let store = &opened.store;
    let tenant = TenantId::parse("other").unwrap();
    let other = ActorInRoom { tenant_id: tenant.clone(), ..actor("main", "Nova") };
    store.submit(append_texts(&other, &["hi"])).await.unwrap();
    store.submit(append_texts(&actor("main", "Nova"), &["hi"])).await.unwrap();
    let page = store.events(EventQuery::after(EventFilter::default(), Sequence::START, 2)).await.unwrap();
    let [quiet, failing] = [0, 1].map(|at| serde_json::from_slice::<Event>(&page.events[at].json).unwrap());
    let report = async |event: &Event, count: usize| {
        store.submit(envelope(RecordDeliveries::new(None, vec![given_up(event, 0); count]))).await.unwrap();
    };
    report(&quiet, 30).await;
    for _ in 0..60 {
        report(&failing, 200).await;
    }
    assert_eq!(kept::<DlqEntry>(store, "dlq_seq").await.len() as u64, MAX_KEPT);
    assert_eq!(kept::<Delivery>(store, "delivery_seq").await.len() as u64, MAX_KEPT);
    assert_eq!(open_entries(store).await, MAX_KEPT);
    let of_quiet = RecordQuery::all::<DlqEntry>("dlq_seq", 100).is("tenant_id", &tenant);
    assert_eq!(store.find::<DlqEntry>(of_quiet).await.unwrap().len(), 30);
    let of_quiet = RecordQuery::all::<Delivery>("delivery_seq", 100).is("tenant_id", &tenant);
    assert_eq!(store.find::<Delivery>(of_quiet).await.unwrap().len(), 30);
    opened.close();
}

/// A commit whose answer was lost is repeated: what it recorded is not recorded again, and what comes with it later is.
#[tokio::test]
async fn webhook_deliveries_that_are_recorded_again_are_kept_once() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let store = &opened.store;
    let event = subscribed_event(store).await;
    let record = async |ids: std::ops::Range<usize>| {
        let reports = ids.map(|id| given_up(&event, id)).collect();
        store.submit(envelope(RecordDeliveries::new(None, reports))).await.unwrap();
        (kept::<Delivery>(store, "delivery_seq").await.len(), open_entries(store).await)
    };
    assert_eq!(record(1..4).await, (3, 3));
    assert_eq!(record(1..4).await, (3, 3));
    assert_eq!(record(4..5).await, (4, 4));
    assert_eq!(record(4..5).await, (4, 4));
    opened.close();
}
