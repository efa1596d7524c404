//! What bodies say about a subscription: each field with its bounds, its default, and the error for what it cannot be.

use serde_json::{Map, Value};

use super::{ALL_TYPES, signing};
use crate::{
    actor_command,
    kernel::{
        error::{Code, DomainError},
        fields::Fields,
        ids::{ActorId, RoomId},
        secret::Secret,
    },
    webhooks::target::{self, WebhookRules},
};

/// The most types that a subscription lists.
const MAX_TYPES: usize = 64;
/// The longest name of a type, in characters.
const MAX_TYPE_CHARS: usize = 128;

/// The fields that a change may name.
const NAMES: [&str; 10] = [
    "targetUrl",
    "eventTypes",
    "secret",
    "roomId",
    "actorId",
    "enabled",
    "maxRetries",
    "backoffMs",
    "timeoutMs",
    "metadata",
];

/// What a subscription is set to: what is `None` stays as it is, or has its default.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) target_url: Option<String>,
    pub(super) event_types: Option<Vec<String>>,
    pub(super) secret: Option<Secret>,
    pub(super) enabled: Option<bool>,
    pub(super) max_retries: Option<u32>,
    pub(super) backoff_ms: Option<u64>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) metadata: Option<Map<String, Value>>,
}

impl Settings {
    /// Reads all of them, in the contract's order; a missing one is left to its default.
    pub(super) fn of_new(fields: &Fields, rules: WebhookRules) -> Result<Self, DomainError> {
        Ok(Self {
            target_url: Some(target(fields, rules)?),
            event_types: Some(event_types(fields)?),
            secret: secret(fields)?,
            enabled: fields.flag("enabled")?,
            max_retries: max_retries(fields)?,
            backoff_ms: backoff_ms(fields)?,
            timeout_ms: timeout_ms(fields)?,
            metadata: actor_command::metadata(fields)?,
        })
    }

    /// Reads those that a change names. A null sets the default, but never another secret.
    ///
    /// # Errors
    /// `ERR_VALIDATION {fields}` if it names none.
    pub(super) fn of_change(fields: &Fields, rules: WebhookRules) -> Result<Self, DomainError> {
        if !NAMES.iter().any(|name| fields.has(name)) {
            let names: Vec<Value> = NAMES.iter().map(|name| (*name).into()).collect();
            return Err(DomainError::new(Code::Validation)
                .saying("a change names at least one field")
                .with("fields", names));
        }
        let defaults = Defaults::DEFAULT;
        let named = |name: &str| fields.has(name) && !fields.is_describing();
        let mut changed = Self::default();
        if fields.has("targetUrl") {
            changed.target_url =
                if fields.is_describing() { fields.text("targetUrl")? } else { Some(target(fields, rules)?) };
        }
        if fields.has("eventTypes") {
            changed.event_types = Some(event_types(fields)?);
        }
        changed.secret = secret(fields)?;
        let enabled = fields.flag("enabled")?;
        changed.enabled = named("enabled").then(|| enabled.unwrap_or(true));
        let max_retries = max_retries(fields)?;
        changed.max_retries = named("maxRetries").then(|| max_retries.unwrap_or(defaults.max_retries));
        let backoff_ms = backoff_ms(fields)?;
        changed.backoff_ms = named("backoffMs").then(|| backoff_ms.unwrap_or(defaults.backoff_ms));
        let timeout_ms = timeout_ms(fields)?;
        changed.timeout_ms = named("timeoutMs").then(|| timeout_ms.unwrap_or(defaults.timeout_ms));
        let metadata = actor_command::metadata(fields)?;
        changed.metadata = named("metadata").then(|| metadata.unwrap_or_default());
        Ok(changed)
    }
}

/// What holds if nothing else is said.
pub(super) struct Defaults {
    pub(super) max_retries: u32,
    pub(super) backoff_ms: u64,
    pub(super) timeout_ms: u64,
}

impl Defaults {
    pub(super) const DEFAULT: Self = Self { max_retries: 3, backoff_ms: 1_000, timeout_ms: 5_000 };
}

/// Which room and which actor a change sets, if it names them.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    pub(super) room_id: Option<Option<RoomId>>,
    pub(super) actor_id: Option<Option<ActorId>>,
}

impl About {
    pub(super) fn of_change(fields: &Fields) -> Result<Self, DomainError> {
        let (room, actor) = (fields.room("roomId")?, fields.actor("actorId")?);
        Ok(Self {
            room_id: fields.has("roomId").then_some(room),
            actor_id: fields.has("actorId").then_some(actor),
        })
    }
}

fn target(fields: &Fields, rules: WebhookRules) -> Result<String, DomainError> {
    let text = fields.required_text("targetUrl")?;
    if fields.is_describing() { Ok(text) } else { target::read("targetUrl", text, rules) }
}

fn event_types(fields: &Fields) -> Result<Vec<String>, DomainError> {
    let names = fields.texts("eventTypes", MAX_TYPES)?.unwrap_or_default();
    for name in &names {
        actor_command::bounded_text("eventTypes", Some(name.clone()), MAX_TYPE_CHARS)?;
    }
    Ok(if names.is_empty() { vec![ALL_TYPES.to_owned()] } else { names })
}

fn secret(fields: &Fields) -> Result<Option<Secret>, DomainError> {
    let given = fields.text("secret")?.filter(|text| !text.is_empty());
    given.map(signing::read).transpose()
}

fn max_retries(fields: &Fields) -> Result<Option<u32>, DomainError> {
    let number = fields.bounded("maxRetries", 0..=10)?;
    Ok(number.and_then(|number| u32::try_from(number).ok()))
}

fn backoff_ms(fields: &Fields) -> Result<Option<u64>, DomainError> {
    Ok(fields.bounded("backoffMs", 100..=60_000)?.map(i64::unsigned_abs))
}

fn timeout_ms(fields: &Fields) -> Result<Option<u64>, DomainError> {
    Ok(fields.bounded("timeoutMs", 500..=30_000)?.map(i64::unsigned_abs))
}
