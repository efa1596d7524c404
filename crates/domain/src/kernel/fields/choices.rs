//! One of a few names.

use serde_json::{Value, json};

use super::Fields;
use crate::kernel::error::{Code, DomainError};

impl Fields {
    /// One of `allowed`, compared without case; none if missing.
    ///
    /// # Errors
    /// `ERR_INVALID_ENUM {field, allowed}`.
    pub fn choice<T: Copy>(
        &self,
        name: &'static str,
        allowed: &[(&str, T)],
    ) -> Result<Option<T>, DomainError> {
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
            DomainError::new(Code::InvalidEnum)
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
    ) -> Result<Option<T>, DomainError> {
        match self.sent(name) {
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(_)) | None => self.choice(name, allowed),
            Some(_) => Err(DomainError::invalid(name, format!("{name} must be a string"))),
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
    ) -> Result<T, DomainError> {
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
            .ok_or_else(|| DomainError::new(code).with("field", name).with("allowed", names))
    }

    /// One of `allowed`, trimmed but else to the letter; whatever is none of them, or missing, is refused in the same way.
    ///
    /// # Errors
    /// `ERR_INVALID_ENUM {field, allowed}`.
    pub fn one_of<T: Copy>(&self, name: &'static str, allowed: &[(&str, T)]) -> Result<T, DomainError> {
        let names = || allowed.iter().map(|(text, _)| (*text).into()).collect::<Vec<Value>>();
        if self.note(name, true, || json!({ "enum": names() }))
            && let Some((_, value)) = allowed.first()
        {
            return Ok(*value);
        }
        let sent = self.sent(name);
        let wanted = sent.as_ref().and_then(Value::as_str).unwrap_or_default().trim();
        let found = allowed.iter().find(|(text, _)| *text == wanted);
        found.map(|(_, value)| *value).ok_or_else(|| {
            DomainError::new(Code::InvalidEnum)
                .saying(format!("{name} is not one of the allowed values"))
                .with("field", name)
                .with("allowed", names())
        })
    }

    /// One of `allowed`, to the letter; `unknown` makes the refusal of anything else.
    ///
    /// # Errors
    /// `ERR_MISSING_FIELD {field}` when missing or blank; what `unknown` makes.
    pub fn exact_choice<T: Copy>(
        &self,
        name: &'static str,
        allowed: &[(&str, T)],
        unknown: impl FnOnce(String) -> DomainError,
    ) -> Result<T, DomainError> {
        let names = || allowed.iter().map(|(text, _)| (*text).into()).collect::<Vec<Value>>();
        if self.note(name, false, || json!({ "enum": names() }))
            && let Some((_, value)) = allowed.first()
        {
            return Ok(*value);
        }
        let wanted = match self.sent(name) {
            Some(Value::String(text)) if !text.trim().is_empty() => text,
            _ => return Err(DomainError::missing(name)),
        };
        let found = allowed.iter().find(|(text, _)| *text == wanted);
        found.map(|(_, value)| *value).ok_or_else(|| unknown(wanted))
    }
}
