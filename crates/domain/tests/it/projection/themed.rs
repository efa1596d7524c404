//! A room with the themes of its actors.

use std::collections::{BTreeSet, HashMap};

use agentcafe_domain::rooms::theme::Theme;

use super::*;

/// Every actor that is shown has a theme or null, and nothing else changes.
#[test]
fn themed_snapshot_adds_a_theme_or_null_to_every_actor() {
    let mut projection = RoomProjection::new(TenantId::default(), RoomId::main());
    for (name, kind) in [
        ("Nova", EventType::ConversationMessagePosted),
        ("Kai", EventType::ConversationMessagePosted),
        ("Kai", EventType::AgentLeft),
        ("Bo", EventType::AgentEntered),
        ("Op", EventType::OperatorOverrideApplied),
    ] {
        projection.apply(&event(kind, name, json!({ "text": "hi" })));
    }
    let plain = projection.snapshot();
    let names = |actors: BTreeSet<ActorId>| actors.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(plain.shown_actors()), ["Bo", "Kai", "Nova"]);
    let theme = json!({ "bubbleColor": "#102030" });
    let read = Theme::read(theme.as_object().unwrap()).unwrap().unwrap();
    let themes = HashMap::from([(ActorId::parse("Kai").unwrap(), read)]);
    let mut themed = serde_json::to_value(plain.clone().themed(&themes)).unwrap();
    let context = themed.as_object_mut().unwrap().remove("conversationContext");
    let all = json!({ "actorThemes": { "Bo": null, "Kai": theme, "Nova": null } });
    assert_eq!(context, Some(all.clone()));
    for list in ["actors", "chat", "messages"] {
        for entry in themed[list].as_array_mut().unwrap() {
            let got = entry.as_object_mut().unwrap().remove("theme");
            let actor = entry["actorId"].as_str().unwrap();
            assert_eq!(got.as_ref(), Some(&all["actorThemes"][actor]), "{list} {actor}");
        }
    }
    assert_eq!(themed, serde_json::to_value(plain).unwrap());
}
