//! Who may act at a private table.

use agentcafe_domain::kernel::{Code, Timestamp};
use agentcafe_domain::tables::access::{AccessRequirement, allow};
use agentcafe_domain::tables::plan::Feature;
use serde_json::json;

use super::session;
use crate::harness::actor;

/// Access to a private table, for commands and reads alike.
#[test]
fn table_access_is_for_members_while_the_session_lasts() {
    let (with, without) = (session(&["replay"]), session(&["task_board"]));
    let replay = Some(Feature::Replay);
    let cases = [
        (Some(&with), "Nova", replay, 1_000, None),
        (Some(&with), "Kai", replay, 1_999, None),
        (Some(&without), "Kai", None, 1_500, None),
        (None, "Nova", None, 1_500, Some((Code::PaymentRequired, "roomId", json!("main")))),
        (Some(&with), "Eve", None, 1_500, Some((Code::Forbidden, "actorId", json!("Eve")))),
        (
            Some(&with),
            "Nova",
            None,
            2_000,
            Some((Code::Forbidden, "expiredAt", json!("1970-01-01T00:00:02.000Z"))),
        ),
        (
            Some(&with),
            "Nova",
            None,
            999,
            Some((Code::Forbidden, "startsAt", json!("1970-01-01T00:00:01.000Z"))),
        ),
        (
            Some(&without),
            "Nova",
            replay,
            1_500,
            Some((Code::PlanFeatureDisabled, "requiredFeature", json!("replay"))),
        ),
        (Some(&without), "Eve", replay, 1_500, Some((Code::Forbidden, "action", json!("replay")))),
    ];
    for (session, name, feature, now, want) in cases {
        let actor = actor(name);
        let table_access = AccessRequirement { action: "replay", feature, takes_seat: false };
        let got = allow(session, &actor, table_access, Timestamp::from_millis(now)).map(|_| ());
        let got = got.err().map(|error| (error.code, error.details));
        let got = got
            .map(|(code, details)| (code, want.as_ref().and_then(|(_, key, _)| details.get(*key)).cloned()));
        assert_eq!(got, want.map(|(code, _, value)| (code, Some(value))), "{name} {now}");
    }
}
