//! Numbers, limits and cursors: which are clamped, which are refused, and with what.

use std::ops::RangeInclusive;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Cursor, Field, Fields, LIMIT};
use crate::kernel::error::DomainError;
use crate::kernel::ids::Sequence;
use crate::kernel::money::Usd;

impl Fields {
    /// As [`Fields::optional`], of a number or integer (`kind`), and a blank text counts as missing too.
    fn optional_number(
        &self,
        field: Field,
        kind: &str,
        range: &RangeInclusive<impl Serialize>,
    ) -> Option<&Value> {
        let (low, high) = (range.start(), range.end());
        let schema = || json!({ "type": [kind, "null"], "minimum": low, "maximum": high });
        self.optional(field, schema).filter(|sent| is_not_blank(sent))
    }

    /// A whole number, held within `range`.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field, value}` if it is not a whole number.
    pub fn integer(&self, field: Field, range: RangeInclusive<i64>) -> Result<Option<i64>, DomainError> {
        let Some(sent) = self.optional_number(field, "integer", &range) else { return Ok(None) };
        whole_number(sent)
            .map(|number| Some(number.clamp(*range.start(), *range.end())))
            .ok_or_else(|| field.must_be("a whole number").with("value", sent.clone()))
    }

    /// A limit of a list: `default` when missing, else within 1 and `max`.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field, value}` if it is not a whole number.
    pub fn limit(&self, default: usize, max: usize) -> Result<usize, DomainError> {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        let limit = self.integer(LIMIT, 1..=max)?;
        Ok(limit.map_or(default, |limit| usize::try_from(limit).unwrap_or(default)))
    }

    /// A number that is refused outside `range`, and rounded (halves up) within.
    ///
    /// # Errors
    /// `ERR_OUT_OF_BOUNDS {field, min, max, value}`.
    pub fn bounded(&self, field: Field, range: RangeInclusive<i64>) -> Result<Option<i64>, DomainError> {
        let Some(sent) = self.optional_number(field, "number", &range) else { return Ok(None) };
        within(field, range, sent, |number| Some(round_half_up(number)))
    }

    /// A whole number that is refused outside `range`.
    ///
    /// # Errors
    /// `ERR_OUT_OF_BOUNDS {field, min, max, value}`, also for a fraction.
    pub fn bounded_integer(
        &self,
        field: Field,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, DomainError> {
        let Some(sent) = self.optional_number(field, "integer", &range) else { return Ok(None) };
        within(field, range, sent, |number| (number.fract() == 0.0).then_some(number))
    }

    /// A number, held within `range`; fractions are kept.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field, value}` if it is not a number.
    pub fn number(&self, field: Field, range: RangeInclusive<f64>) -> Result<Option<f64>, DomainError> {
        let Some(sent) = self.optional_number(field, "number", &range) else { return Ok(None) };
        number(sent)
            .map(|number| Some(number.clamp(*range.start(), *range.end())))
            .ok_or_else(|| field.must_be("a number").with("value", sent.clone()))
    }

    /// A number that must be there, rounded (halves up); `None` if it is missing or not a number.
    pub fn coordinate(&self, field: Field, range: RangeInclusive<i64>) -> Option<f64> {
        let (low, high) = (*range.start(), *range.end());
        if self.note(field, false, || json!({ "type": "number", "minimum": low, "maximum": high })) {
            return Some(low as f64);
        }
        self.sent(field).and_then(number).map(round_half_up)
    }

    /// A duration or count that is held within `range`; rounded.
    ///
    /// # Errors
    /// `ERR_OUT_OF_BOUNDS {field, min, max, value}` if it is not a number.
    pub fn clamped(&self, field: Field, range: RangeInclusive<i64>) -> Result<Option<i64>, DomainError> {
        let (low, high) = (*range.start(), *range.end());
        let held = || format!("What is below {low} counts as {low}, what is above {high} as {high}.");
        let schema = || json!({ "type": ["number", "null"], "description": held() });
        let Some(sent) = self.optional(field, schema).filter(|sent| is_not_blank(sent)) else {
            return Ok(None);
        };
        match number(sent) {
            Some(number) => Ok(Some((round_half_up(number) as i64).clamp(low, high))),
            None => Err(out_of_bounds(field, &format!("a number, {low} to {high}"), sent)
                .with("min", low)
                .with("max", high)),
        }
    }

    /// An amount in dollars, rounded to cents; blank counts as missing.
    ///
    /// # Errors
    /// `ERR_OUT_OF_BOUNDS {field, min, value}` if it is no number, negative, or more than a million.
    pub fn amount(&self, field: Field) -> Result<Option<Usd>, DomainError> {
        let Some(sent) = self.optional_number(field, "number", &(0..=1_000_000)) else { return Ok(None) };
        number(sent)
            .and_then(Usd::from_dollars)
            .map(Some)
            .ok_or_else(|| out_of_bounds(field, "an amount in dollars, 0 to 1000000", sent).with("min", 0))
    }

    /// A position in the log: a sequence, or `latest`.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field, value}`.
    pub fn cursor(&self, field: Field) -> Result<Option<Cursor>, DomainError> {
        let schema = || json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "const": "latest" }] });
        if self.optional(field, schema).is_some_and(|sent| sent == "latest") {
            return Ok(Some(Cursor::Latest));
        }
        Ok(self.sequence(field)?.map(Cursor::After))
    }

    /// A sequence (of events, inbox items or audit entries).
    ///
    /// # Errors
    /// `ERR_VALIDATION {field, value}`, also for a negative number.
    pub fn sequence(&self, field: Field) -> Result<Option<Sequence>, DomainError> {
        let Some(sent) = self.optional_number(field, "integer", &(0..=i64::MAX)) else { return Ok(None) };
        let sequence = whole_number(sent).and_then(|number| u64::try_from(number).ok());
        sequence
            .map(|sequence| Some(Sequence(sequence)))
            .ok_or_else(|| field.must_be("a whole number, 0 or more").with("value", sent.clone()))
    }
}

fn out_of_bounds(field: Field, what: &str, value: &Value) -> DomainError {
    DomainError::out_of_bounds(field.name, field.must_be(what).message, value.clone())
}

fn is_not_blank(sent: &Value) -> bool {
    sent.as_str().is_none_or(|text| !text.trim().is_empty())
}

/// The number, as `whole` makes it whole, if it is within `range`.
fn within(
    field: Field,
    range: RangeInclusive<i64>,
    sent: &Value,
    whole: impl FnOnce(f64) -> Option<f64>,
) -> Result<Option<i64>, DomainError> {
    let (low, high) = (*range.start(), *range.end());
    let refused = |value: &Value| {
        out_of_bounds(field, &format!("a number between {low} and {high}"), value)
            .with("min", low)
            .with("max", high)
    };
    let Some(number) = number(sent).and_then(whole) else { return Err(refused(sent)) };
    if (low as f64..=high as f64).contains(&number) {
        Ok(Some(number as i64))
    } else {
        Err(refused(&json!(number)))
    }
}

/// A whole JSON number, or a text that is one.
fn whole_number(sent: &Value) -> Option<i64> {
    match sent {
        Value::Number(number) => number.as_i64().or_else(|| {
            let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15)?;
            Some(float as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A JSON number, or a text that is one. Never infinite.
fn number(sent: &Value) -> Option<f64> {
    let number = match sent {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

fn round_half_up(number: f64) -> f64 {
    (number + 0.5).floor()
}
