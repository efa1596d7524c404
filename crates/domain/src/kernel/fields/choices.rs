//! One of a few names.

use serde_json::{Value, json};

use super::{Field, Fields, ON_RESET};
use crate::kernel::error::{Code, DomainError};

fn names<T>(allowed: &[(&str, T)]) -> Vec<Value> {
    allowed.iter().map(|(name, _)| (*name).into()).collect()
}

impl Fields {
    /// One of `allowed`, compared without case; none if missing.
    ///
    /// # Errors
    /// `ERR_INVALID_ENUM {field, allowed}`.
    pub fn choice<T: Copy>(&self, field: Field, allowed: &[(&str, T)]) -> Result<Option<T>, DomainError> {
        let values = || [names(allowed), vec![Value::Null]].concat();
        let Some(sent) = self.optional(field, || json!({ "enum": values() })) else { return Ok(None) };
        let wanted = sent.as_str().unwrap_or_default().trim();
        let found = allowed.iter().find(|(text, _)| text.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| Some(*value)).ok_or_else(|| field.not_one_of(Code::InvalidEnum, allowed))
    }

    /// As [`Fields::choice`], for a change: null is none of them.
    ///
    /// # Errors
    /// `ERR_INVALID_ENUM {field, allowed}`.
    pub fn changed_choice<T: Copy>(
        &self,
        field: Field,
        allowed: &[(&str, T)],
    ) -> Result<Option<T>, DomainError> {
        let choice = self.choice(field, allowed)?;
        if choice.is_none() && self.has(field.name) && !self.is_describing() {
            return Err(field.not_one_of(Code::InvalidEnum, allowed));
        }
        Ok(choice)
    }

    /// As [`Fields::choice`], of a text: a blank one counts as missing.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for another type, `ERR_INVALID_ENUM {field, allowed}`.
    pub fn text_choice<T: Copy>(
        &self,
        field: Field,
        allowed: &[(&str, T)],
    ) -> Result<Option<T>, DomainError> {
        match self.sent(field) {
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(_)) | None => self.choice(field, allowed),
            Some(_) => Err(field.must_be("a string")),
        }
    }

    /// Whether a stream continues at the head if its cursor is not of this log.
    ///
    /// # Errors
    /// `ERR_INVALID_ENUM {field, allowed}`.
    pub fn continues_after_reset(&self) -> Result<bool, DomainError> {
        let choice = self.text_choice(ON_RESET, &[("latest", true), ("end", false)])?;
        Ok(choice.unwrap_or(false))
    }

    /// As [`Fields::choice`], and it must be there; `code` is the error of an unknown one.
    ///
    /// # Errors
    /// `code {field, allowed}`; `ERR_MISSING_FIELD {field}` when missing.
    pub fn required_choice<T: Copy>(
        &self,
        field: Field,
        allowed: &[(&str, T)],
        code: Code,
    ) -> Result<T, DomainError> {
        if let Some(first) = self.first_choice(field, true, allowed) {
            return Ok(first);
        }
        let wanted = self.required_text(field)?;
        let found = allowed.iter().find(|(text, _)| text.eq_ignore_ascii_case(&wanted));
        found.map(|(_, value)| *value).ok_or_else(|| field.not_one_of(code, allowed))
    }

    /// One of `allowed`, trimmed but else to the letter; whatever is none of them, or missing, is refused in the same way.
    ///
    /// # Errors
    /// `ERR_INVALID_ENUM {field, allowed}`.
    pub fn one_of<T: Copy>(&self, field: Field, allowed: &[(&str, T)]) -> Result<T, DomainError> {
        if let Some(first) = self.first_choice(field, true, allowed) {
            return Ok(first);
        }
        let sent = self.sent(field);
        let wanted = sent.and_then(Value::as_str).unwrap_or_default().trim();
        let found = allowed.iter().find(|(text, _)| *text == wanted);
        found.map(|(_, value)| *value).ok_or_else(|| field.not_one_of(Code::InvalidEnum, allowed))
    }

    /// One of `allowed`, to the letter; `unknown` makes the error for anything else. Other fields decide whether it must be
    /// there, so its schema does not require it.
    ///
    /// # Errors
    /// `ERR_MISSING_FIELD {field}` when missing or blank; what `unknown` makes.
    pub fn exact_choice<T: Copy>(
        &self,
        field: Field,
        allowed: &[(&str, T)],
        unknown: impl FnOnce(String) -> DomainError,
    ) -> Result<T, DomainError> {
        if let Some(first) = self.first_choice(field, false, allowed) {
            return Ok(first);
        }
        let wanted = match self.sent(field) {
            Some(Value::String(text)) if !text.trim().is_empty() => text,
            _ => return Err(field.missing()),
        };
        let found = allowed.iter().find(|(text, _)| text == wanted);
        found.map(|(_, value)| *value).ok_or_else(|| unknown(wanted.clone()))
    }

    /// Notes the field when describing, and then answers the first choice.
    fn first_choice<T: Copy>(&self, field: Field, required: bool, allowed: &[(&str, T)]) -> Option<T> {
        let (_, first) = allowed.first()?;
        self.note(field, required, || json!({ "enum": names(allowed) })).then_some(*first)
    }
}
