//! A turn (group commit): many commands, decided one after the other in memory, written in one transaction.
//!
//! This is the part that all databases share. A database loads what a turn asks for, writes what it made, commits,
//! and lets it answer.

use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use agentcafe_domain::{
    inbox::{self, InboxItem, UnreadCount},
    kernel::{
        actor::ActorInRoom,
        command::{CommandContext, CommandError, Effects, Heads, IdSource, LoadedRecords, Reply, WriteSet},
        error::DomainError,
        event::StoredEvent,
        idempotency::{Hash, IdempotencyRules},
        ids::CorrelationId,
        record::Query,
        rules::Rules,
        time::Timestamp,
        trace::{Step, StepCode},
    },
    moderation::{AllowedAction, ModerationRules, RateGuard, RateWindows, RecentActivity, Recorded},
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::{
    envelope::{Answer, Envelope, Failure, Request, TraceNote},
    shared_rate_windows::SharedRateWindows,
};

/// How often a command may ask for more before it is given up as faulty.
const MAX_READ_STAGES: usize = 4;

/// A command in a turn, and who waits for its answer.
pub(crate) struct Job {
    pub(crate) envelope: Envelope,
    pub(crate) answer: oneshot::Sender<Result<Answer, Failure>>,
}

/// An idempotency key as stores keep it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredKey {
    pub(crate) identity: Hash,
    pub(crate) request: Hash,
    pub(crate) expires_at: Timestamp,
    pub(crate) correlation_id: CorrelationId,
    pub(crate) reply: Reply,
}

/// What outlives a turn: settings, ids, and the recent past that moderation looks at.
pub(crate) struct Context {
    pub(crate) rules: Rules,
    pub(crate) ids: Box<dyn IdSource>,
    pub(crate) windows: RateWindows,
    /// Where other nodes are told of that past, if there are any.
    pub(crate) shared: Option<Arc<dyn SharedRateWindows>>,
}

/// What a turn asks its database for.
#[derive(Default)]
pub(crate) struct Needs {
    pub(crate) queries: HashSet<Query>,
    pub(crate) keys: Vec<Hash>,
}

impl Needs {
    pub(crate) fn is_empty(&self) -> bool {
        self.queries.is_empty() && self.keys.is_empty()
    }
}

/// All that a turn has made, to be written in one transaction.
#[derive(Default)]
pub(crate) struct Writes {
    pub(crate) events: Vec<StoredEvent>,
    pub(crate) records: WriteSet,
    pub(crate) keys: Vec<StoredKey>,
    pub(crate) traces: Vec<TraceNote>,
}

type Decided = Result<Answer, Failure>;

/// A turn under way.
pub(crate) struct CommitBatch<'c> {
    context: &'c mut Context,
    now: Timestamp,
    heads: Heads,
    jobs: Vec<Job>,
    decided: Vec<Option<Decided>>,
    loaded: LoadedRecords,
    known_keys: HashMap<Hash, StoredKey>,
    writes: Writes,
    inbox: InboxTimes,
    recorded: Vec<Recorded>,
    stage: usize,
}

/// When inbox items came and went in a turn.
#[derive(Default)]
pub(crate) struct InboxTimes {
    /// The arrivals of the requests whose commands put something into an inbox.
    pub(crate) enqueued_by: Vec<Timestamp>,
    /// How long each acknowledged item had waited, in milliseconds.
    pub(crate) acked_after_ms: Vec<i64>,
    /// The unread counts that changed, as they are now.
    pub(crate) unread: Vec<UnreadCount>,
    /// The turn's time.
    pub(crate) at: Timestamp,
}

impl<'c> CommitBatch<'c> {
    /// Begins a turn, and tells what it needs first.
    pub(crate) fn collect(context: &'c mut Context, jobs: Vec<Job>) -> (Self, Needs) {
        let mut needs = Needs::default();
        for job in &jobs {
            needs.queries.extend(job.envelope.command.reads());
            needs.keys.extend(job.envelope.request.as_ref().map(|request| request.key.identity));
        }
        let decided = jobs.iter().map(|_| None).collect();
        let batch = Self {
            context,
            now: Timestamp::default(),
            heads: Heads::default(),
            jobs,
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

    /// Says when it happens, and after which numbers.
    pub(crate) fn start(&mut self, now: Timestamp, heads: Heads) {
        (self.now, self.heads) = (now, heads);
    }

    /// Takes in what the database found.
    pub(crate) fn supply(&mut self, loaded: LoadedRecords, keys: impl IntoIterator<Item = StoredKey>) {
        self.loaded.extend(loaded);
        self.known_keys.extend(keys.into_iter().map(|key| (key.identity, key)));
    }

    /// Decides every command that can be decided, and tells what the others need.
    pub(crate) fn decide(&mut self) -> Needs {
        self.stage += 1;
        let mut needs = Needs::default();
        for at in 0..self.jobs.len() {
            if self.decided[at].is_some() {
                continue;
            }
            match self.decide_one(at) {
                Ok(decided) => self.decided[at] = Some(decided),
                Err(_) if self.stage >= MAX_READ_STAGES => {
                    tracing::error!("a command asked for more than {MAX_READ_STAGES} read stages");
                    self.decided[at] = Some(Err(self.fault(at, "the command asked for too much")));
                }
                Err(query) => {
                    needs.queries.insert(query);
                }
            }
        }
        needs
    }

    fn decide_one(&mut self, at: usize) -> Result<Decided, Query> {
        let envelope = &self.jobs[at].envelope;
        if let Some(request) = &envelope.request
            && let Some(known) = self.known_keys.get(&request.key.identity)
            && known.expires_at > self.now
        {
            let (decided, step) = replay(known, request, self.now);
            let note = note(request, &envelope.correlation_id, self.now, decided.is_ok(), step);
            self.writes.traces.push(note);
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
        // A rule that panics is our fault: it costs its own command, not the writer and everybody's neighbours.
        let decided = catch_unwind(AssertUnwindSafe(|| envelope.command.decide(&mut ctx)));
        let (effects, allowed) = (ctx.effects, guard.into_allowed());
        let Ok(decided) = decided else {
            return Ok(Err(self.fault(at, "deciding the command failed")));
        };
        match decided {
            Ok(reply) => Ok(Ok(self.keep(at, effects, allowed, reply))),
            Err(CommandError::Load(query)) => Err(query),
            Err(CommandError::Refused(error)) => Ok(Err(self.refuse(at, *error))),
            Err(CommandError::DeniedAudited(error)) => {
                self.keep_effects(effects, allowed);
                Ok(Err(self.refuse(at, *error)))
            }
            // It is asked again: no trace yet.
            Err(CommandError::External(external_call)) => Ok(Err(Failure::External(external_call))),
            Err(CommandError::Corrupt(corrupt)) => {
                tracing::error!(%corrupt, "the store holds something that cannot be read");
                Ok(Err(self.fault(at, "a stored record cannot be read")))
            }
        }
    }

    fn keep(&mut self, at: usize, effects: Effects, allowed: Option<AllowedAction>, reply: Reply) -> Answer {
        let enqueued = effects.heads.inbox > self.heads.inbox;
        let own_steps = self.keep_effects(effects, allowed);
        let envelope = &self.jobs[at].envelope;
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
            let mut steps = vec![idempotency_step(request, self.now, StepCode::IdempotencyNew)];
            steps.extend(own_steps);
            let note = note(request, &envelope.correlation_id, self.now, true, steps);
            self.writes.traces.push(note);
        }
        Answer::Done(reply)
    }

    /// Takes what a command has done into the turn, and hands back the steps of its trace.
    fn keep_effects(&mut self, effects: Effects, allowed: Option<AllowedAction>) -> Vec<Step> {
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
        let envelope = &self.jobs[at].envelope;
        if let Some(request) = &envelope.request {
            let steps = vec![
                idempotency_step(request, self.now, StepCode::IdempotencyNew),
                error_step(&error, self.now),
            ];
            let note = note(request, &envelope.correlation_id, self.now, false, steps);
            self.writes.traces.push(note);
        }
        Failure::Refused(error)
    }

    /// A fault of ours: the trace says that there was one.
    fn fault(&mut self, at: usize, what: &'static str) -> Failure {
        let envelope = &self.jobs[at].envelope;
        if let Some(request) = &envelope.request {
            let step =
                Step { ts: self.now, code: StepCode::InternalError, details: json!({ "message": what }) };
            let note = note(request, &envelope.correlation_id, self.now, false, vec![step]);
            self.writes.traces.push(note);
        }
        Failure::Internal(what)
    }

    /// What is to be written.
    pub(crate) fn writes(&self) -> &Writes {
        &self.writes
    }

    /// The numbers given when this turn is committed.
    pub(crate) fn heads(&self) -> Heads {
        self.heads
    }

    /// What other nodes are to be told once this turn is committed.
    pub(crate) fn remembered(&mut self) -> Vec<(ActorInRoom, RecentActivity)> {
        if self.context.shared.is_none() || !self.context.rules.get::<ModerationRules>().is_on() {
            return Vec::new();
        }
        let done = self.recorded.iter().map(|recorded| recorded.publication(self.now));
        done.chain(self.context.windows.take_new_cooldowns()).collect()
    }

    /// Hands over the committed events, the answers to be sent once they are published, and the inbox's times.
    pub(crate) fn commit(self) -> (Vec<StoredEvent>, Vec<(Job, Decided)>, InboxTimes) {
        let decided = self
            .decided
            .into_iter()
            .map(|decided| decided.unwrap_or(Err(Failure::Internal("the command was not decided"))));
        let unread = UnreadCount::changed(&self.writes.records);
        let acked_after_ms = InboxItem::acked_after_ms(&self.writes.records);
        let inbox = InboxTimes { acked_after_ms, unread, at: self.now, ..self.inbox };
        (self.writes.events, self.jobs.into_iter().zip(decided).collect(), inbox)
    }

    /// Tells everybody whose command was in a turn that could not be written.
    pub(crate) fn fail(self, reason: &'static str) {
        // The newest first: each takes back what is on top.
        for done in self.recorded.iter().rev() {
            self.context.windows.undo(done);
        }
        for job in self.jobs {
            let _ = job.answer.send(Err(Failure::Unavailable(reason)));
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

/// The step of a refusal: its details, and what it says.
pub fn error_step(error: &DomainError, ts: Timestamp) -> Step {
    let mut details = error.details.clone();
    details.insert("code".to_owned(), error.code.as_str().into());
    details.insert("message".to_owned(), error.message.clone().into());
    Step { ts, code: StepCode::of_error(error.code), details: Value::Object(details) }
}

fn note(
    request: &Request,
    correlation_id: &CorrelationId,
    ended_at: Timestamp,
    succeeded: bool,
    steps: Vec<Step>,
) -> TraceNote {
    let (origin, correlation_id) = (Arc::clone(&request.origin), correlation_id.clone());
    TraceNote { origin, correlation_id, ended_at, succeeded, steps }
}
