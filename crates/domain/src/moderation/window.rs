//! The recent actions of one actor in one room, and the limits that they exceed.

use std::collections::{HashMap, VecDeque};

use super::{ModerationRules, RecentActivity};
use crate::kernel::{ActionSource, ActorInRoom, Code, DomainError, GuardedAction, Timestamp};

/// The recent actions of one actor in one room.
#[derive(Debug, Default)]
pub(super) struct Window {
    actions: VecDeque<Timestamp>,
    texts: HashMap<String, VecDeque<Timestamp>>,
    /// When the actor last did something itself.
    last_action_at: Option<Timestamp>,
    /// When it last reacted; this does not delay its own actions.
    last_reaction_at: Option<Timestamp>,
    cooldown_until: Option<Timestamp>,
}

/// What an action exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Cooldown,
    MinInterval,
    Actions,
    RepeatedText,
}

/// A limit that an action exceeds.
#[derive(Debug)]
pub(super) struct ExceededLimit {
    limit: Limit,
    retry_after_ms: i64,
    /// The end of the cooldown that began with it, if one did.
    pub(super) quiet_until: Option<Timestamp>,
}

impl ExceededLimit {
    const fn new(limit: Limit, retry_after_ms: i64) -> Self {
        Self { limit, retry_after_ms, quiet_until: None }
    }

    /// The refusal of the action.
    pub(super) fn describe(
        self,
        actor: &ActorInRoom,
        action: &GuardedAction<'_>,
        rules: &ModerationRules,
    ) -> DomainError {
        let (reason, message) = match self.limit {
            Limit::Cooldown => ("MOD_COOLDOWN", "The actor hit a limit and must be quiet for a moment"),
            Limit::MinInterval => ("MOD_MIN_INTERVAL", "The actor acts too fast in this room"),
            Limit::Actions => ("MOD_RATE_LIMIT", "The actor acts too often in this room"),
            Limit::RepeatedText => ("MOD_REPEAT_TEXT", "The actor says the same too often in this room"),
        };
        let error = actor
            .describe(DomainError::new(Code::ModerationBlocked).saying(message))
            .with("action", action.label)
            .with("reasonCode", reason)
            .with("source", action.source.as_str())
            .with("retryAfterMs", self.retry_after_ms);
        match self.limit {
            Limit::Cooldown => error,
            Limit::MinInterval => error.with("minIntervalMs", rules.min_action_interval_ms),
            Limit::Actions => error
                .with("windowMs", rules.window_ms)
                .with("maxActionsPerWindow", rules.max_actions_per_window)
                .with("cooldownMs", rules.cooldown_ms),
            Limit::RepeatedText => error
                .with("windowMs", rules.window_ms)
                .with("maxRepeatedTextPerWindow", rules.max_repeated_text_per_window),
        }
    }
}

fn drop_old(times: &mut VecDeque<Timestamp>, oldest: Timestamp) {
    while times.front().is_some_and(|at| *at < oldest) {
        times.pop_front();
    }
}

/// How long until one of `max` remembered times is forgotten, in milliseconds; none if there is room for another.
fn full_for_ms(
    times: &mut VecDeque<Timestamp>,
    max: usize,
    now: Timestamp,
    rules: &ModerationRules,
) -> Option<i64> {
    if max == 0 || rules.window_ms == 0 {
        return None;
    }
    drop_old(times, now.plus_ms(-rules.window_ms));
    let first_to_go = times.len().checked_sub(max).and_then(|at| times.get(at))?;
    Some(first_to_go.as_millis() + rules.window_ms + 1 - now.as_millis())
}

/// The union of two sorted lists of times.
fn union(own: &VecDeque<Timestamp>, published: &VecDeque<Timestamp>) -> VecDeque<Timestamp> {
    let (mut own, mut published) = (own.iter().peekable(), published.iter().peekable());
    let mut both = VecDeque::new();
    while let Some(next) = own.peek().into_iter().chain(published.peek()).min() {
        let next = **next;
        both.push_back(next);
        own.next_if(|at| **at == next);
        published.next_if(|at| **at == next);
    }
    both
}

impl Window {
    /// Whether nothing in it matters any more.
    pub(super) fn is_idle(&self, now: Timestamp, rules: &ModerationRules) -> bool {
        let remembered = rules.window_ms.max(rules.min_action_interval_ms);
        let last_at = self.last_action_at.max(self.last_reaction_at);
        let quiet = last_at.is_none_or(|at| at.plus_ms(remembered) < now);
        quiet && self.cooldown_until.is_none_or(|until| until <= now)
    }

    /// When something from this source was last done.
    fn last_at(&mut self, source: ActionSource) -> &mut Option<Timestamp> {
        match source {
            ActionSource::Api => &mut self.last_action_at,
            ActionSource::Reaction => &mut self.last_reaction_at,
        }
    }

    /// Checks an action against all limits, in order. Too many actions or repetitions start a cooldown.
    pub(super) fn check(
        &mut self,
        source: ActionSource,
        text_key: Option<&str>,
        now: Timestamp,
        rules: &ModerationRules,
    ) -> Result<(), ExceededLimit> {
        if let Some(until) = self.cooldown_until.filter(|until| now < *until) {
            return Err(ExceededLimit::new(Limit::Cooldown, until.as_millis() - now.as_millis()));
        }
        // The interval is for requests: a reaction neither needs it nor uses it up.
        let last_action_at = self.last_action_at.filter(|_| source == ActionSource::Api);
        if let Some(last_action_at) = last_action_at {
            let due_in_ms = rules.min_action_interval_ms - (now.as_millis() - last_action_at.as_millis());
            if due_in_ms > 0 {
                return Err(ExceededLimit::new(Limit::MinInterval, due_in_ms));
            }
        }
        let repetitions = text_key.and_then(|key| self.texts.get_mut(key));
        let limits = [
            (Limit::Actions, Some(&mut self.actions), rules.max_actions_per_window),
            (Limit::RepeatedText, repetitions, rules.max_repeated_text_per_window),
        ];
        for (limit, times, max) in limits {
            if let Some(full_for_ms) = times.and_then(|times| full_for_ms(times, max, now, rules)) {
                self.cooldown_until = Some(now.plus_ms(rules.cooldown_ms));
                let exceeded = ExceededLimit::new(limit, full_for_ms.max(rules.cooldown_ms));
                return Err(ExceededLimit { quiet_until: self.cooldown_until, ..exceeded });
            }
        }
        Ok(())
    }

    /// Records an action; answers when the one before it from this source was done.
    pub(super) fn record(
        &mut self,
        source: ActionSource,
        text_key: Option<&str>,
        now: Timestamp,
        rules: &ModerationRules,
    ) -> Option<Timestamp> {
        let oldest = now.plus_ms(-rules.window_ms);
        if rules.max_actions_per_window > 0 {
            drop_old(&mut self.actions, oldest);
            self.actions.push_back(now);
        }
        if let Some(key) = text_key.filter(|_| rules.max_repeated_text_per_window > 0) {
            self.texts.retain(|_, times| {
                drop_old(times, oldest);
                !times.is_empty()
            });
            self.texts.entry(key.to_owned()).or_default().push_back(now);
        }
        self.last_at(source).replace(now)
    }

    /// Removes the newest action.
    pub(super) fn undo(
        &mut self,
        source: ActionSource,
        text_key: Option<&str>,
        previous_at: Option<Timestamp>,
    ) {
        self.actions.pop_back();
        *self.last_at(source) = previous_at;
        if let Some(times) = text_key.and_then(|key| self.texts.get_mut(key)) {
            times.pop_back();
        }
    }

    /// Merges what other nodes published. What no rule needs is not stored.
    pub(super) fn merge(&mut self, mut activity: Vec<RecentActivity>, rules: &ModerationRules) {
        activity.sort_by_key(|activity| match activity {
            RecentActivity::Acted { at, .. } | RecentActivity::CooldownUntil(at) => *at,
        });
        let mut published = Self::default();
        for activity in activity {
            match activity {
                RecentActivity::Acted { at, source, text_key } => {
                    *published.last_at(source) = Some(at);
                    published.actions.push_back(at);
                    if let Some(key) = text_key {
                        published.texts.entry(key).or_default().push_back(at);
                    }
                }
                RecentActivity::CooldownUntil(until) => published.cooldown_until = Some(until),
            }
        }
        if rules.max_actions_per_window > 0 {
            self.actions = union(&self.actions, &published.actions);
        }
        for (key, times) in published.texts {
            if rules.max_repeated_text_per_window > 0 {
                let own = self.texts.entry(key).or_default();
                *own = union(own, &times);
            }
        }
        self.last_action_at = self.last_action_at.max(published.last_action_at);
        self.last_reaction_at = self.last_reaction_at.max(published.last_reaction_at);
        self.cooldown_until = self.cooldown_until.max(published.cooldown_until);
    }
}
