//! A commit batch (group commit): many commands, decided one after the other in memory, written in one transaction.
//!
//! It does not depend on a database: `writer.rs` loads what a batch needs, and stores what it made.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use agentcafe_domain::inbox::{self, InboxItem, UnreadCount};
use agentcafe_domain::kernel::{
    ActorInRoom, CommandContext, CommandError, DomainError, Effects, Hash, Heads, IdSource, IdempotencyRules,
    LoadedRecords, Query, Reply, Rules, Step, StepCode, StoredEvent, Timestamp, WriteSet,
};
use agentcafe_domain::moderation::{
    AllowedAction, ModerationRules, RateGuard, RateWindows, RecentActivity, Recorded,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::envelope::{Answer, Envelope, Failure, Request, TraceNote};
use crate::shared_rate_windows::SharedRateWindows;
use crate::storage::{LoadedBatch, StoredKey};

/// How often a command may be decided before it fails because it still needs more.
const MAX_READ_STAGES: usize = 4;

/// What a command was decided to be.
type Decided = Result<Answer, Failure>;

/// A command in the queue, and where its answer goes.
pub(crate) struct QueuedCommand {
    pub(crate) envelope: Envelope,
    pub(crate) answer: oneshot::Sender<Decided>,
}

/// What commit batches share: settings, ids, and the recent activity that moderation limits.
pub(crate) struct CommitContext {
    pub(crate) rules: Rules,
    pub(crate) ids: Box<dyn IdSource>,
    pub(crate) windows: RateWindows,
    /// Where that activity is shared with other nodes, if there are any.
    pub(crate) shared: Option<Arc<dyn SharedRateWindows>>,
}

/// What a batch must still read from its database.
#[derive(Default)]
pub(crate) struct MissingReads {
    pub(crate) queries: HashSet<Query>,
    pub(crate) keys: Vec<Hash>,
}

impl MissingReads {
    pub(crate) fn is_empty(&self) -> bool {
        self.queries.is_empty() && self.keys.is_empty()
    }
}

/// Everything that a batch writes, in one transaction.
#[derive(Default)]
pub(crate) struct Writes {
    pub(crate) events: Vec<StoredEvent>,
    pub(crate) records: WriteSet,
    pub(crate) keys: Vec<StoredKey>,
    pub(crate) traces: Vec<TraceNote>,
}

/// A batch that is being decided.
pub(crate) struct CommitBatch<'c> {
    context: &'c mut CommitContext,
    now: Timestamp,
    heads: Heads,
    commands: Vec<QueuedCommand>,
    decided: Vec<Option<Decided>>,
    loaded: LoadedRecords,
    known_keys: HashMap<Hash, StoredKey>,
    writes: Writes,
    inbox: InboxTimes,
    recorded: Vec<Recorded>,
    stage: usize,
}

/// When the inbox items of a batch were added and acknowledged.
#[derive(Default)]
pub(crate) struct InboxTimes {
    /// When the requests arrived whose commands added inbox items.
    pub(crate) enqueued_by: Vec<Timestamp>,
    /// How long each acknowledged item had waited, in milliseconds.
    pub(crate) acked_after_ms: Vec<i64>,
    /// The unread counts that changed, as they are now.
    pub(crate) unread: Vec<UnreadCount>,
}

impl<'c> CommitBatch<'c> {
    /// A new batch, and what it needs first.
    pub(crate) fn new(context: &'c mut CommitContext, commands: Vec<QueuedCommand>) -> (Self, MissingReads) {
        let mut needs = MissingReads::default();
        for QueuedCommand { envelope, .. } in &commands {
            needs.queries.extend(envelope.command.reads());
            needs.keys.extend(envelope.request.as_ref().map(|request| request.key.identity));
        }
        let decided = commands.iter().map(|_| None).collect();
        let batch = Self {
            context,
            now: Timestamp::default(),
            heads: Heads::default(),
            commands,
            decided,
            loaded: LoadedRecords::new(),
            known_keys: HashMap::new(),
            writes: Writes::default(),
            inbox: InboxTimes::default(),
            recorded: Vec::new(),
            stage: 0,
        };
        (batch, needs)
    }

    /// Sets the batch's time, and the numbers that it continues.
    pub(crate) fn start(&mut self, now: Timestamp, heads: Heads) {
        (self.now, self.heads) = (now, heads);
    }

    /// Adds what the database found.
    pub(crate) fn add_found(&mut self, found: LoadedBatch) {
        self.loaded.extend(found.records);
        self.known_keys.extend(found.keys.into_iter().map(|key| (key.identity, key)));
    }

    /// Decides every command that can be decided, and returns what the others need.
    pub(crate) fn decide(&mut self) -> MissingReads {
        self.stage += 1;
        let mut needs = MissingReads::default();
        for at in 0..self.commands.len() {
            if self.decided[at].is_some() {
                continue;
            }
            match self.decide_one(at) {
                Ok(decided) => self.decided[at] = Some(decided),
                Err(_) if self.stage >= MAX_READ_STAGES => {
                    tracing::error!("a command needed more than {MAX_READ_STAGES} read stages");
                    self.decided[at] =
                        Some(Err(self.fail_internally(at, "the command needed too many reads")));
                }
                Err(queries) => needs.queries.extend(queries),
            }
        }
        needs
    }

    fn decide_one(&mut self, at: usize) -> Result<Decided, Vec<Query>> {
        let envelope = &self.commands[at].envelope;
        if let Some(request) = &envelope.request
            && let Some(known) = self.known_keys.get(&request.key.identity)
            && known.expires_at > self.now
        {
            let (decided, steps) = replay(known, request, self.now);
            self.trace(at, decided.is_ok(), |_, _| steps);
            return Ok(decided);
        }
        let rules = &self.context.rules;
        let mut guard = RateGuard::new(&mut self.context.windows, rules.get(), self.now);
        let mut ctx = CommandContext {
            now: self.now,
            rules,
            correlation_id: envelope.correlation_id.clone(),
            request: envelope.request.as_ref().map(Request::seen),
            outcome: envelope.outcome.as_ref(),
            loaded: &self.loaded,
            written: &self.writes.records,
            ids: self.context.ids.as_mut(),
            guard: &mut guard,
            notify: inbox::deliver,
            effects: Effects::none(self.heads),
        };
        // A panic in a rule fails its own command, not the writer and the other commands of the batch.
        let decided = catch_unwind(AssertUnwindSafe(|| envelope.command.decide(&mut ctx)));
        let (effects, allowed) = (ctx.effects, guard.into_allowed());
        let Ok(decided) = decided else {
            return Ok(Err(self.fail_internally(at, "deciding the command failed")));
        };
        match decided {
            Ok(reply) => Ok(Ok(self.accept(at, effects, allowed, reply))),
            Err(CommandError::Load(queries)) => Err(queries),
            Err(CommandError::Refused(error)) => Ok(Err(self.refuse(at, *error))),
            Err(CommandError::DeniedAudited(error)) => {
                self.add_effects(effects, allowed);
                Ok(Err(self.refuse(at, *error)))
            }
            // It is submitted again: no trace yet.
            Err(CommandError::External(external_call)) => Ok(Err(Failure::External(external_call))),
            Err(CommandError::Corrupt(corrupt)) => {
                tracing::error!(%corrupt, "the store holds something that cannot be read");
                Ok(Err(self.fail_internally(at, "a stored record cannot be read")))
            }
        }
    }

    fn accept(
        &mut self,
        at: usize,
        effects: Effects,
        allowed: Option<AllowedAction>,
        reply: Reply,
    ) -> Answer {
        let enqueued = effects.heads.inbox > self.heads.inbox;
        let own_steps = self.add_effects(effects, allowed);
        let envelope = &self.commands[at].envelope;
        if let Some(request) = &envelope.request {
            self.inbox.enqueued_by.extend(enqueued.then_some(request.origin.started_at));
            let key = StoredKey {
                identity: request.key.identity,
                request: request.key.request,
                expires_at: self.now.plus_ms(self.context.rules.get::<IdempotencyRules>().ttl_ms),
                correlation_id: envelope.correlation_id.clone(),
                reply: reply.to_store(),
            };
            self.known_keys.insert(key.identity, key.clone());
            self.writes.keys.push(key);
        }
        self.trace(at, true, |request, now| {
            let new = idempotency_step(request, now, StepCode::IdempotencyNew);
            std::iter::once(new).chain(own_steps).collect()
        });
        Answer::Done(reply)
    }

    /// Adds a command's effects to the batch, and returns the steps of its trace.
    fn add_effects(&mut self, effects: Effects, allowed: Option<AllowedAction>) -> Vec<Step> {
        self.heads = effects.heads;
        self.writes.events.extend(effects.events);
        self.writes.records.absorb(effects.written);
        if let Some(allowed) = allowed {
            let rules = self.context.rules.get();
            self.recorded.extend(self.context.windows.record(allowed, self.now, rules));
        }
        effects.steps
    }

    fn refuse(&mut self, at: usize, error: DomainError) -> Failure {
        self.trace(at, false, |request, now| {
            vec![idempotency_step(request, now, StepCode::IdempotencyNew), error_step(&error, now)]
        });
        Failure::Refused(error)
    }

    /// Fails a command because of an internal error.
    fn fail_internally(&mut self, at: usize, what: &'static str) -> Failure {
        self.trace(at, false, |_, ts| {
            vec![Step { ts, code: StepCode::InternalError, details: json!({ "message": what }) }]
        });
        Failure::Internal(what)
    }

    /// Adds the trace of a command that came with a request.
    fn trace(&mut self, at: usize, succeeded: bool, steps: impl FnOnce(&Request, Timestamp) -> Vec<Step>) {
        let Envelope { request: Some(request), correlation_id, .. } = &self.commands[at].envelope else {
            return;
        };
        self.writes.traces.push(TraceNote {
            origin: Arc::clone(&request.origin),
            correlation_id: correlation_id.clone(),
            ended_at: self.now,
            succeeded,
            steps: steps(request, self.now),
        });
    }

    /// What the database has to write.
    pub(crate) fn writes(&self) -> &Writes {
        &self.writes
    }

    /// The last numbers assigned once this batch is committed.
    pub(crate) fn heads(&self) -> Heads {
        self.heads
    }

    /// The activity to share with other nodes once this batch is committed.
    pub(crate) fn take_shared_activity(&mut self) -> Vec<(ActorInRoom, RecentActivity)> {
        if self.context.shared.is_none() || !self.context.rules.get::<ModerationRules>().is_on() {
            return Vec::new();
        }
        let done = self.recorded.iter().map(|recorded| recorded.publication(self.now));
        done.chain(self.context.windows.take_new_cooldowns()).collect()
    }

    /// The committed events, the answers to send once these are published, and the inbox's times.
    pub(crate) fn into_results(
        self,
    ) -> (Vec<StoredEvent>, Vec<(oneshot::Sender<Decided>, Decided)>, InboxTimes) {
        let decided = self
            .decided
            .into_iter()
            .map(|decided| decided.unwrap_or(Err(Failure::Internal("the command was not decided"))));
        let unread = UnreadCount::changed(&self.writes.records);
        let acked_after_ms = InboxItem::acked_after_ms(&self.writes.records);
        let answers = self.commands.into_iter().map(|queued| queued.answer).zip(decided).collect();
        (self.writes.events, answers, InboxTimes { acked_after_ms, unread, ..self.inbox })
    }

    /// Answers all commands of a batch that could not be written.
    pub(crate) fn fail(self, reason: &'static str) {
        // The newest first: each takes back what is on top.
        for done in self.recorded.iter().rev() {
            self.context.windows.undo(done);
        }
        for queued in self.commands {
            let _ = queued.answer.send(Err(Failure::Unavailable(reason)));
        }
    }
}

/// The answer under a known key: the first answer again, or a conflict.
fn replay(known: &StoredKey, request: &Request, now: Timestamp) -> (Decided, Vec<Step>) {
    if known.request != request.key.request {
        let error = request.key.conflict();
        let step = error_step(&error, now);
        return (Err(Failure::Refused(error)), vec![step]);
    }
    let steps = vec![
        idempotency_step(request, now, StepCode::IdempotencyReplay),
        Step { ts: now, code: StepCode::EventAppendOk, details: json!({ "replay": true }) },
    ];
    let answer =
        Answer::Replayed { reply: known.reply.clone(), correlation_id: known.correlation_id.clone() };
    (Ok(answer), steps)
}

fn idempotency_step(request: &Request, ts: Timestamp, code: StepCode) -> Step {
    Step { ts, code, details: json!({ "scope": request.key.scope }) }
}

/// The trace step of an error: its code, message and details.
pub fn error_step(error: &DomainError, ts: Timestamp) -> Step {
    let mut details = error.details.clone();
    details.insert("code".to_owned(), error.code.as_str().into());
    details.insert("message".to_owned(), error.message.clone().into());
    Step { ts, code: StepCode::of_error(error.code), details: Value::Object(details) }
}
