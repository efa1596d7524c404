//! Tickets: a browser's `EventSource` or WebSocket cannot send a key, so it opens one stream with a ticket in the URL.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::manage::ApiKeyView;
use super::token::{RANDOM_BYTES, random_text};
use super::{ApiKey, Principal};
use crate::kernel::{
    Code, Command, CommandContext, CommandError, Comparison, CorrelationId, DomainError, Field, Fields, Key,
    Query, Record, RecordQuery, Reply, Secret, Success, TenantId, Timestamp, hex, record,
};

/// The paths of the streams that a ticket opens: those of the API, and those of the realtime service.
const PATHS: [(&str, &str); 4] = [
    ("/v1/streams/market-events", "/v1/streams/market-events"),
    ("/v1/events/stream", "/v1/events/stream"),
    ("/v1/ws", "/v1/ws"),
    ("/v1/stream", "/v1/stream"),
];
const PATH: Field = Field::new("path", "The path of the stream.", "/v1/streams/market-events").in_example();
const QUERY: Field = Field::new(
    "query",
    "The query parameters of the stream, without the ticket: texts, numbers, true or false.",
    r#"{"roomId":"main","cursor":"latest"}"#,
)
.up_to(4_096)
.in_example();
const TICKET: Field = Field::new("ticket", "The ticket.", "cafet_…").in_example();
const PREFIX: &str = "cafet_";
/// How long a ticket is valid, in milliseconds.
const VALID_MS: i64 = 60_000;

/// Query parameters by name.
pub type QueryParameters = BTreeMap<String, String>;

/// The stream that a ticket opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamUrl {
    /// The path.
    pub path: String,
    /// The query parameters, without the ticket. They must all be there, in any order.
    pub query: QueryParameters,
}

impl StreamUrl {
    fn read(fields: &Fields) -> Result<Self, DomainError> {
        // Both are read before one is refused: the description of the API lists what was read.
        let (path, query) = (fields.required_choice(PATH, &PATHS, Code::InvalidEnum), fields.object(QUERY));
        Ok(Self { path: path?.to_owned(), query: parameters(query?.unwrap_or_default())? })
    }
}

fn parameters(members: Map<String, Value>) -> Result<QueryParameters, DomainError> {
    let text = |value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(QUERY.must_be("an object of texts, numbers, true or false"))
        }
    };
    members.into_iter().map(|(name, value)| Ok((name, text(value)?))).collect()
}

/// A ticket that was not used yet. Of its text only the hash is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// The hash of its text, in hexadecimal.
    pub ticket_hash: String,
    /// What its owner came in with; none for the shared token, and where no key is needed.
    pub credential_id: Option<String>,
    /// What it opens.
    pub opens: StreamUrl,
    /// Until when.
    pub expires_at: Timestamp,
}

record!(Ticket in "stream_tickets": [ticket_hash] expires_at);

fn key_of(ticket_hash: &str) -> Key {
    vec![ticket_hash.into()]
}

/// The record key of the ticket with this text.
pub fn ticket_key(ticket: &str) -> Key {
    key_of(&hash(ticket))
}

fn hash(ticket: &str) -> String {
    hex(Sha256::digest(ticket))
}

/// The answer to [`IssueTicket`].
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssueTicketResponse {
    /// The ticket, for the query parameter `ticket` of the stream. Null in replays.
    ticket: Option<String>,
    /// Until when the stream must be opened.
    expires_at: Timestamp,
    correlation_id: CorrelationId,
}

/// Issues a ticket.
pub struct IssueTicket {
    opens: Result<StreamUrl, DomainError>,
    credential_id: Option<String>,
    ticket: Secret,
}

impl IssueTicket {
    /// Reads the body, for this owner. `random` is what the ticket is made of.
    pub fn read(fields: &Fields, owner: &Principal, random: &[u8; RANDOM_BYTES]) -> Self {
        Self {
            opens: StreamUrl::read(fields),
            credential_id: owner.credential_id().map(ToString::to_string),
            ticket: Secret::new(format!("{PREFIX}{}", random_text(random))),
        }
    }
}

impl Command for IssueTicket {
    fn reads(&self) -> Vec<Query> {
        Vec::new()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let (opens, expires_at) = (self.opens.clone()?, ctx.now.plus_ms(VALID_MS));
        let ticket_hash = hash(self.ticket.expose());
        let credential_id = self.credential_id.clone();
        ctx.put(&Ticket { ticket_hash, credential_id, opens, expires_at });
        let correlation_id = ctx.correlation_id.clone();
        let answer =
            |ticket| IssueTicketResponse { ticket, expires_at, correlation_id: correlation_id.clone() };
        let shown = Some(self.ticket.expose().to_owned());
        Ok(Reply::shown_once(Success::Created, &answer(shown), &answer(None)))
    }
}

/// Who came in with a ticket, or with a key.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyIdentity {
    /// The key; null for the shared token, and where no key is needed.
    pub key: Option<ApiKeyView>,
    /// The key, and which of its secrets; null without a key.
    pub credential_id: Option<String>,
}

/// Uses a ticket up, and answers whose it is.
pub struct RedeemTicket {
    ticket: Result<(String, StreamUrl), DomainError>,
    /// The tenant that the owner's key must be of; none: any.
    tenant: Option<TenantId>,
}

impl RedeemTicket {
    /// Of a request that opens a stream.
    pub fn new(ticket: &str, opens: StreamUrl) -> Self {
        Self { ticket: Ok((hash(ticket), opens)), tenant: None }
    }

    /// Reads the body, for a server of streams that came in as this principal.
    pub fn read(fields: &Fields, server: &Principal) -> Self {
        let (ticket, opens) = (fields.required_text(TICKET), StreamUrl::read(fields));
        let ticket = ticket.and_then(|ticket| Ok((hash(&ticket), opens?)));
        let tenant = server.binding().and_then(|binding| binding.tenant.clone());
        Self { ticket, tenant }
    }

    fn owner(&self, ctx: &CommandContext<'_>, ticket: &Ticket) -> Result<KeyIdentity, CommandError> {
        let Some(credential_id) = &ticket.credential_id else {
            // Who shares the token is of no tenant.
            return if self.tenant.is_none() { Ok(KeyIdentity::default()) } else { Err(unknown().into()) };
        };
        let key: Option<ApiKey> = ctx.get(ApiKey::key_of(ApiKey::key_id_of(credential_id)))?;
        let counts = |key: &ApiKey| {
            key.is_credential_live(credential_id, ctx.now)
                && self.tenant.as_ref().is_none_or(|tenant| key.tenant_id.as_ref() == Some(tenant))
        };
        let key = key.filter(counts).ok_or_else(unknown)?;
        let key = Some(ApiKeyView::of(&key, None, ctx.now));
        Ok(KeyIdentity { key, credential_id: Some(credential_id.clone()) })
    }
}

fn unknown() -> DomainError {
    DomainError::new(Code::NotFound).saying("no such ticket: it is used, expired, or for another stream")
}

impl Command for RedeemTicket {
    fn reads(&self) -> Vec<Query> {
        let hash = self.ticket.as_ref().ok().map(|(hash, _)| hash);
        hash.map(|hash| Query::one::<Ticket>(key_of(hash))).into_iter().collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let (hash, opens) = self.ticket.clone()?;
        let ticket: Option<Ticket> = ctx.get(key_of(&hash))?;
        let valid = |ticket: &Ticket| ctx.now < ticket.expires_at && ticket.opens == opens;
        let ticket = ticket.filter(valid).ok_or_else(unknown)?;
        let owner = self.owner(ctx, &ticket)?;
        ctx.delete::<Ticket>(ticket.key());
        Ok(Reply::new(Success::Ok, &owner))
    }
}

/// Deletes tickets that have expired. A ticket never changes, so that this reads nothing.
pub struct DeleteExpiredTickets {
    /// Those of [`DeleteExpiredTickets::due`].
    pub expired: Vec<Ticket>,
}

impl DeleteExpiredTickets {
    /// The most tickets that one command deletes.
    pub const BATCH: usize = 500;

    /// The tickets that have expired at `now`.
    pub fn due(now: Timestamp) -> RecordQuery {
        RecordQuery::all::<Ticket>("expires_at", Self::BATCH).only("expires_at", Comparison::AtMost, now)
    }
}

impl Command for DeleteExpiredTickets {
    fn reads(&self) -> Vec<Query> {
        Vec::new()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        for ticket in &self.expired {
            ctx.delete::<Ticket>(ticket.key());
        }
        Ok(Reply::new(Success::Ok, &self.expired.len()))
    }
}
