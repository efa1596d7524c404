//! Moderation: limits of how much an actor does in a room, how fast, and how often it repeats a text.

use std::collections::{HashMap, VecDeque};

use sha2::{Digest, Sha256};

use crate::kernel::{
    ActionGuard, ActionSource, ActorInRoom, Code, DomainError, GuardedAction, Timestamp, rule_set,
};

/// When an actor acts too much. A limit of 0 turns its rule off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModerationRules {
    /// How long actions and texts are remembered.
    pub window_ms: i64,
    /// The most actions in the window.
    pub max_actions_per_window: usize,
    /// How often the same text may be said in the window.
    pub max_repeated_text_per_window: usize,
    /// The least time between two actions.
    pub min_action_interval_ms: i64,
    /// How long an actor must be quiet after it hit a limit.
    pub cooldown_ms: i64,
}

impl Default for ModerationRules {
    fn default() -> Self {
        Self {
            window_ms: 60_000,
            max_actions_per_window: 40,
            max_repeated_text_per_window: 4,
            min_action_interval_ms: 150,
            cooldown_ms: 2_000,
        }
    }
}
rule_set!(ModerationRules);

impl ModerationRules {
    /// Whether any of the rules that remember something is on.
    pub const fn is_on(&self) -> bool {
        let limits = self.max_actions_per_window > 0 || self.max_repeated_text_per_window > 0;
        self.min_action_interval_ms > 0 || (limits && self.window_ms > 0)
    }

    /// How long anything is remembered, in milliseconds.
    pub fn remembered_ms(&self) -> i64 {
        self.window_ms.max(self.min_action_interval_ms).max(self.cooldown_ms)
    }
}

/// The recent actions of one actor in one room.
#[derive(Debug, Default)]
struct Window {
    actions: VecDeque<Timestamp>,
    texts: HashMap<String, VecDeque<Timestamp>>,
    /// When the actor last did something itself.
    last_action_at: Option<Timestamp>,
    /// When it last reacted: no reason to keep it from acting itself.
    last_reaction_at: Option<Timestamp>,
    cooldown_until: Option<Timestamp>,
}

/// The recent actions of all actors, in memory only: a restart forgets them. Nodes may share them.
#[derive(Debug, Default)]
pub struct RateWindows {
    by_actor: HashMap<ActorInRoom, Window>,
    swept_at: Timestamp,
    /// Cooldowns that began and were not published to other nodes; none if nothing is published.
    new_cooldowns: Option<Vec<(ActorInRoom, RecentActivity)>>,
}

/// An action or a cooldown of an actor in a room, as nodes publish it to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecentActivity {
    /// It did something.
    Acted {
        /// When.
        at: Timestamp,
        /// Whether by itself.
        source: ActionSource,
        /// What it said, if it spoke: the same for the same words.
        text_key: Option<String>,
    },
    /// It must be quiet until then.
    QuietUntil(Timestamp),
}

/// Checks the actions of one command against the rate windows.
pub struct RateGuard<'a> {
    windows: &'a mut RateWindows,
    rules: &'a ModerationRules,
    now: Timestamp,
    allowed: Option<AllowedAction>,
}

impl<'a> RateGuard<'a> {
    /// The guard of a command that is decided at `now`.
    pub fn new(windows: &'a mut RateWindows, rules: &'a ModerationRules, now: Timestamp) -> Self {
        Self { windows, rules, now, allowed: None }
    }

    /// The action that was allowed, to be recorded if the command succeeds.
    pub fn into_allowed(self) -> Option<AllowedAction> {
        self.allowed
    }
}

impl ActionGuard for RateGuard<'_> {
    fn check(&mut self, actor: &ActorInRoom, action: &GuardedAction<'_>) -> Result<(), DomainError> {
        self.allowed = Some(self.windows.check(actor, action, self.now, self.rules)?);
        Ok(())
    }
}

/// An allowed action, to be recorded once the command it belongs to has succeeded.
#[derive(Debug)]
pub struct AllowedAction {
    actor: ActorInRoom,
    source: ActionSource,
    text_key: Option<String>,
}

/// An action that was recorded, to be taken back if its command is not kept.
#[derive(Debug)]
pub struct Recorded {
    actor: ActorInRoom,
    source: ActionSource,
    text_key: Option<String>,
    previous_at: Option<Timestamp>,
}

fn meaning(reason: &str) -> &'static str {
    match reason {
        "MOD_COOLDOWN" => "The actor hit a limit and must be quiet for a moment",
        "MOD_MIN_INTERVAL" => "The actor acts too fast in this room",
        "MOD_RATE_LIMIT" => "The actor acts too often in this room",
        _ => "The actor says the same too often in this room",
    }
}

/// A short hash of a text's words, whatever their spacing and case; none for no words.
fn text_key(text: &str) -> Option<String> {
    let mut hash = Sha256::new();
    let mut spoke = false;
    for word in text.split_whitespace() {
        hash.update(word.to_lowercase());
        hash.update([0]);
        spoke = true;
    }
    let half = hash.finalize().iter().take(16).fold(0, |sum: u128, byte| sum << 8 | u128::from(*byte));
    spoke.then(|| format!("{half:032x}"))
}

fn drop_old(times: &mut VecDeque<Timestamp>, oldest: Timestamp) {
    while times.front().is_some_and(|at| *at < oldest) {
        times.pop_front();
    }
}

impl Window {
    fn is_idle(&self, now: Timestamp, rules: &ModerationRules) -> bool {
        let remembered = rules.window_ms.max(rules.min_action_interval_ms);
        let last_at = self.last_action_at.max(self.last_reaction_at);
        let quiet = last_at.is_none_or(|at| at.plus_ms(remembered) < now);
        quiet && self.cooldown_until.is_none_or(|until| until <= now)
    }

    /// When something of this kind was last done.
    fn last_at(&mut self, source: ActionSource) -> &mut Option<Timestamp> {
        match source {
            ActionSource::Api => &mut self.last_action_at,
            ActionSource::Reaction => &mut self.last_reaction_at,
        }
    }

    /// How long until one of `max` remembered times is forgotten, at least the cooldown.
    fn full(
        &mut self,
        times: impl Fn(&mut Self) -> Option<&mut VecDeque<Timestamp>>,
        max: usize,
        now: Timestamp,
        rules: &ModerationRules,
    ) -> Option<i64> {
        if max == 0 || rules.window_ms == 0 {
            return None;
        }
        let times = times(self)?;
        drop_old(times, now.plus_ms(-rules.window_ms));
        let first_to_go = times.len().checked_sub(max).and_then(|at| times.get(at))?;
        let frees_in_ms = first_to_go.as_millis() + rules.window_ms + 1 - now.as_millis();
        self.cooldown_until = Some(now.plus_ms(rules.cooldown_ms));
        Some(frees_in_ms.max(rules.cooldown_ms))
    }
}

/// Queues a cooldown that began for publication.
fn publish_cooldown(
    new_cooldowns: &mut Option<Vec<(ActorInRoom, RecentActivity)>>,
    actor: &ActorInRoom,
    window: &Window,
) {
    if let (Some(new_cooldowns), Some(until)) = (new_cooldowns, window.cooldown_until) {
        new_cooldowns.push((actor.clone(), RecentActivity::QuietUntil(until)));
    }
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
    fn of(mut activity: Vec<RecentActivity>) -> Self {
        let mut window = Self::default();
        activity.sort_by_key(|activity| match activity {
            RecentActivity::Acted { at, .. } | RecentActivity::QuietUntil(at) => *at,
        });
        for activity in activity {
            match activity {
                RecentActivity::Acted { at, source, text_key } => {
                    *window.last_at(source) = Some(at);
                    window.actions.push_back(at);
                    if let Some(key) = text_key {
                        window.texts.entry(key).or_default().push_back(at);
                    }
                }
                RecentActivity::QuietUntil(until) => window.cooldown_until = Some(until),
            }
        }
        window
    }

    /// Merges what other nodes published.
    fn join(&mut self, published: Self) {
        self.actions = union(&self.actions, &published.actions);
        for (key, times) in published.texts {
            let own = self.texts.entry(key).or_default();
            *own = union(own, &times);
        }
        self.last_action_at = self.last_action_at.max(published.last_action_at);
        self.last_reaction_at = self.last_reaction_at.max(published.last_reaction_at);
        self.cooldown_until = self.cooldown_until.max(published.cooldown_until);
    }
}

impl Recorded {
    /// The action, as it is published to other nodes.
    pub fn publication(&self, at: Timestamp) -> (ActorInRoom, RecentActivity) {
        let (source, text_key) = (self.source, self.text_key.clone());
        (self.actor.clone(), RecentActivity::Acted { at, source, text_key })
    }
}

impl RateWindows {
    /// Windows whose actions are published to other nodes.
    pub fn shared() -> Self {
        Self { new_cooldowns: Some(Vec::new()), ..Self::default() }
    }

    /// Merges what other nodes published about an actor.
    pub fn merge(&mut self, actor: &ActorInRoom, activity: Vec<RecentActivity>, rules: &ModerationRules) {
        if activity.is_empty() {
            return;
        }
        let mut published = Window::of(activity);
        // What no rule needs is not stored, as for actions of this node.
        if rules.max_actions_per_window == 0 {
            published.actions.clear();
        }
        if rules.max_repeated_text_per_window == 0 {
            published.texts.clear();
        }
        self.by_actor.entry(actor.clone()).or_default().join(published);
    }

    /// The cooldowns that began since the last call.
    pub fn take_new_cooldowns(&mut self) -> Vec<(ActorInRoom, RecentActivity)> {
        self.new_cooldowns.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether the actor may act now. A refusal that starts a cooldown starts it at once; an allowed action is
    /// recorded by [`RateWindows::record`] when its command has succeeded.
    ///
    /// # Errors
    /// `ERR_MODERATION_BLOCKED {tenantId, roomId, actorId, action, reasonCode, source, retryAfterMs, …}`.
    pub fn check(
        &mut self,
        actor: &ActorInRoom,
        action: &GuardedAction<'_>,
        now: Timestamp,
        rules: &ModerationRules,
    ) -> Result<AllowedAction, DomainError> {
        let key = action.text.and_then(text_key);
        let Some(window) = self.by_actor.get_mut(actor) else {
            return Ok(AllowedAction { actor: actor.clone(), source: action.source, text_key: key });
        };
        let blocked = |reason: &str, retry_after_ms: i64| {
            actor
                .describe(DomainError::new(Code::ModerationBlocked).saying(meaning(reason)))
                .with("action", action.label)
                .with("reasonCode", reason)
                .with("source", action.source.as_str())
                .with("retryAfterMs", retry_after_ms)
        };
        if let Some(until) = window.cooldown_until.filter(|until| now < *until) {
            return Err(blocked("MOD_COOLDOWN", until.as_millis() - now.as_millis()));
        }
        // The interval is for requests: a reaction neither needs it nor uses it up.
        let interactive = window.last_action_at.filter(|_| action.source == ActionSource::Api);
        let since = interactive.map(|at| now.as_millis() - at.as_millis());
        if let Some(since) = since.filter(|since| *since < rules.min_action_interval_ms) {
            return Err(blocked("MOD_MIN_INTERVAL", rules.min_action_interval_ms - since)
                .with("minIntervalMs", rules.min_action_interval_ms));
        }
        let actions = window.full(|w| Some(&mut w.actions), rules.max_actions_per_window, now, rules);
        if let Some(retry_after_ms) = actions {
            publish_cooldown(&mut self.new_cooldowns, actor, window);
            return Err(blocked("MOD_RATE_LIMIT", retry_after_ms)
                .with("windowMs", rules.window_ms)
                .with("maxActionsPerWindow", rules.max_actions_per_window)
                .with("cooldownMs", rules.cooldown_ms));
        }
        if let Some(key) = &key {
            let max = rules.max_repeated_text_per_window;
            if let Some(retry_after_ms) = window.full(|w| w.texts.get_mut(key), max, now, rules) {
                publish_cooldown(&mut self.new_cooldowns, actor, window);
                return Err(blocked("MOD_REPEAT_TEXT", retry_after_ms)
                    .with("windowMs", rules.window_ms)
                    .with("maxRepeatedTextPerWindow", max));
            }
        }
        Ok(AllowedAction { actor: actor.clone(), source: action.source, text_key: key })
    }

    /// Records an action of a command that succeeded; none if no rule needs it.
    pub fn record(
        &mut self,
        allowed: AllowedAction,
        now: Timestamp,
        rules: &ModerationRules,
    ) -> Option<Recorded> {
        if rules.window_ms == 0 && rules.min_action_interval_ms == 0 {
            return None;
        }
        let AllowedAction { actor, source, text_key } = allowed;
        self.sweep(now, rules);
        let window = self.by_actor.entry(actor.clone()).or_default();
        let previous_at = window.last_at(source).replace(now);
        let oldest = now.plus_ms(-rules.window_ms);
        if rules.max_actions_per_window > 0 {
            drop_old(&mut window.actions, oldest);
            window.actions.push_back(now);
        }
        if let Some(key) = text_key.clone().filter(|_| rules.max_repeated_text_per_window > 0) {
            window.texts.retain(|_, times| {
                drop_old(times, oldest);
                !times.is_empty()
            });
            window.texts.entry(key).or_default().push_back(now);
        }
        Some(Recorded { actor, source, text_key, previous_at })
    }

    /// Removes the newest action of an actor, whose command was not committed after all.
    pub fn undo(&mut self, done: &Recorded) {
        let Some(window) = self.by_actor.get_mut(&done.actor) else { return };
        window.actions.pop_back();
        *window.last_at(done.source) = done.previous_at;
        if let Some(times) = done.text_key.as_ref().and_then(|key| window.texts.get_mut(key)) {
            times.pop_back();
        }
    }

    /// Removes actors without recent actions; at most once a window, so that it costs nothing per action.
    fn sweep(&mut self, now: Timestamp, rules: &ModerationRules) {
        if now.as_millis() - self.swept_at.as_millis() < rules.window_ms.max(1_000) {
            return;
        }
        self.swept_at = now;
        self.by_actor.retain(|_, window| !window.is_idle(now, rules));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: ModerationRules = ModerationRules {
        window_ms: 60_000,
        max_actions_per_window: 5,
        max_repeated_text_per_window: 2,
        min_action_interval_ms: 150,
        cooldown_ms: 2_000,
    };

    /// One step: at a time, an action with a text, what comes of it.
    type Step = (i64, &'static str, Option<&'static str>, Result<(), (&'static str, i64)>);

    fn check(rules: &ModerationRules, steps: &[Step]) {
        let actor = ActorInRoom::named("default", "main", "Nova");
        let mut windows = RateWindows::default();
        for (at_ms, label, text, want) in steps {
            let now = Timestamp::from_millis(*at_ms);
            let action = GuardedAction { label, text: *text, source: ActionSource::Api };
            let got = windows.check(&actor, &action, now, rules);
            let reason = got.as_ref().err().map(|error| {
                let text = |key: &str| error.details[key].as_str().unwrap().to_owned();
                (text("reasonCode"), error.details["retryAfterMs"].as_i64().unwrap())
            });
            let want = want.err().map(|(reason, retry)| (reason.to_owned(), retry));
            assert_eq!(reason, want, "at {at_ms} ms {label} {text:?}");
            if let Ok(allowed) = got {
                windows.record(allowed, now, rules);
            }
        }
    }

    /// The rules apply in order, and every refusal says when to try again.
    #[test]
    fn the_rules_apply_in_order() {
        let base = 1_000_000;
        check(
            &RULES,
            &[
                (base, "enter", None, Ok(())),
                (base + 149, "move", None, Err(("MOD_MIN_INTERVAL", 1))),
                (base + 150, "say", Some("Hello  there"), Ok(())),
                (base + 300, "conversation_message", Some(" hello THERE"), Ok(())),
                (base + 450, "say", Some("hello there"), Err(("MOD_REPEAT_TEXT", 59_701))),
                (base + 460, "say", Some("other"), Err(("MOD_COOLDOWN", 1_990))),
                (base + 2_450, "say", Some("other"), Ok(())),
                (base + 2_600, "order", None, Ok(())),
                (base + 2_750, "move", None, Err(("MOD_RATE_LIMIT", 57_251))),
                (base + 60_001, "move", None, Ok(())),
                (base + 60_151, "say", Some("hello there"), Ok(())),
            ],
        );
    }

    /// A reaction neither needs the interval between actions nor uses it up; the other rules hold for it too.
    #[test]
    fn reactions_leave_the_interval_alone() {
        let actor = ActorInRoom::named("default", "main", "Nova");
        let mut windows = RateWindows::default();
        let mut actor_command = |at_ms: i64, source, text| {
            let now = Timestamp::from_millis(1_000_000 + at_ms);
            let allowed = windows.check(&actor, &GuardedAction { label: "x", text, source }, now, &RULES)?;
            windows.record(allowed, now, &RULES);
            Ok(())
        };
        let reason = |refused: Result<(), DomainError>| {
            refused.err().map(|error| error.details["reasonCode"].as_str().unwrap().to_owned())
        };
        assert_eq!(reason(actor_command(0, ActionSource::Api, Some("hi"))), None);
        assert_eq!(reason(actor_command(1, ActionSource::Reaction, Some("hi"))), None);
        assert_eq!(reason(actor_command(149, ActionSource::Api, None)).as_deref(), Some("MOD_MIN_INTERVAL"));
        assert_eq!(reason(actor_command(150, ActionSource::Api, None)), None);
        assert_eq!(
            reason(actor_command(151, ActionSource::Reaction, Some("HI"))).as_deref(),
            Some("MOD_REPEAT_TEXT")
        );
        assert_eq!(reason(actor_command(152, ActionSource::Reaction, None)).as_deref(), Some("MOD_COOLDOWN"));
        assert_eq!(reason(actor_command(2_152, ActionSource::Reaction, None)), None);
        assert_eq!(reason(actor_command(2_153, ActionSource::Reaction, None)), None);
        assert_eq!(
            reason(actor_command(2_154, ActionSource::Reaction, None)).as_deref(),
            Some("MOD_RATE_LIMIT")
        );
    }

    /// A setting of 0 turns its rule off.
    #[test]
    fn zero_turns_a_rule_off() {
        let off = ModerationRules {
            window_ms: 0,
            max_actions_per_window: 0,
            max_repeated_text_per_window: 0,
            min_action_interval_ms: 0,
            cooldown_ms: 0,
        };
        let steps: Vec<Step> = (0..200).map(|_| (5, "say", Some("same"), Ok(()))).collect();
        check(&off, &steps);
        check(&ModerationRules { window_ms: 60_000, ..off }, &steps);
    }

    /// An action that another node publishes counts here once, however often it is received.
    #[test]
    fn nodes_tell_each_other() {
        let actor = ActorInRoom::named("default", "main", "Nova");
        let mut nodes = [RateWindows::shared(), RateWindows::shared()];
        let mut published: Vec<RecentActivity> = Vec::new();
        let mut actor_command = |node: usize, at_ms: i64, text: &str| {
            let now = Timestamp::from_millis(1_000_000 + at_ms);
            let windows = &mut nodes[node];
            windows.merge(&actor, published.clone(), &RULES);
            let action = GuardedAction { label: "say", text: Some(text), source: ActionSource::Api };
            let checked = windows.check(&actor, &action, now, &RULES);
            let reason = checked.as_ref().err().map(|error| error.details["reasonCode"].clone());
            let recorded = checked.ok().and_then(|allowed| windows.record(allowed, now, &RULES));
            published.extend(recorded.map(|recorded| recorded.publication(now).1));
            published.extend(windows.take_new_cooldowns().into_iter().map(|(_, activity)| activity));
            reason.map(|reason| reason.as_str().unwrap().to_owned())
        };
        assert_eq!(actor_command(0, 0, "hi"), None);
        assert_eq!(actor_command(1, 149, "there").as_deref(), Some("MOD_MIN_INTERVAL"));
        assert_eq!(actor_command(1, 150, "Hi"), None);
        assert_eq!(actor_command(0, 300, "HI").as_deref(), Some("MOD_REPEAT_TEXT"));
        assert_eq!(
            actor_command(1, 450, "there").as_deref(),
            Some("MOD_COOLDOWN"),
            "which the other node began"
        );
        for (node, at_ms) in [(1, 2_300), (0, 2_450), (1, 2_600)] {
            assert_eq!(actor_command(node, at_ms, &format!("word {at_ms}")), None);
        }
        assert_eq!(actor_command(0, 2_750, "sixth").as_deref(), Some("MOD_RATE_LIMIT"));
        assert_eq!(actor_command(1, 60_151, "hi"), None, "the first two are forgotten");
    }

    /// Only actions of successful commands count, and quiet actors are forgotten.
    #[test]
    fn only_what_was_done_counts_and_is_forgotten() {
        let mut windows = RateWindows::default();
        let action = GuardedAction { label: "say", text: Some("hi"), source: ActionSource::Api };
        for number in 0..100 {
            let actor = ActorInRoom::named("default", "main", &format!("a{number}"));
            let now = Timestamp::from_millis(number);
            let allowed = windows.check(&actor, &action, now, &RULES).unwrap();
            assert!(windows.check(&actor, &action, now, &RULES).is_ok(), "nothing recorded yet");
            windows.record(allowed, now, &RULES);
        }
        assert_eq!(windows.by_actor.len(), 100);
        let late = Timestamp::from_millis(200_000);
        let actor = ActorInRoom::named("default", "main", "late");
        let allowed = windows.check(&actor, &action, late, &RULES).unwrap();
        windows.record(allowed, late, &RULES);
        assert_eq!(windows.by_actor.len(), 1);
    }
}
