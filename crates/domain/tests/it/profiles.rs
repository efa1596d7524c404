//! Profiles and their themes.

use agentcafe_domain::kernel::{Code, DomainError};
use agentcafe_domain::profiles::{Profile, ProfileOwner, UpdateProfile, UpsertProfile};
use agentcafe_domain::rooms::theme::Theme;
use serde_json::{Value, json};

use crate::harness::{Harness, actor, body};

fn upsert(harness: &mut Harness, mut fields: Value) -> Result<Profile, DomainError> {
    fields["actorId"] = json!("Nova");
    harness.decide(&UpsertProfile::read(&body(&fields)).unwrap())?;
    Ok(harness.all().remove(0))
}

/// The URL of an avatar is absolute, with the scheme http or https.
#[test]
fn profile_avatar_is_an_absolute_web_url() {
    let cases = [
        ("https://example.com/a.png", true),
        ("HTTP://example.com", true),
        ("http://[::1]:8080/x?y#z", true),
        ("http://user:pass@example.com/", true),
        ("https://bücher.example/ü", true),
        ("ftp://example.com/a.png", false),
        ("javascript:alert(1)", false),
        ("data:image/png;base64,AA", false),
        ("//example.com/a.png", false),
        ("/a.png", false),
        ("example.com/a.png", false),
        ("http:example.com", false),
        ("http:/example.com", false),
        ("http://", false),
        ("https://exa mple.com", false),
        ("https://example.com/a b", false),
        ("https://example.com:99999/", false),
        ("https://[::1", false),
        ("https://ex\u{7}ample.com", false),
    ];
    for (text, want) in cases {
        let fields = json!({ "displayName": "Nova", "avatarUrl": text });
        let got = upsert(&mut Harness::new(), fields).map_err(|error| error.code);
        assert_eq!(got.map(|_| ()), if want { Ok(()) } else { Err(Code::InvalidUrl) }, "{text}");
    }
}

/// A change keeps what it does not name; null and blank empty a field that may be empty.
#[test]
fn profile_update_changes_the_named_fields() {
    let whole = json!({"displayName": " Nova ", "avatarUrl": "https://a.example/", "bio": "b", "theme": {"textColor": "#000000"},
        "metadata": {"theme": "mine"}});
    let cases = [
        (json!({"displayName": "N"}), json!({"displayName": "N"})),
        (json!({"avatarUrl": null}), json!({"avatarUrl": null})),
        (json!({"avatarUrl": " "}), json!({"avatarUrl": null})),
        (json!({"bio": ""}), json!({"bio": null})),
        (json!({"theme": null}), json!({"theme": null})),
        (json!({"theme": {}}), json!({"theme": null})),
        (json!({"theme": {"accentColor": "#FFFFFF"}}), json!({"theme": {"accentColor": "#ffffff"}})),
        (json!({"metadata": null}), json!({"metadata": {}})),
        (json!({"metadata": {"a": 1}, "unknown": 1}), json!({"metadata": {"a": 1}})),
    ];
    for (sent, changed) in cases {
        let mut harness = Harness::new();
        let before = upsert(&mut harness, whole.clone()).unwrap();
        assert_eq!(before.display_name, "Nova");
        let mut want = json!(before);
        changed.as_object().unwrap().iter().for_each(|(name, value)| want[name] = value.clone());
        let nova = actor("Nova");
        let owner = ProfileOwner { tenant_id: nova.tenant_id, actor_id: nova.actor_id };
        harness.decide(&UpdateProfile::read(owner, &body(&sent))).unwrap();
        assert_eq!(json!(harness.all::<Profile>()), json!([want]), "{sent}");
    }
}

/// Colours are checked in order and kept in lower case; a theme without a part is none.
#[test]
fn theme_is_read_part_by_part() {
    let cases = [
        (json!({}), Ok(json!(null))),
        (json!({"font": "serif"}), Ok(json!(null))),
        (json!({"bubbleColor": "#AABBCC"}), Ok(json!({"bubbleColor": "#aabbcc"}))),
        (json!({"textColor": "#aabbccDD", "font": 1}), Ok(json!({"textColor": "#aabbccdd"}))),
        (json!({"textColor": null, "accentColor": ""}), Ok(json!({"textColor": null, "accentColor": null}))),
        (json!({"bubbleColor": "aabbcc"}), Err(("ERR_INVALID_COLOR", "theme.bubbleColor"))),
        (json!({"bubbleColor": "#abc"}), Err(("ERR_INVALID_COLOR", "theme.bubbleColor"))),
        (json!({"bubbleColor": "#aabbcg"}), Err(("ERR_INVALID_COLOR", "theme.bubbleColor"))),
        (json!({"bubbleColor": "#üüü"}), Err(("ERR_INVALID_COLOR", "theme.bubbleColor"))),
        (json!({"textColor": " #aabbcc"}), Err(("ERR_INVALID_COLOR", "theme.textColor"))),
        (json!({"accentColor": 7, "textColor": "red"}), Err(("ERR_INVALID_COLOR", "theme.textColor"))),
        (json!({"accentColor": 7}), Err(("ERR_VALIDATION", "accentColor"))),
        (json!({"bubbleColor": false, "textColor": "red"}), Err(("ERR_VALIDATION", "bubbleColor"))),
    ];
    for (sent, want) in cases {
        let read = Theme::read(sent.as_object().unwrap());
        let got = read.as_ref().map(|theme| json!(theme));
        let got = got.map_err(|error| (error.code.as_str(), error.details["field"].as_str().unwrap()));
        assert_eq!(got, want, "{sent}");
    }
    let theme = Theme::read(json!({"textColor": null, "accentColor": "#000000"}).as_object().unwrap());
    let stored = serde_json::to_vec(&theme.clone().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Option<Theme>>(&stored).unwrap(), theme.unwrap());
}
