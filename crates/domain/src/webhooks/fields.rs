//! The fields of a subscription in bodies: each with its bounds, its default, and the error for what it cannot be.

use serde_json::{Map, Value};

use super::{ALL_TYPES, signing};
use crate::kernel::{ActorId, DomainError, Field, Fields, METADATA, RoomId, Secret, bounded_text};
use crate::webhooks::target::{self, MAX_TARGET_CHARS, WebhookRules};
use crate::work::{named, names_nothing};

/// The most types that a subscription lists.
const MAX_TYPES: usize = 64;
/// The longest secret, in characters.
const MAX_SECRET_CHARS: usize = 256;
/// The longest name of a type, in characters.
const MAX_TYPE_CHARS: usize = 128;

/// The fields that a change may name.
const CHANGEABLE: [Field; 10] = [
    TARGET_URL,
    EVENT_TYPES,
    SECRET,
    ROOM_ID,
    ACTOR_ID,
    ENABLED,
    MAX_RETRIES,
    BACKOFF_MS,
    TIMEOUT_MS,
    METADATA,
];

const TARGET_URL: Field = Field::new(
    "targetUrl",
    "The http or https URL to which events are sent.",
    "https://hooks.example.com/cafe",
)
.up_to(MAX_TARGET_CHARS);
const EVENT_TYPES: Field = Field::new(
    "eventTypes",
    "The types of events that are sent; * stands for every type, and is the default.",
    r#"["mention_created","task_handoff"]"#,
)
.up_to(MAX_TYPES)
.in_example();
const SECRET: Field = Field::new(
    "secret",
    "The secret that signs deliveries. Default: a new secret, which the answer shows once.",
    "whsec_c2VjcmV0IG9mIHRoZSBjYWbDqQ==",
)
.up_to(MAX_SECRET_CHARS);
pub(super) const ROOM_ID: Field = Field::new(
    "roomId",
    "Only events of this room are sent. Default: those of every room of the tenant.",
    "main",
);
pub(super) const ACTOR_ID: Field = Field::new(
    "actorId",
    "Only events by this actor are sent. For the room of a private table: a member, on whose behalf the subscription reads.",
    "Nova",
);
const ENABLED: Field = Field::new("enabled", "Whether events are sent. Default: true.", "true");
const MAX_RETRIES: Field =
    Field::new("maxRetries", "How often a failed delivery is tried again. Default: 3.", "3");
const BACKOFF_MS: Field = Field::new(
    "backoffMs",
    "The pause before the first retry, in milliseconds; it doubles before each further one. Default: 1000.",
    "1000",
);
const TIMEOUT_MS: Field =
    Field::new("timeoutMs", "How long a delivery may take, in milliseconds. Default: 5000.", "5000");

/// What a subscription is set to: what is `None` stays as it is, or has its default.
#[derive(Clone, Debug, Default)]
pub(super) struct SubscriptionSettings {
    pub(super) target_url: Option<String>,
    pub(super) event_types: Option<Vec<String>>,
    pub(super) secret: Option<Secret>,
    pub(super) enabled: Option<bool>,
    pub(super) max_retries: Option<u32>,
    pub(super) backoff_ms: Option<u64>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) metadata: Option<Map<String, Value>>,
}

impl SubscriptionSettings {
    /// Reads all of them, in the order of the documentation; a missing one is left to its default.
    pub(super) fn of_new(fields: &Fields, rules: WebhookRules) -> Result<Self, DomainError> {
        Ok(Self {
            target_url: Some(target(fields, rules)?),
            event_types: Some(event_types(fields)?),
            secret: secret(fields)?,
            enabled: fields.flag(ENABLED)?,
            max_retries: max_retries(fields)?,
            backoff_ms: backoff_ms(fields)?,
            timeout_ms: timeout_ms(fields)?,
            metadata: fields.object(METADATA)?,
        })
    }

    /// Reads those that a change names. A null sets the default, but never another secret.
    ///
    /// # Errors
    /// `ERR_VALIDATION {fields}` if it names none.
    pub(super) fn of_change(fields: &Fields, rules: WebhookRules) -> Result<Self, DomainError> {
        if !CHANGEABLE.iter().any(|field| fields.has(field.name)) {
            return Err(names_nothing(&CHANGEABLE));
        }
        let defaults = SubscriptionDefaults::DEFAULT;
        // Optional in a change, but it cannot be taken away.
        let target_url = |fields: &Fields, field: Field| {
            if fields.is_describing() { fields.text(field) } else { target(fields, rules).map(Some) }
        };
        Ok(Self {
            target_url: named(fields, TARGET_URL, target_url)?.flatten(),
            event_types: named(fields, EVENT_TYPES, |fields, _| event_types(fields))?,
            secret: secret(fields)?,
            enabled: named(fields, ENABLED, |fields, field| Ok(fields.flag(field)?.unwrap_or(true)))?,
            max_retries: named(fields, MAX_RETRIES, |fields, _| {
                Ok(max_retries(fields)?.unwrap_or(defaults.max_retries))
            })?,
            backoff_ms: named(fields, BACKOFF_MS, |fields, _| {
                Ok(backoff_ms(fields)?.unwrap_or(defaults.backoff_ms))
            })?,
            timeout_ms: named(fields, TIMEOUT_MS, |fields, _| {
                Ok(timeout_ms(fields)?.unwrap_or(defaults.timeout_ms))
            })?,
            metadata: named(fields, METADATA, |fields, field| Ok(fields.object(field)?.unwrap_or_default()))?,
        })
    }
}

/// What holds if nothing else is said.
pub(super) struct SubscriptionDefaults {
    pub(super) max_retries: u32,
    pub(super) backoff_ms: u64,
    pub(super) timeout_ms: u64,
}

impl SubscriptionDefaults {
    pub(super) const DEFAULT: Self = Self { max_retries: 3, backoff_ms: 1_000, timeout_ms: 5_000 };
}

/// Which room and which actor a change sets, if it names them.
#[derive(Clone, Debug, Default)]
pub(super) struct ScopeChange {
    pub(super) room_id: Option<Option<RoomId>>,
    pub(super) actor_id: Option<Option<ActorId>>,
}

impl ScopeChange {
    pub(super) fn of_change(fields: &Fields) -> Result<Self, DomainError> {
        Ok(Self {
            room_id: named(fields, ROOM_ID, Fields::room)?,
            actor_id: named(fields, ACTOR_ID, Fields::actor)?,
        })
    }
}

fn target(fields: &Fields, rules: WebhookRules) -> Result<String, DomainError> {
    target::read(TARGET_URL.name, fields.required_text(TARGET_URL)?, rules)
}

fn event_types(fields: &Fields) -> Result<Vec<String>, DomainError> {
    let names = fields.texts(EVENT_TYPES)?.unwrap_or_default();
    for name in &names {
        bounded_text(EVENT_TYPES.name, name, MAX_TYPE_CHARS)?;
    }
    Ok(if names.is_empty() { vec![ALL_TYPES.to_owned()] } else { names })
}

fn secret(fields: &Fields) -> Result<Option<Secret>, DomainError> {
    let given = fields.text(SECRET)?.filter(|text| !text.is_empty());
    given.map(signing::read).transpose()
}

fn max_retries(fields: &Fields) -> Result<Option<u32>, DomainError> {
    let number = fields.bounded(MAX_RETRIES, 0..=10)?;
    Ok(number.and_then(|number| u32::try_from(number).ok()))
}

fn backoff_ms(fields: &Fields) -> Result<Option<u64>, DomainError> {
    Ok(fields.bounded(BACKOFF_MS, 100..=60_000)?.map(i64::unsigned_abs))
}

fn timeout_ms(fields: &Fields) -> Result<Option<u64>, DomainError> {
    Ok(fields.bounded(TIMEOUT_MS, 500..=30_000)?.map(i64::unsigned_abs))
}
