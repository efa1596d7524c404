//! What all subjects build on: ids, time, records, events, commands, errors and fields.

mod actor;
mod binding;
mod clock_anchor;
mod command;
mod encoding;
mod error;
mod event;
mod external_call;
mod fields;
mod follower;
#[cfg(test)]
pub(crate) mod golden;
mod guard;
mod id_patterns;
mod idempotency;
mod ids;
mod lease;
mod money;
mod owner;
mod quotation;
mod record;
mod response;
mod rules;
mod secret;
mod time;
mod trace;
mod wire_enum;

pub use actor::ActorInRoom;
pub use binding::{Authority, Binding};
pub use clock_anchor::{ClockAnchor, NoteClockAnchor};
pub use command::{
    Command, CommandContext, CommandError, Effects, Heads, IdSource, LoadedRecords, Notify, Reply,
    RequestContext, Success, WriteSet,
};
pub use encoding::{hex, without_byte_order_mark};
pub use error::{Code, DomainError, MAX_DETAIL_BYTES, OperationError};
pub(crate) use event::payloads;
pub use event::{
    Annotation, EmittedEvent, Event, EventAuthor, EventType, Notification, NotifiedMessage, Payload,
    RequestAuthor, StoredEvent,
};
pub use external_call::{CallRequest, CallResult, ExternalCall};
pub(crate) use fields::too_large;
pub use fields::{
    ACTOR_FILTER, ACTOR_ID, AFTER_EVENT_ID, CAUSATION_ID, CORRELATION_ID, CURSOR, Cursor, DescribedField,
    EVENT_ACTOR_FILTER, EVENT_TENANT_FILTER, EXAMPLE_ID, FROM_TS, Field, Fields, LIMIT, LOG_ID,
    MAX_OBJECT_BYTES, MAX_REFERENCE_CHARS, METADATA, ON_RESET, OPERATOR_VIEWER_ACTOR_ID, ORDER, PAGE_CURSOR,
    REQUIRED_ROOM_ID, ROOM_FILTER, ROOM_ID, STREAM_CURSOR, TENANT_FILTER, TENANT_ID, TO_TS, TYPES,
    VIEWER_ACTOR_ID, bounded_object, bounded_text, object_schema,
};
pub use follower::{FollowerCursor, SaveCursor};
pub use guard::{ActionGuard, ActionSource, GuardedAction};
pub use id_patterns::IdPatterns;
pub use idempotency::{Hash, IdempotencyKey, IdempotencyRules, MAX_KEY_BYTES};
pub use ids::{ActorId, CorrelationId, InvalidId, MAX_ID_CHARS, RESERVED_ACTORS, RoomId, Sequence, TenantId};
pub use lease::{AcquireLease, Lease, LeaseToken, ReleaseLease};
pub use money::Usd;
pub use owner::Owner;
pub use quotation::{quoted, quoted_id};
pub(crate) use record::record;
pub use record::{
    Cell, Comparison, Condition, CorruptRecord, Key, Portable, Query, Record, RecordQuery, SortKey,
    StoredRecord, Table,
};
pub(crate) use response::response;
pub(crate) use rules::rule_set;
pub use rules::{RuleSet, Rules};
pub use secret::Secret;
pub use time::{Clock, Timestamp};
pub use trace::{MAX_STEPS, Status, Step, StepCode, Trace};
pub(crate) use wire_enum::wire_enum;
