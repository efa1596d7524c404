//! Commands made of closures, notes as events, and a way to put many commands into one commit batch.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;

use agentcafe_domain::kernel::{
    ActorId, ActorInRoom, Command, CommandContext, CommandError, CorrelationId, EmittedEvent, EventType,
    IdempotencyKey, Payload, Query, Reply, RoomId, Sequence, Success, TenantId,
};
use agentcafe_store::{Answer, Envelope, Failure, Origin, Request, Store};
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::json;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::test_store::{BEGIN, TestStore};

/// What a submitted command comes back with.
pub(crate) type Decided = Result<Answer, Failure>;

/// A command that is decided by a closure.
struct ClosureCommand<F> {
    reads: Vec<Query>,
    decide: F,
}

impl<F> Command for ClosureCommand<F>
where
    F: Fn(&mut CommandContext<'_>) -> Result<Reply, CommandError> + Send + Sync,
{
    fn reads(&self) -> Vec<Query> {
        self.reads.clone()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        (self.decide)(ctx)
    }
}

/// A command in an envelope, without a request.
pub(crate) fn envelope(command: impl Command + 'static) -> Envelope {
    let correlation_id = CorrelationId::parse("background").unwrap();
    Envelope { command: Arc::new(command), correlation_id, request: None, outcome: None }
}

/// A command that is decided by a closure, without a request. It loads what it reads in later read stages.
pub(crate) fn command<F>(decide: F) -> Envelope
where
    F: Fn(&mut CommandContext<'_>) -> Result<Reply, CommandError> + Send + Sync + 'static,
{
    command_that_reads([], decide)
}

/// As [`command`], but loads this in the first read stage.
pub(crate) fn command_that_reads<F>(reads: impl Into<Vec<Query>>, decide: F) -> Envelope
where
    F: Fn(&mut CommandContext<'_>) -> Result<Reply, CommandError> + Send + Sync + 'static,
{
    envelope(ClosureCommand { reads: reads.into(), decide })
}

/// The reply of a closure.
pub(crate) fn reply(data: &impl Serialize) -> Result<Reply, CommandError> {
    Ok(Reply::new(Success::Ok, data))
}

/// The data of a command that took effect now.
pub(crate) fn done<T: serde::de::DeserializeOwned>(decided: &Decided) -> T {
    match decided {
        Ok(Answer::Done(reply)) => serde_json::from_slice(&reply.data).unwrap(),
        other => panic!("not done: {other:?}"),
    }
}

/// An actor of the default tenant.
pub(crate) fn actor(room: &str, name: &str) -> ActorInRoom {
    let (room_id, actor_id) = (RoomId::parse(room).unwrap(), ActorId::parse(name).unwrap());
    ActorInRoom { tenant_id: TenantId::default(), room_id, actor_id }
}

/// An event with a text, of the type with this index.
#[derive(Serialize)]
struct Note<'n, const TYPE: usize> {
    text: &'n str,
    #[serde(skip)]
    mentioned: Option<ActorId>,
}

impl<const TYPE: usize> Payload for Note<'_, TYPE> {
    const TYPE: EventType = EventType::ALL[TYPE];

    fn mentioned(&self) -> Option<&ActorId> {
        self.mentioned.as_ref()
    }
}

/// The types that notes can have.
pub(crate) const NOTE_TYPES: [EventType; 4] =
    [EventType::ALL[0], EventType::ALL[1], EventType::ALL[5], EventType::ALL[26]];

/// Appends a note of one of the [`NOTE_TYPES`].
pub(crate) fn append_note(
    ctx: &mut CommandContext<'_>,
    actor: &ActorInRoom,
    kind: EventType,
    text: &str,
    mentioned: Option<ActorId>,
) -> Result<EmittedEvent, CommandError> {
    match NOTE_TYPES.iter().position(|known| *known == kind) {
        Some(0) => ctx.append(actor, &Note::<0> { text, mentioned }, None),
        Some(1) => ctx.append(actor, &Note::<1> { text, mentioned }, None),
        Some(2) => ctx.append(actor, &Note::<5> { text, mentioned }, None),
        Some(3) => ctx.append(actor, &Note::<26> { text, mentioned }, None),
        _ => panic!("{kind:?} is none of the note types"),
    }
}

/// Appends a note for each text, and replies with their sequences.
pub(crate) fn append_texts(actor: &ActorInRoom, texts: &[&str]) -> Envelope {
    let (actor, texts) = (actor.clone(), texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    command(move |ctx| {
        let note =
            |text: &String| append_note(ctx, &actor, NOTE_TYPES[0], text, None).map(|event| event.sequence);
        let sequences: Vec<Sequence> = texts.iter().map(note).collect::<Result<_, _>>()?;
        reply(&sequences)
    })
}

/// The same envelope, as a request of `actor` with an idempotency key and a body.
pub(crate) fn with_key(envelope: Envelope, actor: &ActorInRoom, key: &str, body: &str) -> Envelope {
    with_request(envelope, actor, key, body, &format!("request-{key}-{body}"))
}

/// As [`with_key`], with a correlation id of its own.
pub(crate) fn with_request(
    envelope: Envelope,
    actor: &ActorInRoom,
    key: &str,
    body: &str,
    correlation_id: &str,
) -> Envelope {
    let origin = Origin {
        trace_id: Uuid::from_u128(u128::from(key.len() as u64) + 1),
        request_id: format!("x-{key}"),
        route: "/v1/test".to_owned(),
        method: "POST",
        tenant_id: actor.tenant_id.clone(),
        room_id: Some(actor.room_id.clone()),
        actor_id: Some(actor.actor_id.clone()),
        by: None,
        owner: None,
        started_at: BEGIN,
    };
    let body = json!({ "body": body }).as_object().cloned().unwrap();
    let scope = [actor.room_id.as_str(), actor.actor_id.as_str(), "/v1/test"];
    let key = IdempotencyKey::new(Some(key), &actor.tenant_id, &scope, "POST", &body).unwrap();
    let correlation_id = CorrelationId::parse(correlation_id).unwrap();
    Envelope { correlation_id, request: Some(Request { origin: Arc::new(origin), key }), ..envelope }
}

/// Pauses the writer within a commit batch, so that commands submitted meanwhile wait for the next one.
pub(crate) struct PausedWriter {
    open: mpsc::Sender<()>,
    batch: tokio::task::JoinHandle<Decided>,
}

impl PausedWriter {
    /// Returns once the writer is paused.
    pub(crate) async fn pause(store: &Arc<Store>) -> Self {
        let (entered, inside) = oneshot::channel();
        let (open, opened) = mpsc::channel::<()>();
        let held = Mutex::new((Some(entered), opened));
        let gate = command(move |_| {
            let mut held = held.lock().unwrap();
            let _ = held.0.take().map(|entered| entered.send(()));
            // The sender is dropped if the test has failed: then there is nothing to wait for.
            let _ = held.1.recv();
            reply(&())
        });
        let store = Arc::clone(store);
        let batch = tokio::spawn(async move { store.submit(gate).await });
        inside.await.unwrap();
        Self { open, batch }
    }

    /// Resumes the writer.
    pub(crate) async fn resume(self) {
        drop(self.open);
        self.batch.await.unwrap().unwrap();
    }
}

/// Puts the envelopes into one commit batch, in this order, and returns their answers.
pub(crate) async fn submit_batch(
    test_store: &TestStore,
    store: &Arc<Store>,
    envelopes: Vec<Envelope>,
) -> Vec<Decided> {
    let (count, paused) = (envelopes.len(), PausedWriter::pause(store).await);
    let mut answers = pin!(join_all(envelopes.into_iter().map(|envelope| store.submit(envelope))));
    // The first poll puts them into the queue.
    let early = poll_fn(|context| Poll::Ready(answers.as_mut().poll(context).is_ready())).await;
    assert!(!early, "answered while the writer was paused");
    paused.resume().await;
    let answers = answers.await;
    // The answer of the next batch is sent after the report of this one.
    assert!(store.probe().await);
    assert!(
        test_store.batches().iter().any(|batch| batch.commands == count),
        "they were not in one commit batch"
    );
    answers
}
