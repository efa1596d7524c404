//! The schemas of the OpenAPI document as its readers want them: described, and with plain enumerations.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};

/// A generator of schemas for what the server sends, which it keeps as `components`.
pub(crate) fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .with_transform(RecursiveTransform(join_choices))
        .with_transform(RecursiveTransform(complete_descriptions))
        .with_transform(RecursiveTransform(list_constants))
        .with_transform(RecursiveTransform(name_integer_format))
        .into_generator()
}

/// Turns an object that has the members of one of several choices beside its own into one that may have those of any: generators of
/// clients know either members or choices.
fn join_choices(schema: &mut Schema) {
    let keyword = if schema.get("oneOf").is_some() { "oneOf" } else { "anyOf" };
    let Some(Value::Array(choices)) = schema.get(keyword).cloned() else { return };
    if schema.get("properties").is_none() || choices.iter().any(|choice| choice["type"] != "object") {
        return;
    }
    schema.remove(keyword);
    let mut kinds: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for (name, kind) in choices.iter().filter_map(|choice| choice["properties"].as_object()).flatten() {
        kinds.entry(name).or_default().push(kind);
    }
    let is_required = |name: &Value| {
        choices.iter().all(|choice| choice["required"].as_array().is_some_and(|names| names.contains(name)))
    };
    let required: Vec<Value> = kinds.keys().map(|name| Value::from(*name)).filter(is_required).collect();
    if let Some(Value::Array(known)) = schema.get_mut("required") {
        known.extend(required);
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.extend(kinds.into_iter().map(|(name, kinds)| (name.to_owned(), joined(kinds))));
    }
}

/// What is of any of these kinds: a plain `enum` if they are constants.
fn joined(mut kinds: Vec<&Value>) -> Value {
    kinds.dedup();
    let constants: Option<Value> = kinds.iter().map(|kind| kind.get("const").cloned()).collect();
    match (&kinds[..], constants) {
        ([kind], _) => (*kind).clone(),
        (_, Some(constants)) => json!({ "type": "string", "enum": constants }),
        (kinds, None) => json!({ "anyOf": kinds }),
    }
}

/// Removes what doc comments link to, which is not in the document, and describes members that cannot have doc comments: the
/// tag and the content of an enum.
fn complete_descriptions(schema: &mut Schema) {
    const MEMBERS: [(&str, &str); 2] = [
        ("actionPayload", "How the target does it. Its members depend on actionType."),
        ("actionType", "What the target does."),
    ];
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace("[`", "`").replace("`]", "`");
    }
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for (name, description) in MEMBERS {
        if let Some(Value::Object(property)) = properties.get_mut(name) {
            property.entry("description").or_insert_with(|| description.into());
        }
    }
}

/// Turns a choice of constants into an `enum`, which generators of clients know better, and lists their meanings in its description.
fn list_constants(schema: &mut Schema) {
    let Some(Value::Array(choices)) = schema.get("oneOf") else { return };
    let constants: Option<Value> = choices.iter().map(|choice| choice.get("const").cloned()).collect();
    let Some(constants) = constants else { return };
    let meaning = |choice: &Value| {
        let (name, meaning) = (format!("`{}`", choice["const"].as_str()?), choice["description"].as_str()?);
        (name != meaning).then(|| format!("- {name}: {meaning}"))
    };
    let own = schema.get("description").and_then(Value::as_str).map(str::to_owned);
    let paragraphs: Vec<String> = own.into_iter().chain(choices.iter().filter_map(meaning)).collect();
    schema.remove("oneOf");
    schema.insert("type".to_owned(), "string".into());
    schema.insert("enum".to_owned(), constants);
    schema.insert("description".to_owned(), paragraphs.join("\n").into());
}

/// Gives unsigned integers the format that generators of clients know; their minimum is 0.
fn name_integer_format(schema: &mut Schema) {
    if let Some(Value::String(format)) = schema.get_mut("format")
        && format.starts_with("uint")
    {
        *format = "int64".to_owned();
    }
}
