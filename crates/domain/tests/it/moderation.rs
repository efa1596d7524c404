//! The limits of moderation.

use agentcafe_domain::kernel::{ActionSource, DomainError, GuardedAction, Timestamp};
use agentcafe_domain::moderation::{ModerationRules, RateWindows, RecentActivity};

use crate::harness::actor;

const RULES: ModerationRules = ModerationRules {
    window_ms: 60_000,
    max_actions_per_window: 5,
    max_repeated_text_per_window: 2,
    min_action_interval_ms: 150,
    cooldown_ms: 2_000,
};

/// A time, an action with a text, and its result.
type Step = (i64, &'static str, Option<&'static str>, Result<(), (&'static str, i64)>);

fn check(rules: &ModerationRules, steps: &[Step]) {
    let actor = actor("Nova");
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
fn moderation_rules_apply_in_order() {
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
fn moderation_interval_does_not_count_reactions() {
    let actor = actor("Nova");
    let mut windows = RateWindows::default();
    let mut act = |at_ms: i64, source, text| {
        let now = Timestamp::from_millis(1_000_000 + at_ms);
        let allowed = windows.check(&actor, &GuardedAction { label: "x", text, source }, now, &RULES)?;
        windows.record(allowed, now, &RULES);
        Ok(())
    };
    let reason = |refused: Result<(), DomainError>| {
        refused.err().map(|error| error.details["reasonCode"].as_str().unwrap().to_owned())
    };
    assert_eq!(reason(act(0, ActionSource::Api, Some("hi"))), None);
    assert_eq!(reason(act(1, ActionSource::Reaction, Some("hi"))), None);
    assert_eq!(reason(act(149, ActionSource::Api, None)).as_deref(), Some("MOD_MIN_INTERVAL"));
    assert_eq!(reason(act(150, ActionSource::Api, None)), None);
    assert_eq!(reason(act(151, ActionSource::Reaction, Some("HI"))).as_deref(), Some("MOD_REPEAT_TEXT"));
    assert_eq!(reason(act(152, ActionSource::Reaction, None)).as_deref(), Some("MOD_COOLDOWN"));
    assert_eq!(reason(act(2_152, ActionSource::Reaction, None)), None);
    assert_eq!(reason(act(2_153, ActionSource::Reaction, None)), None);
    assert_eq!(reason(act(2_154, ActionSource::Reaction, None)).as_deref(), Some("MOD_RATE_LIMIT"));
}

/// A setting of 0 turns its rule off.
#[test]
fn moderation_rule_of_zero_is_off() {
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
fn moderation_counts_actions_of_other_nodes_once() {
    let actor = actor("Nova");
    let mut nodes = [RateWindows::shared(), RateWindows::shared()];
    let mut published: Vec<RecentActivity> = Vec::new();
    let mut act = |node: usize, at_ms: i64, text: &str| {
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
    assert_eq!(act(0, 0, "hi"), None);
    assert_eq!(act(1, 149, "there").as_deref(), Some("MOD_MIN_INTERVAL"));
    assert_eq!(act(1, 150, "Hi"), None);
    assert_eq!(act(0, 300, "HI").as_deref(), Some("MOD_REPEAT_TEXT"));
    assert_eq!(act(1, 450, "there").as_deref(), Some("MOD_COOLDOWN"), "which the other node began");
    for (node, at_ms) in [(1, 2_300), (0, 2_450), (1, 2_600)] {
        assert_eq!(act(node, at_ms, &format!("word {at_ms}")), None);
    }
    assert_eq!(act(0, 2_750, "sixth").as_deref(), Some("MOD_RATE_LIMIT"));
    assert_eq!(act(1, 60_151, "hi"), None, "the first two are forgotten");
}
