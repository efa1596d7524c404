//! Saving snapshots.

use agentcafe_domain::kernel::{Code, DomainError, Timestamp};
use agentcafe_domain::snapshots::{CreateSnapshot, MAX_STATE_BYTES, SnapshotScope};
use serde_json::{Value, json};

use crate::harness::{Harness, body};

/// The snapshot that an actor saves of itself.
fn save(mut fields: Value) -> Result<Value, DomainError> {
    fields["actorId"] = json!("Nova");
    let command = CreateSnapshot::read(&body(&fields), SnapshotScope::Agent)?;
    Ok(Harness::new().decide(&command)?.1["snapshot"].take())
}

/// `ttlSeconds` is a whole number of 1 to 31,536,000; null means never, missing means an hour.
#[test]
fn snapshot_expires_after_its_ttl() {
    let cases = [
        (json!({}), Ok(Some(3_600))),
        (json!({ "ttlSeconds": null }), Ok(None)),
        (json!({ "ttlSeconds": " " }), Ok(Some(3_600))),
        (json!({ "ttlSeconds": 1 }), Ok(Some(1))),
        (json!({ "ttlSeconds": "60" }), Ok(Some(60))),
        (json!({ "ttlSeconds": 60.0 }), Ok(Some(60))),
        (json!({ "ttlSeconds": 31_536_000 }), Ok(Some(31_536_000))),
        (json!({ "ttlSeconds": 31_536_001 }), Err(Code::OutOfBounds)),
        (json!({ "ttlSeconds": 0 }), Err(Code::OutOfBounds)),
        (json!({ "ttlSeconds": -1 }), Err(Code::OutOfBounds)),
        (json!({ "ttlSeconds": 1.5 }), Err(Code::OutOfBounds)),
        (json!({ "ttlSeconds": 1e300 }), Err(Code::OutOfBounds)),
        (json!({ "ttlSeconds": "soon" }), Err(Code::OutOfBounds)),
        (json!({ "ttlSeconds": true }), Err(Code::OutOfBounds)),
    ];
    for (fields, want) in cases {
        let got = save(fields.clone()).map(|snapshot| snapshot["expiresAt"].clone());
        let expires_at = |seconds: i64| Timestamp::from_millis(1_000_000 + seconds * 1_000);
        let want = want.map(|ttl: Option<i64>| json!(ttl.map(expires_at)));
        assert_eq!(got.map_err(|error| error.code), want, "{fields}");
    }
}

/// The type of the state is checked when it is read, its size when the command is decided.
#[test]
fn snapshot_state_is_an_object_of_bounded_size() {
    let sized = |bytes: usize| json!({ "state": { "a": "x".repeat(bytes - 8) } });
    assert!(save(sized(MAX_STATE_BYTES)).is_ok());
    let error = save(sized(MAX_STATE_BYTES + 1)).unwrap_err();
    assert_eq!((error.code, &error.details["value"]), (Code::OutOfBounds, &json!(MAX_STATE_BYTES + 1)));
    let error = save(json!({ "state": [] })).unwrap_err();
    assert_eq!((error.code, &error.details["field"]), (Code::Validation, &json!("state")));
}

/// An actor may have the id that stands for no actor in the keys of rooms.
#[test]
fn snapshot_versions_of_rooms_and_actors_are_apart() {
    let mut harness = Harness::new();
    for (scope, version) in [(SnapshotScope::Room, 1), (SnapshotScope::Agent, 1), (SnapshotScope::Room, 2)] {
        let command = CreateSnapshot::read(&body(&json!({ "actorId": "-" })), scope).unwrap();
        assert_eq!(harness.decide(&command).unwrap().1["snapshot"]["version"], version);
    }
}
