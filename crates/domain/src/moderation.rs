//! Moderation: limits of how much an actor does in a room, how fast, and how often it repeats a text.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use self::window::Window;
use crate::kernel::{
    ActionGuard, ActionSource, ActorInRoom, DomainError, GuardedAction, Timestamp, rule_set,
};

mod window;

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
        /// The hash of its text, if it spoke: the same for the same words.
        text_key: Option<String>,
    },
    /// It may not act until then.
    CooldownUntil(Timestamp),
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

/// An action that was recorded, to be undone if its command is not committed.
#[derive(Debug)]
pub struct Recorded {
    action: AllowedAction,
    previous_at: Option<Timestamp>,
}

impl Recorded {
    /// The action, as it is published to other nodes.
    pub fn publication(&self, at: Timestamp) -> (ActorInRoom, RecentActivity) {
        let AllowedAction { actor, source, text_key } = &self.action;
        (actor.clone(), RecentActivity::Acted { at, source: *source, text_key: text_key.clone() })
    }
}

/// A short hash of a text's words, whatever their spacing and case; none for no words.
fn text_key(text: &str) -> Option<String> {
    let mut hash = Sha256::new();
    let mut has_words = false;
    for word in text.split_whitespace() {
        hash.update(word.to_lowercase());
        hash.update([0]);
        has_words = true;
    }
    let half = hash.finalize().iter().take(16).fold(0, |sum: u128, byte| sum << 8 | u128::from(*byte));
    has_words.then(|| format!("{half:032x}"))
}

impl RateWindows {
    /// Windows whose actions are published to other nodes.
    pub fn shared() -> Self {
        Self { new_cooldowns: Some(Vec::new()), ..Self::default() }
    }

    /// Merges what other nodes published about an actor.
    pub fn merge(&mut self, actor: &ActorInRoom, activity: Vec<RecentActivity>, rules: &ModerationRules) {
        if !activity.is_empty() {
            self.by_actor.entry(actor.clone()).or_default().merge(activity, rules);
        }
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
        let text_key = action.text.and_then(text_key);
        if let Some(window) = self.by_actor.get_mut(actor)
            && let Err(exceeded) = window.check(action.source, text_key.as_deref(), now, rules)
        {
            if let (Some(until), Some(new_cooldowns)) = (exceeded.quiet_until, &mut self.new_cooldowns) {
                new_cooldowns.push((actor.clone(), RecentActivity::CooldownUntil(until)));
            }
            return Err(exceeded.describe(actor, action, rules));
        }
        Ok(AllowedAction { actor: actor.clone(), source: action.source, text_key })
    }

    /// Records an action of a command that succeeded; none if no rule needs it.
    pub fn record(
        &mut self,
        action: AllowedAction,
        now: Timestamp,
        rules: &ModerationRules,
    ) -> Option<Recorded> {
        if rules.window_ms == 0 && rules.min_action_interval_ms == 0 {
            return None;
        }
        self.sweep(now, rules);
        let window = self.by_actor.entry(action.actor.clone()).or_default();
        let previous_at = window.record(action.source, action.text_key.as_deref(), now, rules);
        Some(Recorded { action, previous_at })
    }

    /// Removes the newest action of an actor, whose command was not committed after all.
    pub fn undo(&mut self, recorded: &Recorded) {
        let Recorded { action, previous_at } = recorded;
        if let Some(window) = self.by_actor.get_mut(&action.actor) {
            window.undo(action.source, action.text_key.as_deref(), *previous_at);
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
    use crate::kernel::{ActorId, RoomId, TenantId};

    /// Only actions that are recorded count, and idle actors are removed.
    #[test]
    fn rate_windows_remove_idle_actors() {
        let rules = ModerationRules::default();
        let mut windows = RateWindows::default();
        let mut act = |name: &str, now_ms: i64| {
            let actor_id = ActorId::parse(name).unwrap();
            let actor = ActorInRoom { tenant_id: TenantId::default(), room_id: RoomId::main(), actor_id };
            let action = GuardedAction { label: "say", text: Some("hi"), source: ActionSource::Api };
            let now = Timestamp::from_millis(now_ms);
            let allowed = windows.check(&actor, &action, now, &rules).unwrap();
            assert!(windows.check(&actor, &action, now, &rules).is_ok(), "nothing is recorded yet");
            windows.record(allowed, now, &rules);
            windows.by_actor.len()
        };
        for number in 0..100 {
            assert_eq!(act(&format!("a{number}"), number), usize::try_from(number).unwrap() + 1);
        }
        assert_eq!(act("late", 200_000), 1);
    }
}
