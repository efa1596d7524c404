//! Which events of private tables a subscription receives.

use agentcafe_domain::kernel::Timestamp;
use agentcafe_domain::tables::TableSession;
use agentcafe_domain::webhooks::admission::may_know;

use crate::harness::id;
use crate::tables::session;

fn session_of(started: i64, expires: i64, ended: Option<i64>, features: &[&str]) -> TableSession {
    let at = Timestamp::from_millis;
    let (started_at, expires_at) = (at(started), at(expires));
    TableSession { started_at, expires_at, ended_at: ended.map(at), ..session(features) }
}

/// An actor receives the events of a private table from the time of its sessions, and no others.
#[test]
fn webhook_subscription_receives_events_of_its_actors_sessions() {
    const PLAN: &[&str] = &["event_subscriptions"];
    let cases = [
        (session_of(10, 90, None, PLAN), Some("Nova"), 50, true),
        (session_of(10, 90, None, PLAN), Some("Kai"), 10, true),
        (session_of(10, 90, None, PLAN), Some("Bo"), 50, false),
        (session_of(10, 90, None, PLAN), None, 50, false),
        (session_of(10, 90, None, PLAN), Some("Nova"), 9, false),
        (session_of(10, 90, None, PLAN), Some("Nova"), 91, false),
        (session_of(10, 90, Some(40), PLAN), Some("Nova"), 40, true),
        (session_of(10, 90, Some(40), PLAN), Some("Nova"), 41, false),
        (session_of(10, 90, Some(93), PLAN), Some("Nova"), 93, true),
        (session_of(10, 90, None, &["task_board"]), Some("Nova"), 50, false),
    ];
    for (session, name, at, want) in cases {
        let actor = name.map(id);
        let got = may_know(std::slice::from_ref(&session), actor.as_ref(), Timestamp::from_millis(at));
        assert_eq!(got, want, "{session:?} {name:?} {at}");
    }
}
