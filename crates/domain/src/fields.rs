//! Reads what a client sent, field by field, with the contract's coercions and errors; and, asked
//! without a client, tells which fields a reader looks at, from which the OpenAPI document is made.

use std::{collections::HashMap, ops::RangeInclusive, sync::Mutex};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    ids::{ActorId, CorrelationId, InvalidId, MAX_ID_CHARS, RoomId, Sequence, TenantId},
    refusal::{Code, Refusal},
    time::Timestamp,
};

/// What a reader asked for: one property of a body or one query parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name on the wire.
    pub name: &'static str,
    /// Whether a request without it is refused.
    pub required: bool,
    /// Its JSON Schema.
    pub schema: Value,
}

enum Source {
    Body(Map<String, Value>),
    Query(HashMap<String, String>),
    Describing(Mutex<Vec<Field>>),
}

/// A JSON object or a query string, read by name. A JSON `null` and an empty parameter count as missing.
pub struct Fields(Source);

/// Where a reader of the log starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// After this event.
    After(Sequence),
    /// At the head: only what comes from now on.
    Latest,
}

impl Fields {
    /// Reads from the object a client sent as its body.
    pub fn of_body(body: Map<String, Value>) -> Self {
        Self(Source::Body(body))
    }

    /// Reads from decoded query parameters.
    pub fn of_query(query: HashMap<String, String>) -> Self {
        Self(Source::Query(query))
    }

    /// The object a client sent; none for query parameters.
    pub fn body(&self) -> Option<&Map<String, Value>> {
        match &self.0 {
            Source::Body(body) => Some(body),
            Source::Query(_) | Source::Describing(_) => None,
        }
    }

    /// Runs `reader` without a client, on values that are valid, and tells which fields it asked for.
    pub fn describe<T>(reader: impl FnOnce(&Self) -> T) -> Vec<Field> {
        let fields = Self(Source::Describing(Mutex::new(Vec::new())));
        reader(&fields);
        match fields.0 {
            Source::Describing(asked) => asked.into_inner().unwrap_or_default(),
            Source::Body(_) | Source::Query(_) => Vec::new(),
        }
    }

    pub(crate) fn is_describing(&self) -> bool {
        matches!(self.0, Source::Describing(_))
    }

    /// Notes the field when describing (`true`: answer with an example), else does nothing.
    fn note(&self, name: &'static str, required: bool, schema: impl FnOnce() -> Value) -> bool {
        let Source::Describing(asked) = &self.0 else { return false };
        if let Ok(mut asked) = asked.lock()
            && asked.iter().all(|field| field.name != name)
        {
            asked.push(Field { name, required, schema: schema() });
        }
        true
    }

    /// The value as sent; `None` when missing, null or (in a query) empty.
    fn sent(&self, name: &str) -> Option<Value> {
        match &self.0 {
            Source::Body(body) => body.get(name).filter(|value| !value.is_null()).cloned(),
            Source::Query(query) => {
                query.get(name).filter(|text| !text.is_empty()).map(|text| text.clone().into())
            }
            Source::Describing(_) => None,
        }
    }

    /// As [`Fields::sent`], and a blank text counts as missing too.
    fn sent_number(&self, name: &str) -> Option<Value> {
        self.sent(name).filter(|sent| sent.as_str().is_none_or(|text| !text.trim().is_empty()))
    }

    /// Whether the body has the key at all, be it null.
    pub fn has(&self, name: &str) -> bool {
        match &self.0 {
            Source::Body(body) => body.contains_key(name),
            Source::Query(query) => query.contains_key(name),
            Source::Describing(_) => true,
        }
    }

    /// A text that must be there: trimmed, not blank.
    ///
    /// # Errors
    /// `ERR_MISSING_FIELD {field}`, also for another type.
    pub fn required_text(&self, name: &'static str) -> Result<String, Refusal> {
        if self.note(name, true, || json!({ "type": "string", "minLength": 1 })) {
            return Ok("example".to_owned());
        }
        match self.sent(name) {
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            _ => Err(Refusal::missing(name)),
        }
    }

    /// A text that may be missing; kept as it is.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type.
    pub fn text(&self, name: &'static str) -> Result<Option<String>, Refusal> {
        if self.note(name, false, || json!({ "type": ["string", "null"] })) {
            return Ok(None);
        }
        match self.sent(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::invalid(name, format!("{name} must be a string"))),
        }
    }

    /// A text that may be missing; trimmed, and blank counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type.
    pub fn trimmed_text(&self, name: &'static str) -> Result<Option<String>, Refusal> {
        let text = self.text(name)?.map(|text| text.trim().to_owned());
        Ok(text.filter(|text| !text.is_empty()))
    }

    fn optional_id<T>(
        &self,
        name: &'static str,
        parse: fn(&str) -> Result<T, InvalidId>,
    ) -> Result<Option<T>, Refusal> {
        if self.note(name, false, || json!({ "type": ["string", "null"], "maxLength": MAX_ID_CHARS })) {
            return Ok(None);
        }
        match self.trimmed_text(name)? {
            None => Ok(None),
            Some(text) => parse(&text).map(Some).map_err(|why| Refusal::invalid(name, why.to_string())),
        }
    }

    /// An actor that must be named.
    ///
    /// # Errors
    /// `ERR_MISSING_FIELD {field}` when missing, blank or of another type; `ERR_VALIDATION {field}` when not a valid id.
    pub fn required_actor(&self, name: &'static str) -> Result<ActorId, Refusal> {
        if self.note(name, true, || json!({ "type": "string", "minLength": 1, "maxLength": MAX_ID_CHARS })) {
            return ActorId::parse("Nova").map_err(|why| Refusal::invalid(name, why.to_string()));
        }
        let text = self.required_text(name)?;
        ActorId::parse(&text).map_err(|why| Refusal::invalid(name, why.to_string()))
    }

    /// An actor that may be named; blank counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` when not a valid id.
    pub fn actor(&self, name: &'static str) -> Result<Option<ActorId>, Refusal> {
        self.optional_id(name, ActorId::parse)
    }

    /// A room that may be named; blank counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` when not a valid id.
    pub fn room(&self, name: &'static str) -> Result<Option<RoomId>, Refusal> {
        self.optional_id(name, RoomId::parse)
    }

    /// A tenant that may be named; blank counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` when not a valid id.
    pub fn tenant(&self, name: &'static str) -> Result<Option<TenantId>, Refusal> {
        self.optional_id(name, TenantId::parse)
    }

    /// A correlation id that may be given; blank counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` when not a valid id.
    pub fn correlation(&self, name: &'static str) -> Result<Option<CorrelationId>, Refusal> {
        self.optional_id(name, CorrelationId::parse)
    }

    /// A JSON object; missing counts as empty.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type.
    pub fn object(&self, name: &'static str) -> Result<Option<Map<String, Value>>, Refusal> {
        if self.note(name, false, || json!({ "type": ["object", "null"] })) {
            return Ok(None);
        }
        match self.sent(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(Refusal::invalid(name, format!("{name} must be an object"))),
        }
    }

    /// A list of texts: each trimmed, blanks dropped, the first of equals kept; at most `most` of them.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type or another type of member; `ERR_OUT_OF_BOUNDS {field, max, value}`.
    pub fn texts(&self, name: &'static str, most: usize) -> Result<Option<Vec<String>>, Refusal> {
        let schema = || json!({ "type": ["array", "null"], "items": { "type": "string" }, "maxItems": most });
        if self.note(name, false, schema) {
            return Ok(None);
        }
        let members = match self.sent(name) {
            None => return Ok(None),
            Some(Value::Array(members)) => members,
            Some(_) => return Err(Refusal::invalid(name, format!("{name} must be an array of strings"))),
        };
        let mut texts: Vec<String> = Vec::new();
        for member in members.iter().take(most.saturating_mul(4)) {
            let Value::String(text) = member else {
                return Err(Refusal::invalid(name, format!("{name} must be an array of strings")));
            };
            let text = text.trim();
            if !text.is_empty() && !texts.iter().any(|known| known == text) {
                texts.push(text.to_owned());
            }
        }
        if texts.len() > most || members.len() > most.saturating_mul(4) {
            return Err(too_many(name, most, members.len()));
        }
        Ok(Some(texts))
    }

    /// One of `allowed`, compared without case; missing counts as the first.
    ///
    /// # Errors
    /// `ERR_INVALID_ENUM {field, allowed}`.
    pub fn choice<T: Copy>(&self, name: &'static str, allowed: &[(&str, T)]) -> Result<Option<T>, Refusal> {
        let names = || allowed.iter().map(|(text, _)| (*text).into()).collect::<Vec<Value>>();
        let schema = || {
            let mut values = names();
            values.push(Value::Null);
            json!({ "enum": values })
        };
        if self.note(name, false, schema) {
            return Ok(None);
        }
        let Some(sent) = self.sent(name) else { return Ok(None) };
        let wanted = sent.as_str().unwrap_or_default().trim();
        let found = allowed.iter().find(|(text, _)| text.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| Some(*value)).ok_or_else(|| {
            Refusal::new(Code::InvalidEnum)
                .saying(format!("{name} is not one of the allowed values"))
                .with("field", name)
                .with("allowed", names())
        })
    }

    /// As [`Fields::choice`], of a text: a blank one counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type, `ERR_INVALID_ENUM {field, allowed}`.
    pub fn text_choice<T: Copy>(
        &self,
        name: &'static str,
        allowed: &[(&str, T)],
    ) -> Result<Option<T>, Refusal> {
        match self.sent(name) {
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(_)) | None => self.choice(name, allowed),
            Some(_) => Err(Refusal::invalid(name, format!("{name} must be a string"))),
        }
    }

    /// As [`Fields::choice`], and it must be there; `code` says what a missing or unknown one is called.
    ///
    /// # Errors
    /// `code {field, allowed}`; `ERR_MISSING_FIELD {field}` when missing.
    pub fn required_choice<T: Copy>(
        &self,
        name: &'static str,
        allowed: &[(&str, T)],
        code: Code,
    ) -> Result<T, Refusal> {
        let names: Vec<Value> = allowed.iter().map(|(text, _)| (*text).into()).collect();
        if self.note(name, true, || json!({ "enum": names }))
            && let Some((_, value)) = allowed.first()
        {
            return Ok(*value);
        }
        let wanted = self.required_text(name)?;
        let found = allowed.iter().find(|(text, _)| text.eq_ignore_ascii_case(&wanted));
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| Refusal::new(code).with("field", name).with("allowed", names))
    }

    /// One of `allowed`, to the letter; `unknown` makes the refusal of anything else.
    ///
    /// # Errors
    /// `ERR_MISSING_FIELD {field}` when missing or blank; what `unknown` makes.
    pub fn exact_choice<T: Copy>(
        &self,
        name: &'static str,
        allowed: &[(&str, T)],
        unknown: impl FnOnce(String) -> Refusal,
    ) -> Result<T, Refusal> {
        let names = || allowed.iter().map(|(text, _)| (*text).into()).collect::<Vec<Value>>();
        if self.note(name, false, || json!({ "enum": names() }))
            && let Some((_, value)) = allowed.first()
        {
            return Ok(*value);
        }
        let wanted = match self.sent(name) {
            Some(Value::String(text)) if !text.trim().is_empty() => text,
            _ => return Err(Refusal::missing(name)),
        };
        let found = allowed.iter().find(|(text, _)| *text == wanted);
        found.map(|(_, value)| *value).ok_or_else(|| unknown(wanted))
    }

    /// `true` or `false`: a JSON boolean in a body; `true/1/yes` or `false/0/no` in a query, where anything else counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for anything but a boolean in a body.
    pub fn flag(&self, name: &'static str) -> Result<Option<bool>, Refusal> {
        if self.note(name, false, || json!({ "type": ["boolean", "null"] })) {
            return Ok(None);
        }
        match (&self.0, self.sent(name)) {
            (_, None) => Ok(None),
            (Source::Query(_), Some(Value::String(text))) => Ok(match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" => Some(true),
                "false" | "0" | "no" => Some(false),
                _ => None,
            }),
            (_, Some(Value::Bool(flag))) => Ok(Some(flag)),
            (_, Some(_)) => Err(Refusal::invalid(name, format!("{name} must be true or false"))),
        }
    }

    /// Whether a list's `order` is `desc`; anything else means `asc`.
    pub fn is_descending(&self) -> bool {
        if self.note("order", false, || json!({ "enum": ["asc", "desc"] })) {
            return false;
        }
        self.sent("order").is_some_and(|order| order.as_str() == Some("desc"))
    }

    /// A moment, RFC 3339; blank counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field, value}`.
    pub fn timestamp(&self, name: &'static str) -> Result<Option<Timestamp>, Refusal> {
        if self.note(name, false, || json!({ "type": ["string", "null"], "format": "date-time" })) {
            return Ok(None);
        }
        match self.sent(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) if let Some(at) = Timestamp::parse(&text) => Ok(Some(at)),
            Some(other) => {
                Err(Refusal::invalid(name, format!("{name} must be an RFC 3339 date-time"))
                    .with("value", other))
            }
        }
    }

    /// A whole number, held within `range`.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field, value}` if it is not a whole number.
    pub fn integer(&self, name: &'static str, range: RangeInclusive<i64>) -> Result<Option<i64>, Refusal> {
        let (low, high) = (*range.start(), *range.end());
        if self.note(name, false, || json!({ "type": ["integer", "null"], "minimum": low, "maximum": high }))
        {
            return Ok(None);
        }
        let Some(sent) = self.sent_number(name) else { return Ok(None) };
        let whole = match &sent {
            Value::Number(number) => whole_number(number.as_i64(), number.as_f64()),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        whole.map(|number| Some(number.clamp(low, high))).ok_or_else(|| {
            Refusal::invalid(name, format!("{name} must be a whole number")).with("value", sent)
        })
    }

    /// A limit of a list: `standard` when missing, else within 1 and `most`.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field, value}` if it is not a whole number.
    pub fn limit(&self, standard: usize, most: usize) -> Result<usize, Refusal> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let limit = self.integer("limit", 1..=most)?;
        Ok(limit.map_or(standard, |limit| usize::try_from(limit).unwrap_or(standard)))
    }

    /// A number that is refused outside `range`, and rounded (halves up) within.
    ///
    /// # Errors
    /// `ERR_OUT_OF_BOUNDS {field, min, max, value}`.
    pub fn bounded(&self, name: &'static str, range: RangeInclusive<i64>) -> Result<Option<i64>, Refusal> {
        let (low, high) = (*range.start(), *range.end());
        if self.note(name, false, || json!({ "type": ["number", "null"], "minimum": low, "maximum": high })) {
            return Ok(None);
        }
        let Some(sent) = self.sent_number(name) else { return Ok(None) };
        let refused = |value: Value| {
            Refusal::new(Code::OutOfBounds)
                .saying(format!("{name} must be between {low} and {high}"))
                .with("field", name)
                .with("min", low)
                .with("max", high)
                .with("value", value)
        };
        let Some(number) = number(&sent).map(round_half_up) else { return Err(refused(sent)) };
        if (low as f64..=high as f64).contains(&number) {
            Ok(Some(number as i64))
        } else {
            Err(refused(json!(number)))
        }
    }

    /// A number that must be there, rounded (halves up); `None` if it is missing or not a number.
    pub fn coordinate(&self, name: &'static str, range: RangeInclusive<i64>) -> Option<f64> {
        let (low, high) = (*range.start(), *range.end());
        if self.note(name, false, || json!({ "type": "number", "minimum": low, "maximum": high })) {
            return Some(low as f64);
        }
        self.sent(name).as_ref().and_then(number).map(round_half_up)
    }

    /// A duration or count that is held within `range`; rounded.
    ///
    /// # Errors
    /// `ERR_OUT_OF_BOUNDS {field, min, max, value}` if it is not a number.
    pub fn clamped(&self, name: &'static str, range: RangeInclusive<i64>) -> Result<Option<i64>, Refusal> {
        let (low, high) = (*range.start(), *range.end());
        if self.note(name, false, || json!({ "type": ["number", "null"] })) {
            return Ok(None);
        }
        let Some(sent) = self.sent_number(name) else { return Ok(None) };
        match number(&sent) {
            Some(number) => Ok(Some((round_half_up(number) as i64).clamp(low, high))),
            None => Err(Refusal::new(Code::OutOfBounds)
                .saying(format!("{name} must be a number"))
                .with("field", name)
                .with("min", low)
                .with("max", high)
                .with("value", sent)),
        }
    }

    /// A place in the log: a sequence, or `latest`.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field, value}`.
    pub fn cursor(&self, name: &'static str) -> Result<Option<Cursor>, Refusal> {
        let schema = || json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "const": "latest" }] });
        if self.note(name, false, schema) {
            return Ok(None);
        }
        if self.sent(name).is_some_and(|sent| sent == "latest") {
            return Ok(Some(Cursor::Latest));
        }
        Ok(self.sequence(name)?.map(Cursor::After))
    }

    /// A sequence (of events, inbox items or audit entries).
    ///
    /// # Errors
    /// `ERR_VALIDATION {field, value}`.
    pub fn sequence(&self, name: &'static str) -> Result<Option<Sequence>, Refusal> {
        let number = self.integer(name, 0..=i64::MAX)?;
        Ok(number.map(|number| Sequence(number.unsigned_abs())))
    }

    /// A list of at most `most` UUIDs; missing counts as empty.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field, value}` for a member that is none, `ERR_OUT_OF_BOUNDS {field, max, value}` for too many.
    pub fn uuids(&self, name: &'static str, most: usize) -> Result<Vec<Uuid>, Refusal> {
        let schema = || json!({ "type": ["array", "null"], "items": { "type": "string", "format": "uuid" }, "maxItems": most });
        if self.note(name, false, schema) {
            return Ok(Vec::new());
        }
        let members = match self.sent(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(members)) => members,
            Some(_) => return Err(Refusal::invalid(name, format!("{name} must be an array of UUIDs"))),
        };
        if members.len() > most {
            return Err(too_many(name, most, members.len()));
        }
        let parse = |member: Value| {
            let id = member.as_str().and_then(|text| Uuid::parse_str(text.trim()).ok());
            id.ok_or_else(|| {
                Refusal::invalid(name, format!("{name} must be an array of UUIDs")).with("value", member)
            })
        };
        members.into_iter().map(parse).collect()
    }

    /// Names separated by commas; blanks dropped. Missing and empty mean no filter.
    pub fn names(&self, name: &'static str) -> Vec<String> {
        if self.note(name, false, || json!({ "type": "string" })) {
            return Vec::new();
        }
        let sent = self.sent(name);
        let text = sent.as_ref().and_then(Value::as_str).unwrap_or_default();
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// The fields of the object under `name`, or these fields themselves if there is none.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type.
    pub fn nested_or_self(&self, name: &'static str) -> Result<Option<Self>, Refusal> {
        let nested = self.object(name)?;
        if self.is_describing() { Ok(None) } else { Ok(nested.map(Self::of_body)) }
    }
}

fn too_many(name: &str, most: usize, sent: usize) -> Refusal {
    Refusal::new(Code::OutOfBounds)
        .saying(format!("{name} has at most {most} members"))
        .with("field", name)
        .with("max", most)
        .with("value", sent)
}

fn whole_number(integer: Option<i64>, float: Option<f64>) -> Option<i64> {
    integer.or_else(|| {
        let float = float.filter(|float| float.fract() == 0.0 && float.abs() < 9e15)?;
        Some(float as i64)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn body(value: Value) -> Fields {
        Fields::of_body(value.as_object().cloned().unwrap())
    }

    fn query(name: &str, value: &str) -> Fields {
        Fields::of_query(HashMap::from([(name.to_owned(), value.to_owned())]))
    }

    /// RULINGS E9: integers only, numeric strings count, out of range clamps, anything else is refused.
    #[test]
    fn integers_are_whole_and_clamped() {
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
            if let Err(refusal) = got {
                assert_eq!(refusal.code, Code::Validation);
                assert_eq!(refusal.details["value"], sent);
            }
        }
        assert_eq!(
            query("limit", "1.5").limit(100, 500).map_err(|refusal| refusal.code),
            Err(Code::Validation)
        );
        assert_eq!(query("limit", "").limit(100, 500), Ok(100));
    }

    /// CONTRACT 2.9 and RULINGS J11: booleans in bodies are booleans; a query knows a few words.
    #[test]
    fn flags_are_not_guessed() {
        assert_eq!(body(json!({ "f": true })).flag("f"), Ok(Some(true)));
        assert!(body(json!({ "f": "false" })).flag("f").is_err());
        assert!(body(json!({ "f": 1 })).flag("f").is_err());
        for (text, want) in [("YES", Some(true)), ("0", Some(false)), ("maybe", None)] {
            assert_eq!(query("f", text).flag("f"), Ok(want));
        }
    }

    /// CONTRACT 9.1: steps are rounded, then refused outside 1 to 50 with the value that was meant.
    #[test]
    fn bounded_numbers_are_rounded_then_refused() {
        for (sent, want) in [(json!(2.5), Some(3)), (json!("4"), Some(4)), (json!(50.4), Some(50))] {
            assert_eq!(body(json!({ "steps": sent })).bounded("steps", 1..=50), Ok(want));
        }
        for (sent, value) in [(json!(0), json!(0.0)), (json!(51), json!(51.0)), (json!("x"), json!("x"))] {
            let refusal = body(json!({ "steps": sent })).bounded("steps", 1..=50).unwrap_err();
            assert_eq!((refusal.code, &refusal.details["value"]), (Code::OutOfBounds, &value));
        }
    }

    #[test]
    fn a_reader_describes_itself() {
        let asked = Fields::describe(|fields| {
            let _ = fields.required_actor("actorId");
            let _ = fields.text("note");
        });
        let names: Vec<_> = asked.iter().map(|field| (field.name, field.required)).collect();
        assert_eq!(names, [("actorId", true), ("note", false)]);
    }
}
