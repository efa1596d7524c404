//! Completes the descriptions of answers.

use serde_json::{Map, Value};

/// Gives every property of every schema that has no description one.
pub(super) fn describe_all(schemas: &mut Map<String, Value>) {
    schemas.values_mut().for_each(describe);
}

/// Gives every property in a schema that has no description one. Links in doc comments lead nowhere here.
fn describe(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.replace("[`", "`").replace("`]", "`");
            }
            if let Some(Value::Object(properties)) = members.get_mut("properties") {
                for (name, property) in properties {
                    if let Value::Object(property) = property
                        && !property.contains_key("description")
                        && let Some(meaning) = meaning(name)
                    {
                        property.insert("description".to_owned(), meaning.into());
                    }
                }
            }
            members.values_mut().for_each(describe);
        }
        Value::Array(members) => members.iter_mut().for_each(describe),
        _ => {}
    }
}

fn meaning(name: &str) -> Option<&'static str> {
    MEANINGS.iter().find(|(known, _)| *known == name).map(|(_, meaning)| *meaning)
}

/// The tag and the content of a tagged enum cannot have doc comments.
const MEANINGS: &[(&str, &str)] = &[
    ("actionPayload", "How the target does it. Its members depend on actionType."),
    ("actionType", "What the target does."),
];
