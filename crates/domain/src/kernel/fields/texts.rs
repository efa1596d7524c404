//! Texts, ids and lists of them.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Field, Fields, ROOM_ID, TENANT_ID, too_large};
use crate::kernel::binding::{Authority, Binding, BoundId};
use crate::kernel::error::DomainError;
use crate::kernel::ids::{ActorId, CorrelationId, InvalidId, MAX_ID_CHARS, RoomId, TenantId, is_invisible};

/// Adds the maximum length of a text, or size of a list, to a schema.
fn bounded(mut schema: Value, keyword: &str, field: Field) -> Value {
    if let Some(max) = field.max() {
        schema[keyword] = max.into();
    }
    schema
}

/// Whether a text shows nothing.
fn is_blank(text: &str) -> bool {
    text.chars().all(|character| character.is_whitespace() || is_invisible(character))
}

impl Fields {
    /// A text that must be there: trimmed, not blank.
    ///
    /// # Errors
    /// `ERR_MISSING_FIELD {field}`, also for another type; `ERR_OUT_OF_BOUNDS {field, max, value}`.
    pub fn required_text(&self, field: Field) -> Result<String, DomainError> {
        let schema = || bounded(json!({ "type": "string", "minLength": 1 }), "maxLength", field);
        if self.note(field, true, schema) {
            return Ok(example_text(field));
        }
        match self.sent(field) {
            Some(Value::String(text)) if !is_blank(text) => field.bounded_text(text.trim()),
            _ => Err(field.missing()),
        }
    }

    /// As [`Fields::required_text`], but another type does not count as missing.
    ///
    /// # Errors
    /// `ERR_MISSING_FIELD {field}` when missing or blank, `ERR_VALIDATION {field}` for another type,
    /// `ERR_OUT_OF_BOUNDS {field, max, value}`.
    pub fn required_string(&self, field: Field) -> Result<String, DomainError> {
        match self.sent(field) {
            None | Some(Value::String(_)) => self.required_text(field),
            Some(_) => Err(field.must_be("a string")),
        }
    }

    /// As sent; `None` when missing.
    fn optional_text(&self, field: Field) -> Result<Option<&str>, DomainError> {
        let schema = || bounded(json!({ "type": ["string", "null"] }), "maxLength", field);
        match self.optional(field, schema) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(field.must_be("a string")),
        }
    }

    /// A text that may be missing; kept as it is.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type, `ERR_OUT_OF_BOUNDS {field, max, value}`.
    pub fn text(&self, field: Field) -> Result<Option<String>, DomainError> {
        self.optional_text(field)?.map(|text| field.bounded_text(text)).transpose()
    }

    /// As [`Fields::text`], and a blank one counts as missing.
    ///
    /// # Errors
    /// As [`Fields::text`].
    pub fn filled_text(&self, field: Field) -> Result<Option<String>, DomainError> {
        let text = self.optional_text(field)?.filter(|text| !is_blank(text));
        text.map(|text| field.bounded_text(text)).transpose()
    }

    /// A text that may be missing; trimmed, and blank counts as missing.
    ///
    /// # Errors
    /// As [`Fields::text`].
    pub fn trimmed_text(&self, field: Field) -> Result<Option<String>, DomainError> {
        let text = self.optional_text(field)?.map(str::trim).filter(|text| !is_blank(text));
        text.map(|text| field.bounded_text(text)).transpose()
    }

    pub(super) fn optional_id<T>(
        &self,
        field: Field,
        parse: fn(&str) -> Result<T, InvalidId>,
    ) -> Result<Option<T>, DomainError> {
        if self.note(field, false, || json!({ "type": ["string", "null"], "maxLength": MAX_ID_CHARS })) {
            return Ok(None);
        }
        self.trimmed_text(field)?.map(|text| id(field, &text, parse)).transpose()
    }

    /// As [`Fields::optional_id`], of a required field; none for a caller whose binding fills it in.
    fn required_id<T>(
        &self,
        field: Field,
        parse: fn(&str) -> Result<T, InvalidId>,
    ) -> Result<Option<T>, DomainError> {
        let schema = || json!({ "type": "string", "minLength": 1, "maxLength": MAX_ID_CHARS });
        let text = match self.note(field, true, schema) {
            true => example_text(field),
            false if self.binding.is_some() && self.sent(field).is_none() => return Ok(None),
            false => self.required_text(field)?,
        };
        id(field, &text, parse).map(Some)
    }

    /// An id that is held against what the caller is bound to.
    fn bound<T: BoundId>(&self, field: Field, given: Option<T>) -> Result<Option<T>, DomainError> {
        match &self.binding {
            Some(binding) => T::bind(given, field.name, binding),
            None => Ok(given),
        }
    }

    /// As [`Fields::bound`], of the actor that makes a request. In a body, nobody acts under a name of the server.
    pub(super) fn acting(
        &self,
        field: Field,
        given: Option<ActorId>,
    ) -> Result<Option<ActorId>, DomainError> {
        let actor = self.bound(field, given)?;
        match &actor {
            Some(actor) if actor.is_reserved() && self.body().is_some() => Err(field.reserved(actor)),
            _ => Ok(actor),
        }
    }

    /// An actor that must be named.
    ///
    /// # Errors
    /// `ERR_MISSING_FIELD {field}` when missing, blank or of another type; `ERR_VALIDATION {field}` when not a valid id;
    /// `ERR_FORBIDDEN {field, allowed}` for a field of the caller that holds none of its key's actors.
    pub fn required_actor(&self, field: Field) -> Result<ActorId, DomainError> {
        let given = self.required_id(field, ActorId::parse)?;
        let actor = if field.is_caller() { self.acting(field, given)? } else { given };
        actor.ok_or_else(|| field.missing())
    }

    /// A room that must be named.
    ///
    /// # Errors
    /// As [`Fields::required_actor`]; `ERR_FORBIDDEN {field, allowed}` for a room that the caller's key is not bound to.
    pub fn required_room(&self, field: Field) -> Result<RoomId, DomainError> {
        let room = self.bound(field, self.required_id(field, RoomId::parse)?)?;
        room.ok_or_else(|| field.missing())
    }

    /// An actor that may be named; blank counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` when not a valid id; `ERR_FORBIDDEN` as [`Fields::required_actor`].
    pub fn actor(&self, field: Field) -> Result<Option<ActorId>, DomainError> {
        let given = self.optional_id(field, ActorId::parse)?;
        if field.is_caller() { self.acting(field, given) } else { Ok(given) }
    }

    /// The actor that makes a request; the server if the request names none, or the server itself.
    ///
    /// # Errors
    /// As [`Fields::actor`]; `ERR_MISSING_FIELD {field}` for a caller whose key has several actors.
    pub fn actor_or_system(&self, field: Field) -> Result<ActorId, DomainError> {
        match self.bound(field, self.optional_id(field, ActorId::parse)?)? {
            Some(actor) if actor.is_reserved() && actor != ActorId::system() => Err(field.reserved(&actor)),
            Some(actor) => Ok(actor),
            None if self.authority() < Authority::Admin => Err(field.missing()),
            None => Ok(ActorId::system()),
        }
    }

    /// The actor to whose own records a list is restricted. Only a caller that may be every actor may leave it out.
    ///
    /// # Errors
    /// As [`Fields::required_actor`].
    pub fn owner(&self, field: Field) -> Result<Option<ActorId>, DomainError> {
        let actor = self.actor(field)?;
        let is_needed = self.binding.as_ref().is_some_and(|binding| !binding.actors.is_any());
        if actor.is_none() && is_needed { Err(field.missing()) } else { Ok(actor) }
    }

    /// Holds the caller's own actor, named elsewhere than in a field, against what the caller is bound to.
    ///
    /// # Errors
    /// `ERR_FORBIDDEN {field, allowed}`.
    pub fn check_actor(&self, field: Field, actor: ActorId) -> Result<ActorId, DomainError> {
        Ok(self.acting(field, Some(actor.clone()))?.unwrap_or(actor))
    }

    /// A room that may be named; blank counts as missing, which a caller whose key is bound to several rooms may not leave out.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` when not a valid id; `ERR_FORBIDDEN {field, allowed}`.
    pub fn room(&self, field: Field) -> Result<Option<RoomId>, DomainError> {
        let room = self.reachable_room(field)?;
        let several = |binding: &&Arc<Binding>| room.is_none() && !binding.rooms.is_any();
        if let Some(binding) = self.binding.as_ref().filter(several) {
            let message = format!("the key is bound to some rooms: name one as {}", field.name);
            return Err(Binding::refusal(field.name, message, RoomId::allowed(binding)));
        }
        Ok(room)
    }

    /// As [`Fields::room`], but every caller may leave it out: for reads that find only what is in rooms of the caller.
    ///
    /// # Errors
    /// As [`Fields::room`].
    pub fn reachable_room(&self, field: Field) -> Result<Option<RoomId>, DomainError> {
        self.bound(field, self.optional_id(field, RoomId::parse)?)
    }

    /// A tenant that may be named; blank counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` when not a valid id; `ERR_FORBIDDEN {field, allowed}` for another tenant than the caller's.
    pub fn tenant(&self, field: Field) -> Result<Option<TenantId>, DomainError> {
        self.bound(field, self.optional_id(field, TenantId::parse)?)
    }

    /// The tenant of the request; `default` if it names none.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` when not a valid id.
    pub fn tenant_or_default(&self) -> Result<TenantId, DomainError> {
        Ok(self.tenant(TENANT_ID)?.unwrap_or_default())
    }

    /// The tenant that this body names, else the query beside it, else `default`.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` when not a valid id.
    pub fn tenant_or_in(&self, query: &Self) -> Result<TenantId, DomainError> {
        self.tenant(TENANT_ID)?.map_or_else(|| query.tenant_or_default(), Ok)
    }

    /// The room of the request; `main` if it names none, and the caller's key is not bound to one room.
    ///
    /// # Errors
    /// As [`Fields::room`].
    pub fn room_or_main(&self) -> Result<RoomId, DomainError> {
        let given = self.bound(ROOM_ID, self.optional_id(ROOM_ID, RoomId::parse)?)?;
        let room = self.bound(ROOM_ID, Some(given.unwrap_or_else(RoomId::main)))?;
        Ok(room.unwrap_or_else(RoomId::main))
    }

    /// A correlation id that may be given; blank counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` when not a valid id.
    pub fn correlation(&self, field: Field) -> Result<Option<CorrelationId>, DomainError> {
        self.optional_id(field, CorrelationId::parse)
    }

    /// A list of texts: each trimmed, blanks dropped, the first of equals kept.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type or another type of member; `ERR_OUT_OF_BOUNDS {field, max, value}`.
    pub fn texts(&self, field: Field) -> Result<Option<Vec<String>>, DomainError> {
        let schema = || json!({ "type": ["array", "null"], "items": { "type": "string" } });
        let members = match self.optional(field, || bounded(schema(), "maxItems", field)) {
            None => return Ok(None),
            Some(Value::Array(members)) => members,
            Some(_) => return Err(field.must_be("an array of strings")),
        };
        let max = field.max().unwrap_or(usize::MAX);
        // Blanks and repetitions do not count, but are bounded too.
        let max_sent = max.saturating_mul(4);
        let mut texts: Vec<String> = Vec::new();
        for member in members.iter().take(max_sent) {
            let Value::String(text) = member else { return Err(field.must_be("an array of strings")) };
            let text = text.trim();
            if !text.is_empty() && !texts.iter().any(|known| known == text) {
                texts.push(text.to_owned());
            }
        }
        if texts.len() > max || members.len() > max_sent {
            return Err(too_large(field.name, max, members.len(), "members"));
        }
        Ok(Some(texts))
    }

    /// As [`Fields::texts`], of actors.
    ///
    /// # Errors
    /// As [`Fields::texts`]; `ERR_VALIDATION {field}` also for a member that is not a valid id.
    pub fn actors(&self, field: Field) -> Result<Option<Vec<ActorId>>, DomainError> {
        let names = self.texts(field)?;
        names.map(|names| names.iter().map(|name| id(field, name, ActorId::parse)).collect()).transpose()
    }

    /// A list of UUIDs; missing counts as empty.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field, value}` for a member that is none, `ERR_OUT_OF_BOUNDS {field, max, value}` for too many.
    pub fn uuids(&self, field: Field) -> Result<Vec<Uuid>, DomainError> {
        let schema = || json!({ "type": ["array", "null"], "items": { "type": "string", "format": "uuid" } });
        let members = match self.optional(field, || bounded(schema(), "maxItems", field)) {
            None => return Ok(Vec::new()),
            Some(Value::Array(members)) => members,
            Some(_) => return Err(field.must_be("an array of UUIDs")),
        };
        if let Some(max) = field.max().filter(|max| members.len() > *max) {
            return Err(too_large(field.name, max, members.len(), "members"));
        }
        let parse = |member: &Value| {
            let id = member.as_str().and_then(|text| Uuid::parse_str(text.trim()).ok());
            id.ok_or_else(|| field.must_be("an array of UUIDs").with("value", member.clone()))
        };
        members.iter().map(parse).collect()
    }

    /// Names separated by commas; blanks dropped. Missing and empty mean no filter.
    pub fn names(&self, field: Field) -> Vec<String> {
        let sent = self.optional(field, || json!({ "type": "string" }));
        let text = sent.and_then(Value::as_str).unwrap_or_default();
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }
}

fn id<T>(field: Field, text: &str, parse: fn(&str) -> Result<T, InvalidId>) -> Result<T, DomainError> {
    parse(text).map_err(|why| DomainError::invalid(field.name, why.to_string()))
}

/// What a required text holds while its reader is described.
fn example_text(field: Field) -> String {
    match field.example() {
        Some(Value::String(text)) => text,
        _ => "example".to_owned(),
    }
}
