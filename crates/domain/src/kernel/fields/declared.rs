//! The fields that many readers share. A name that means something else to one reader is declared there.

use super::field::{EXAMPLE_ID, Field};

/// The largest `metadata`, or other object of a client that records keep as it is, in bytes of JSON.
pub const MAX_OBJECT_BYTES: usize = 64 * 1_024;
/// The longest id of a message, a thread or an event that a client refers to, in characters.
pub const MAX_REFERENCE_CHARS: usize = 128;

/// The tenant of a request.
pub const TENANT_ID: Field = Field::new("tenantId", "The tenant. Default: `default`.", "default");
/// The tenant to which a list is restricted, if it is.
pub const TENANT_FILTER: Field =
    Field::new("tenantId", "Only what belongs to this tenant. Default: every tenant.", "default");
/// The tenant to which a list of events is restricted, if it is.
pub const EVENT_TENANT_FILTER: Field = Field::new(
    "tenantId",
    "Only events of this tenant. Default: events of every tenant; with PRIVATE_TABLE_READ_GATE=members, those of `default`.",
    "default",
);
/// The room of a request.
pub const ROOM_ID: Field = Field::new("roomId", "The room. Default: `main`.", "main").in_example();
/// The room of a request that must name it.
pub const REQUIRED_ROOM_ID: Field = Field::new("roomId", "The room.", "main");
/// The room to which a list or a change of many records is restricted, if it is.
pub const ROOM_FILTER: Field =
    Field::new("roomId", "Only what belongs to this room. Default: every room of the tenant.", "main");
/// Who makes a request.
pub const ACTOR_ID: Field = Field::new("actorId", "The actor that makes the request.", "Nova").of_caller();
/// The actor to which a list is restricted, if it is.
pub const ACTOR_FILTER: Field = Field::new("actorId", "Only what belongs to this actor.", "Nova");
/// The author to which a list of events is restricted, if it is.
pub const EVENT_ACTOR_FILTER: Field = Field::new("actorId", "Only events by this actor.", "Nova");
/// Who reads.
pub const VIEWER_ACTOR_ID: Field = Field::new(
    "viewerActorId",
    "The actor that reads. With PRIVATE_TABLE_READ_GATE=members, a private table shows its content only to its members.",
    "Nova",
).of_caller();
/// Who reads what operators did.
pub const OPERATOR_VIEWER_ACTOR_ID: Field = Field::new(
    "viewerActorId",
    "The actor that reads. With PERMISSIONS_MODE=strict it needs canModerate in the room.",
    "Nova",
)
.of_caller();
/// The id that ties a request to its trace.
pub const CORRELATION_ID: Field = Field::new(
    "correlationId",
    "Identifies this request in its events and its trace. Default: the x-correlation-id header, else a new id.",
    "order-4711",
);
/// The event that led to a request.
pub const CAUSATION_ID: Field =
    Field::new("causationId", "The event because of which the actor makes this request.", EXAMPLE_ID)
        .up_to(MAX_REFERENCE_CHARS);
/// What a client adds to a record.
pub const METADATA: Field =
    Field::new("metadata", "Free data of the client, stored as it is.", r#"{"mood":"curious"}"#);

/// Where a page of events, inbox items or audit entries starts.
pub const CURSOR: Field =
    Field::new("cursor", "Continue after this sequence: the nextCursor of the page before.", "0");
/// Where a stream or a poll starts.
pub const STREAM_CURSOR: Field = Field::new(
    "cursor",
    "Continue after this sequence; `latest`: only events that are appended from now on.",
    "0",
);
/// The log that a cursor is from.
pub const LOG_ID: Field = Field::new(
    "logId",
    "The log that the cursor is from: the logId of the answer before. A cursor of another log is refused.",
    "",
);
/// How a stream goes on if its cursor is not of this log.
pub const ON_RESET: Field = Field::new(
    "onReset",
    "What follows a `reset` frame. latest: events that are appended from now on; end: nothing. Default: end.",
    "latest",
);
/// Where a page of records starts. It has no example: only the server makes such cursors.
pub const PAGE_CURSOR: Field =
    Field::new("cursor", "Continue here: the nextCursor of the page before, unchanged.", "");
/// How long a page is.
pub const LIMIT: Field = Field::new("limit", "The largest number of entries in the answer.", "5");
/// The order of a page.
pub const ORDER: Field = Field::new("order", "asc: oldest first; desc: newest first.", "desc");
/// The types to which a list of events is restricted, if it is.
pub const TYPES: Field = Field::new(
    "types",
    "Only events of these types, separated by commas.",
    "conversation_message_posted,mention_created",
);
/// The event after which a page starts.
pub const AFTER_EVENT_ID: Field =
    Field::new("afterEventId", "Continue after the event with this id.", EXAMPLE_ID);
/// The earliest time of what is listed.
pub const FROM_TS: Field =
    Field::new("fromTs", "Only what happened at or after this time.", "2026-01-01T00:00:00.000Z");
/// The latest time of what is listed.
pub const TO_TS: Field =
    Field::new("toTs", "Only what happened at or before this time.", "2026-12-31T00:00:00.000Z");
