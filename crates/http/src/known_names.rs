//! The names that an operation reads. What else a request names is refused if the request asks for strict handling, and else
//! named in a header of the response.

use agentcafe_domain::kernel::{Code, DescribedField, DomainError, Fields};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use strsim::jaro_winkler;

use crate::auth::TICKET_PARAM;
use crate::preferences;

const WARNINGS: HeaderName = HeaderName::from_static("x-agentcafe-warnings");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const STRICT: HeaderValue = HeaderValue::from_static("handling=strict");
/// The most unknown names of a request that are shown.
const MAX_SHOWN: usize = 8;
/// How much of a name is shown, in characters.
const MAX_NAME_CHARS: usize = 64;
/// How similar a name must be to be suggested, from 0 to 1.
const MIN_SIMILARITY: f64 = 0.85;
/// How much more similar a name of the other part of a request must be.
const OTHER_PART: f64 = 0.01;
/// What stands in a header as it was sent; the rest is percent-encoded.
const SHOWN_AS_SENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.').remove(b'$');

/// A name, and those that the object under it may have; empty: any.
type Name = (&'static str, &'static [&'static str]);

/// The names that an operation reads of the query and of the body.
pub struct KnownNames {
    query: Vec<Name>,
    body: Vec<Name>,
    /// The query parameter that may hold a token.
    token_param: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Query,
    Body,
}

/// A name that a request has and its operation does not read.
struct UnknownName {
    part: Part,
    /// The member of the body that holds the object with this name.
    parent: Option<Name>,
    name: String,
    nearest: Option<(&'static str, Part)>,
}

/// How a request is handled.
pub struct Handling<'k> {
    known: &'k KnownNames,
    is_strict: bool,
    /// The first of the unknown names.
    unknown: Vec<UnknownName>,
    count: usize,
}

fn names(fields: &[DescribedField]) -> Vec<Name> {
    let mut names: Vec<Name> = fields.iter().map(|field| (field.name, field.members)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

impl KnownNames {
    /// The names of these fields. `token_param` is the query parameter that may hold a token.
    pub fn new(query: &[DescribedField], body: &[DescribedField], token_param: &str) -> Self {
        Self { query: names(query), body: names(body), token_param: token_param.to_owned() }
    }

    /// How a request with these headers, this query and this body is handled.
    pub fn handling(&self, headers: &HeaderMap, query: &Fields, body: &Fields) -> Handling<'_> {
        let is_strict = preferences::is_strict(headers);
        let mut handling = Handling { known: self, is_strict, unknown: Vec::new(), count: 0 };
        for name in query.members().into_iter().flat_map(Map::keys) {
            if self.find(Part::Query, name).is_none() && *name != self.token_param && name != TICKET_PARAM {
                handling.add(Part::Query, None, name);
            }
        }
        for (name, value) in body.members().into_iter().flatten() {
            match (self.find(Part::Body, name), value) {
                (None, _) => handling.add(Part::Body, None, name),
                (Some(parent @ (_, [_, ..])), Value::Object(object)) => {
                    let unknown = object.keys().filter(|member| !parent.1.contains(&member.as_str()));
                    unknown.for_each(|member| handling.add(Part::Body, Some(parent), member));
                }
                _ => {}
            }
        }
        handling
    }

    fn of(&self, part: Part) -> &[Name] {
        match part {
            Part::Query => &self.query,
            Part::Body => &self.body,
        }
    }

    fn find(&self, part: Part, name: &str) -> Option<Name> {
        let names = self.of(part);
        names.binary_search_by_key(&name, |(known, _)| known).ok().map(|at| names[at])
    }

    /// The most similar name, whatever its case and its separators, which may also be one of the other part.
    fn nearest(&self, part: Part, parent: Option<Name>, name: &str) -> Option<(&'static str, Part)> {
        let wanted = folded(name);
        let similarity = |known: &str| jaro_winkler(&folded(known), &wanted);
        let other = if part == Part::Query { Part::Body } else { Part::Query };
        let scored: Vec<(f64, &'static str, Part)> = match parent {
            Some((_, members)) => members.iter().map(|known| (similarity(known), *known, part)).collect(),
            None => {
                let own = self.of(part).iter().map(|(known, _)| (similarity(known), *known, part));
                let others =
                    self.of(other).iter().map(|(known, _)| (similarity(known) - OTHER_PART, *known, other));
                own.chain(others).collect()
            }
        };
        let similar = scored.into_iter().filter(|(score, ..)| *score >= MIN_SIMILARITY);
        similar.max_by(|left, right| left.0.total_cmp(&right.0)).map(|(_, known, part)| (known, part))
    }
}

/// A name without case and separators.
fn folded(name: &str) -> String {
    name.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl Part {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Body => "body",
        }
    }
}

impl UnknownName {
    /// A name with that of the object that has it.
    fn path(&self, name: &str) -> String {
        match self.parent {
            Some((parent, _)) => format!("{parent}.{name}"),
            None => name.to_owned(),
        }
    }

    fn nearest_path(&self) -> Option<String> {
        self.nearest.map(|(name, _)| self.path(name))
    }

    /// What is wrong with it, in ASCII: what a header cannot hold is percent-encoded.
    fn describe(&self) -> String {
        let kind = match self.part {
            Part::Query => "query parameter",
            Part::Body => "body member",
        };
        let mut shown = utf8_percent_encode(&self.name, SHOWN_AS_SENT).to_string();
        shown.truncate(MAX_NAME_CHARS);
        let shown = self.path(&shown);
        match (self.nearest, self.nearest_path()) {
            (Some((_, part)), Some(nearest)) if part != self.part => {
                format!("{kind} {shown} is unknown (nearest: {nearest} in the {})", part.as_str())
            }
            (_, Some(nearest)) => format!("{kind} {shown} is unknown (nearest: {nearest})"),
            _ => format!("{kind} {shown} is unknown"),
        }
    }

    fn details(&self) -> Value {
        json!({ "field": self.path(&self.name), "in": self.part.as_str(), "nearest": self.nearest_path() })
    }
}

impl Handling<'_> {
    fn add(&mut self, part: Part, parent: Option<Name>, name: &str) {
        self.count += 1;
        if self.unknown.len() < MAX_SHOWN {
            let name: String = name.chars().take(MAX_NAME_CHARS).collect();
            let nearest = self.known.nearest(part, parent, &name);
            self.unknown.push(UnknownName { part, parent, name, nearest });
        }
    }

    /// The unknown names with the nearest known ones, and how many more there are.
    fn describe(&self) -> String {
        let mut descriptions: Vec<String> = self.unknown.iter().map(UnknownName::describe).collect();
        let more = self.count - self.unknown.len();
        if more > 0 {
            descriptions.push(format!("{more} more are unknown"));
        }
        descriptions.join(", ")
    }

    /// Refuses unknown names if the request asks for strict handling.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field, nearest, allowed, unknown}`: the first name, what may stand in its place, and all of them.
    pub fn check(&self) -> Result<(), DomainError> {
        let Some(first) = self.unknown.first().filter(|_| self.is_strict) else { return Ok(()) };
        let (place, allowed) = match first.parent {
            Some((parent, members)) => (parent, members.to_vec()),
            None => (first.part.as_str(), self.known.of(first.part).iter().map(|(name, _)| *name).collect()),
        };
        let takes = if allowed.is_empty() { "no names".to_owned() } else { allowed.join(", ") };
        let message = format!(
            "{}. The {place} takes {takes}. Correct the names or leave them out; without Prefer: handling=strict they are ignored",
            self.describe()
        );
        let unknown: Vec<Value> = self.unknown.iter().map(UnknownName::details).collect();
        Err(DomainError::new(Code::Validation)
            .saying(message)
            .with("field", first.path(&first.name))
            .with("nearest", first.nearest_path())
            .with("allowed", allowed)
            .with("unknown", unknown))
    }

    /// Says in the response how its request was handled: strictly, or which names were ignored.
    #[must_use]
    pub fn note(&self, mut response: Response) -> Response {
        let headers = response.headers_mut();
        if self.is_strict {
            headers.insert(PREFERENCE_APPLIED, STRICT);
        } else if !self.unknown.is_empty() {
            let warnings = HeaderValue::try_from(self.describe());
            headers.insert(WARNINGS, warnings.expect("names are shown in printable ASCII"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use agentcafe_domain::kernel::Field;

    use super::*;

    fn fields(names: &[&'static str]) -> Vec<DescribedField> {
        names.iter().map(|name| Field::new(name, "", "").described(false, json!({}))).collect()
    }

    fn described(query: &str, body: Value) -> String {
        let mut in_body = fields(&["actorId", "roomId", "text", "metadata"]);
        in_body.push(Field::new("theme", "", "").with_members(&["bubbleColor"]).described(false, json!({})));
        let known = KnownNames::new(&fields(&["tenantId", "limit"]), &in_body, "apiKey");
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let query = Fields::of_query(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let body = Fields::of_body(body.as_object().cloned().unwrap_or_default());
        known.handling(&HeaderMap::new(), &query, &body).describe()
    }

    #[test]
    fn unknown_names_are_described_with_the_nearest_known_name() {
        for (query, body, want) in [
            ("tenantId=a&limit=1&apiKey=k&ticket=t", json!({"actorId": "a", "metadata": {"any": 1}}), ""),
            ("", json!({"actor_id": 1}), "body member actor_id is unknown (nearest: actorId)"),
            ("", json!({"ROOMID": 1}), "body member ROOMID is unknown (nearest: roomId)"),
            ("", json!({"colour": null}), "body member colour is unknown"),
            ("actorId=a", json!({}), "query parameter actorId is unknown (nearest: actorId in the body)"),
            ("Limit=a", json!({}), "query parameter Limit is unknown (nearest: limit)"),
            ("", json!({"limit": 1}), "body member limit is unknown (nearest: limit in the query)"),
            ("", json!({"theme": {"bubbleColor": 1}}), ""),
            (
                "",
                json!({"theme": {"bubble_color": 1}}),
                "body member theme.bubble_color is unknown (nearest: theme.bubbleColor)",
            ),
            ("", json!({"theme": "dark"}), ""),
            (
                "",
                json!({"x\r\ny: z, \u{1f600}": 1}),
                "body member x%0D%0Ay%3A%20z%2C%20%F0%9F%98%80 is unknown",
            ),
            ("", json!({"": 1}), "body member  is unknown"),
        ] {
            assert_eq!(described(query, body.clone()), want, "{query} {body}");
        }
    }

    #[test]
    fn unknown_names_are_bounded_in_number_and_length() {
        let many: Map<String, Value> =
            (0..1_000).map(|n| (format!("{n}{}", "\u{e9}".repeat(200)), json!(1))).collect();
        let described = described("", many.into());
        assert!(described.ends_with(", 992 more are unknown"), "{described}");
        assert!(described.len() < 1_000 && described.is_ascii(), "{described}");
    }
}
