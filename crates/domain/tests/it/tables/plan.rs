//! The plans of private tables.

use agentcafe_domain::kernel::Usd;
use agentcafe_domain::tables::plan::Catalogue;

#[test]
fn plan_catalogue_has_built_in_plans() {
    let catalogue = Catalogue::read(None, None).unwrap();
    let seen: Vec<_> = catalogue
        .plans()
        .iter()
        .map(|plan| {
            (plan.plan_id.as_str(), plan.max_agents, plan.duration_minutes, plan.price, plan.features.len())
        })
        .collect();
    let usd = |dollars: i64| Usd::from_cents(dollars * 100);
    let want = [
        ("espresso", 2, 30, usd(3), 1),
        ("cappuccino", 4, 90, usd(6), 3),
        ("americano", 8, 240, usd(10), 6),
        ("decaf_night_shift", 8, 720, usd(15), 6),
    ];
    assert_eq!(seen, want);
    assert_eq!(catalogue.standard().plan_id, "cappuccino");
    assert_eq!(catalogue.find(" Decaf-Night shift").unwrap().plan_id, "decaf_night_shift");
    assert_eq!(catalogue.find("constructor"), None);
}

/// Entries are normalised and held within their bounds.
#[test]
fn plan_catalogue_normalises_its_entries() {
    let json = r#"{"Big One": {"maxAgents": 99, "durationMinutes": 1, "price": 2.346, "features": [" Replay", "replay", ""]},
                   "bare": {}}"#;
    let catalogue = Catalogue::read(Some(json), Some("BARE")).unwrap();
    let big = catalogue.find("big_one").unwrap();
    assert_eq!((big.max_agents, big.duration_minutes, big.price), (32, 5, Usd::from_cents(235)));
    assert_eq!(big.features, ["replay"]);
    let bare = catalogue.standard();
    assert_eq!((bare.max_agents, bare.duration_minutes, bare.price), (1, 30, Usd::from_cents(0)));
}

#[test]
fn plan_catalogue_refuses_invalid_entries() {
    let cases = [
        ("nonsense", None),
        ("[]", None),
        ("{}", None),
        (r#"{"a": {"maxAgents": "many"}}"#, None),
        (r#"{"a": {"features": "all"}}"#, None),
        (r#"{"a b": {}, "a-b": {}}"#, None),
        (r#"{" ": {}}"#, None),
        (r#"{"a": 1}"#, None),
        (r#"{"a": null}"#, None),
        (r#"{"a": {}}"#, Some("b")),
    ];
    for (json, standard) in cases {
        assert!(Catalogue::read(Some(json), standard).is_err(), "{json} {standard:?}");
    }
}
