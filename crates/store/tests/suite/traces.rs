//! Traces: stored with the request, and found by its correlation id.

use std::sync::Arc;

use agentcafe_domain::kernel::{
    ActorInRoom, Code, CorrelationId, DomainError, MAX_STEPS, Owner, Status, Step, StepCode, TenantId, Trace,
};
use agentcafe_store::{Envelope, Store, TraceNote};
use serde_json::json;

use crate::commands::{actor, append_texts, command, with_request};
use crate::test_store::{BEGIN, TestStore};

fn id(text: &str) -> CorrelationId {
    CorrelationId::parse(text).unwrap()
}

fn nova() -> ActorInRoom {
    actor("main", "Nova")
}

fn say(key: &str, text: &str, correlation_id: &str) -> Envelope {
    with_request(append_texts(&nova(), &[text]), &nova(), key, text, correlation_id)
}

async fn trace(store: &Store, correlation_id: &str) -> Trace {
    store.trace(id(correlation_id), None, None).await.unwrap().unwrap()
}

fn codes(trace: &Trace) -> Vec<StepCode> {
    trace.steps.iter().map(|step| step.code).collect()
}

/// Accepted, replayed, conflicting and refused requests each leave their steps, oldest first.
#[tokio::test]
async fn trace_has_the_steps_of_every_outcome() {
    use StepCode::{
        EventAppendOk, Forbidden, IdempotencyConflict, IdempotencyNew, IdempotencyReplay, RequestReceived,
    };
    let test_store = TestStore::new();
    let opened = test_store.open();
    let store = &opened.store;
    test_store.clock.advance(7);
    store.submit(say("k", "hi", "c-done")).await.unwrap();
    store.submit(say("k", "hi", "c-replay")).await.unwrap();
    store.submit(say("k", "ho", "c-conflict")).await.unwrap_err();
    let refuses = command(|_| Err(DomainError::new(Code::Forbidden).with("missing", "canSpeak").into()));
    store.submit(with_request(refuses, &nova(), "k2", "hi", "c-refused")).await.unwrap_err();

    let done = trace(store, "c-done").await;
    assert_eq!(codes(&done), [RequestReceived, IdempotencyNew]);
    assert_eq!(
        (done.status, done.started_at, done.ended_at),
        (Status::Success, BEGIN, Some(BEGIN.plus_ms(7)))
    );
    assert_eq!(
        (done.route.as_str(), done.method.as_str(), done.request_id.as_str()),
        ("/v1/test", "POST", "x-k")
    );
    assert_eq!(
        (done.tenant_id, done.room_id, done.actor_id),
        (Some(nova().tenant_id), Some(nova().room_id), Some(nova().actor_id))
    );
    assert_eq!(done.steps[1].details, json!({ "scope": "main:Nova:/v1/test" }));
    let replay = trace(store, "c-replay").await;
    assert_eq!(
        (codes(&replay), replay.status),
        (vec![RequestReceived, IdempotencyReplay, EventAppendOk], Status::Success)
    );
    assert_eq!(replay.steps[2].details, json!({ "replay": true }));
    let conflict = trace(store, "c-conflict").await;
    assert_eq!(
        (codes(&conflict), conflict.status),
        (vec![RequestReceived, IdempotencyConflict], Status::Error)
    );
    let refused = trace(store, "c-refused").await;
    assert_eq!(
        (codes(&refused), refused.status),
        (vec![RequestReceived, IdempotencyNew, Forbidden], Status::Error)
    );
    assert_eq!(refused.steps[2].details["missing"], "canSpeak");
    assert_eq!(store.trace(id("c-unknown"), None, None).await.unwrap(), None);
    opened.close();
}

/// Attempts with the same correlation id are added up, not overwritten; a tenant sees its own.
#[tokio::test]
async fn trace_adds_up_attempts_within_their_tenant() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let elsewhere = ActorInRoom { tenant_id: TenantId::parse("other").unwrap(), ..nova() };
    opened.store.submit(say("k", "hi", "shared")).await.unwrap();
    opened.store.submit(say("k", "hi", "shared")).await.unwrap();
    opened
        .store
        .submit(with_request(append_texts(&elsewhere, &["ho"]), &elsewhere, "k", "ho", "shared"))
        .await
        .unwrap();
    let of = |tenant: Option<&ActorInRoom>| {
        opened.store.trace(id("shared"), tenant.map(|who| who.tenant_id.clone()), None)
    };
    let (ours, theirs, all) = (of(Some(&nova())).await, of(Some(&elsewhere)).await, of(None).await);
    assert_eq!(ours.unwrap().unwrap().steps.len(), 5);
    assert_eq!(theirs.unwrap().unwrap().steps.len(), 2);
    assert_eq!(all.unwrap().unwrap().steps.len(), 7);
    let nobody = opened.store.trace(id("shared"), TenantId::parse("nobody").ok(), None).await.unwrap();
    assert_eq!(nobody, None);
    opened.close();
}

/// An owner sees its own attempts, whoever shares the correlation id.
#[tokio::test]
async fn trace_of_an_owner_has_its_own_attempts() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let owner = |name: &str| serde_json::from_value::<Owner>(json!(format!("actor:{name}"))).unwrap();
    let of = |name: Option<&str>| {
        let mut note = note("shared", 1);
        Arc::make_mut(&mut note.origin).owner = name.map(owner);
        opened.store.note(note);
    };
    [Some("Nova"), Some("Kai"), Some("Nova"), None].into_iter().for_each(of);
    assert!(opened.store.probe().await, "the probe is queued behind the notes");
    let found = async |tenant: &str, name: &str| {
        let tenant = TenantId::parse(tenant).unwrap();
        let trace = opened.store.trace(id("shared"), Some(tenant), Some(owner(name))).await.unwrap();
        trace.map_or(0, |trace| trace.steps.len())
    };
    assert_eq!(found("default", "Nova").await, 4);
    assert_eq!(found("default", "Kai").await, 2);
    assert_eq!(found("default", "Mira").await, 0);
    assert_eq!(found("other", "Nova").await, 0);
    assert_eq!(trace(&opened.store, "shared").await.steps.len(), 8, "without an owner: all of them");
    opened.close();
}

/// A request that ended before its commit batch, with that many steps.
pub(crate) fn note(correlation_id: &str, steps: usize) -> TraceNote {
    let request = say("k", "hi", correlation_id).request.unwrap();
    let step = |number: usize| Step {
        ts: BEGIN,
        code: StepCode::ValidationError,
        details: json!({ "number": number }),
    };
    TraceNote {
        origin: request.origin,
        correlation_id: id(correlation_id),
        ended_at: BEGIN,
        succeeded: false,
        steps: (0..steps).map(step).collect(),
    }
}

/// A request that ended before its commit batch leaves a trace, too; of many steps the newest are shown.
#[tokio::test]
async fn trace_of_a_note_is_stored_and_bounded() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    opened.store.note(note("early", 1));
    opened.store.note(note("long", MAX_STEPS + 40));
    assert!(opened.store.probe().await, "the probe is queued behind the notes");
    assert_eq!(
        codes(&trace(&opened.store, "early").await),
        [StepCode::RequestReceived, StepCode::ValidationError]
    );
    opened.close();
    let opened = test_store.open();
    let long = trace(&opened.store, "long").await;
    assert_eq!(long.steps.len(), MAX_STEPS);
    assert_eq!(long.steps[MAX_STEPS - 1].details["number"], MAX_STEPS + 39);
    opened.close();
}

/// However many requests of a tenant leave traces, those of another stay, and the number of all is bounded.
#[tokio::test]
async fn traces_of_a_tenant_outlast_the_requests_of_another() {
    let test_store = TestStore::new();
    let mut opened = test_store.open();
    let quiet = TenantId::parse("quiet").unwrap();
    for number in 0..30 {
        let mut note = note(&format!("quiet-{number}"), 1);
        Arc::make_mut(&mut note.origin).tenant_id = quiet.clone();
        opened.store.note(note);
    }
    for number in 0..45_000 {
        opened.store.note(note(&format!("busy-{number}"), 1));
        // The queue is bounded, and traces are dropped when it is full.
        if number % 1_000 == 0 {
            assert!(opened.store.probe().await);
        }
        if number % 20_000 == 0 {
            while opened.store.purge().await {}
            opened.close();
            opened = test_store.open();
        }
    }
    assert!(opened.store.probe().await);
    while opened.store.purge().await {}
    for number in 0..30 {
        trace(&opened.store, &format!("quiet-{number}")).await;
    }
    for number in (41_000..45_000).step_by(499) {
        trace(&opened.store, &format!("busy-{number}")).await;
    }
    let oldest = opened.store.trace(id("busy-0"), None, None).await.unwrap();
    assert_eq!(oldest, None, "the oldest trace of the other tenant is still there");
    opened.close();
}
