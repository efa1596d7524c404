//! Readers of what a client sends, and the declarations of its fields.

use std::collections::HashMap;

use agentcafe_domain::kernel::{ACTOR_ID, Code, EXAMPLE_ID, Field, Fields};
use serde_json::{Value, json};

const F: Field = Field::new("f", "A field.", "");
const STEPS: Field = Field::new("steps", "How many steps to take.", "2");
const MINUTES: Field = Field::new("minutes", "How many minutes.", "5");

fn body(value: Value) -> Fields {
    crate::harness::body(&value)
}

fn query(name: &str, value: &str) -> Fields {
    Fields::of_query(HashMap::from([(name.to_owned(), value.to_owned())]))
}

/// A body takes only JSON booleans; a query takes a few words.
#[test]
fn fields_flag_is_a_boolean_or_a_known_word() {
    assert_eq!(body(json!({ "f": true })).flag(F), Ok(Some(true)));
    assert!(body(json!({ "f": "false" })).flag(F).is_err());
    assert!(body(json!({ "f": 1 })).flag(F).is_err());
    for (text, want) in [("YES", Some(true)), ("0", Some(false)), ("maybe", None)] {
        assert_eq!(query("f", text).flag(F), Ok(want));
    }
}

/// A reader without a client yields the fields that it reads.
#[test]
fn fields_describe_their_reader() {
    let fields = Fields::describing();
    let _ = fields.required_actor(ACTOR_ID);
    let _ = fields.text(F);
    let names: Vec<_> = fields.described().iter().map(|field| (field.name, field.required)).collect();
    assert_eq!(names, [("actorId", true), ("f", false)]);
}

/// Integers only; numeric strings count, out of range is clamped, anything else is refused.
#[test]
fn fields_integer_is_whole_and_clamped() {
    let cases = [
        (json!(7), Some(7)),
        (json!("7"), Some(7)),
        (json!(7.0), Some(7)),
        (json!(0), Some(1)),
        (json!(-1), Some(1)),
        (json!(1e12), Some(500)),
        (json!(1.5), None),
        (json!("abc"), None),
        (json!(true), None),
        (json!([1]), None),
    ];
    for (sent, want) in cases {
        let got = body(json!({ "limit": sent })).limit(100, 500);
        assert_eq!(got.clone().ok(), want, "{sent}");
        if let Err(error) = got {
            assert_eq!(error.code, Code::Validation);
            assert_eq!(error.details["value"], sent);
        }
    }
    assert_eq!(query("limit", "1.5").limit(100, 500).map_err(|error| error.code), Err(Code::Validation));
    assert_eq!(query("limit", "").limit(100, 500), Ok(100));
}

/// A number is rounded, then refused outside its range, with the rounded value in the details.
#[test]
fn fields_bounded_number_is_rounded_then_refused() {
    for (sent, want) in [(json!(2.5), Some(3)), (json!("4"), Some(4)), (json!(50.4), Some(50))] {
        assert_eq!(body(json!({ "steps": sent })).bounded(STEPS, 1..=50), Ok(want));
    }
    for (sent, value) in [(json!(0), json!(0.0)), (json!(51), json!(51.0)), (json!("x"), json!("x"))] {
        let error = body(json!({ "steps": sent })).bounded(STEPS, 1..=50).unwrap_err();
        assert_eq!((error.code, &error.details["value"]), (Code::OutOfBounds, &value));
    }
}

/// A number may be a fraction, is clamped to its range, and anything that is no number is refused.
#[test]
fn fields_number_is_clamped_and_keeps_its_fraction() {
    for (sent, want) in [
        ("10", Some(10.0)),
        ("1.5", Some(1.5)),
        ("-3", Some(1.0)),
        ("1e9", Some(120.0)),
        ("abc", None),
        ("inf", None),
    ] {
        let got = query("minutes", sent).number(MINUTES, 1.0..=120.0);
        assert_eq!(got.map_err(|error| error.code), want.map(Some).ok_or(Code::Validation), "{sent}");
    }
}

/// An example is JSON if it can be, else a text.
#[test]
fn field_examples_are_json_or_text() {
    let example = |text| Field::new("f", "", text).described(false, json!({})).example;
    for (text, want) in [
        ("", None),
        ("50", Some(json!(50))),
        ("true", Some(json!(true))),
        (r#"["Kai"]"#, Some(json!(["Kai"]))),
        ("Fix the build", Some(json!("Fix the build"))),
        (EXAMPLE_ID, Some(json!(EXAMPLE_ID))),
    ] {
        assert_eq!(example(text), want);
    }
}

/// An error says which field, what is allowed, and what the field is for.
#[test]
fn field_errors_name_the_field_its_meaning_and_an_example() {
    assert_eq!(STEPS.missing().message, "steps is required. How many steps to take.");
    assert_eq!(STEPS.must_be("a number").message, "steps must be a number, for example 2");
    let error = STEPS.not_one_of(Code::InvalidEnum, &[("one", 1), ("two", 2)]);
    assert_eq!(error.message, "steps must be one of: one, two");
    assert_eq!(error.details["allowed"], json!(["one", "two"]));
}
