//! The format of an export: JSON Lines. The first line is a header, the last a trailer that shows that it is complete.
//!
//! Events and replies are the stored bytes. Traces are not exported, nor are the tables in
//! [`NOT_EXPORTED`](agentcafe_domain::record_kinds::NOT_EXPORTED).

use agentcafe_domain::kernel::{
    CorrelationId, Hash, Heads, Reply, RoomId, Sequence, TenantId, Timestamp, hex,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::rows::{success_code, success_from_code};
use crate::storage::StoredKey;

/// The name of the format in the header.
pub(crate) const FORMAT: &str = "agentcafe-export";
/// The version of the format that is written, and the only one that is read.
pub(crate) const VERSION: u32 = 1;
/// The longest line that is read, in bytes: far more than a request can put into one event or record.
pub(crate) const MAX_LINE_BYTES: usize = 64 << 20;

/// Which part of a store is exported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportScope {
    /// Only this tenant; all if none.
    pub tenant: Option<TenantId>,
    /// Only this room of the tenant; all if none.
    pub room: Option<RoomId>,
}

impl ExportScope {
    /// Whether the whole store is exported.
    pub fn is_everything(&self) -> bool {
        self.tenant.is_none() && self.room.is_none()
    }
}

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Header {
    pub(crate) format: String,
    pub(crate) version: u32,
    pub(crate) exported_at: Timestamp,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) room: Option<RoomId>,
    pub(crate) head: Sequence,
    pub(crate) inbox_head: Sequence,
    pub(crate) audit_head: Sequence,
}

impl Header {
    pub(crate) fn new(scope: &ExportScope, heads: Heads, exported_at: Timestamp) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            exported_at,
            tenant: scope.tenant.clone(),
            room: scope.room.clone(),
            head: heads.sequence,
            inbox_head: heads.inbox,
            audit_head: heads.audit,
        }
    }

    pub(crate) fn scope(&self) -> ExportScope {
        ExportScope { tenant: self.tenant.clone(), room: self.room.clone() }
    }

    pub(crate) fn heads(&self) -> Heads {
        Heads { sequence: self.head, inbox: self.inbox_head, audit: self.audit_head }
    }

    /// Checks what the types of the members leave open.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.room.is_some() && self.tenant.is_none() {
            return Err("a room needs its tenant".to_owned());
        }
        if [self.head, self.inbox_head, self.audit_head].iter().any(|head| *head > Sequence::MAX) {
            return Err(format!("a head is at most {}", Sequence::MAX));
        }
        Ok(())
    }
}

/// Every line but the first.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Line<'a> {
    /// An event, as it is delivered.
    #[serde(borrow)]
    Event(&'a RawValue),
    /// A record.
    Record(RecordLine<'a>),
    /// An idempotency key and its first answer.
    Key(KeyLine<'a>),
    /// The last line.
    End(Trailer),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RecordLine<'a> {
    pub(crate) table: &'a str,
    #[serde(borrow)]
    pub(crate) json: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyLine<'a> {
    identity: String,
    request: String,
    expires_at: Timestamp,
    correlation_id: CorrelationId,
    status: i64,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// How much an export holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Events.
    pub events: u64,
    /// Records.
    pub records: u64,
    /// Idempotency keys.
    pub keys: u64,
}

/// The last line: what the lines before it hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trailer {
    #[serde(flatten)]
    pub(crate) totals: Totals,
    pub(crate) sha256: String,
}

fn to_hex(hash: Hash) -> String {
    format!("{:032x}", u128::from_be_bytes(hash))
}

fn from_hex(text: &str) -> Option<Hash> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hex);
    number.map(u128::to_be_bytes)
}

impl<'a> KeyLine<'a> {
    pub(crate) fn new(key: &'a StoredKey) -> serde_json::Result<Self> {
        Ok(Self {
            identity: to_hex(key.identity),
            request: to_hex(key.request),
            expires_at: key.expires_at,
            correlation_id: key.correlation_id.clone(),
            status: success_code(key.reply.success),
            data: serde_json::from_slice(&key.reply.data)?,
        })
    }

    /// The key as databases store it.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub(crate) fn read(self) -> Result<StoredKey, &'static str> {
        let success = success_from_code(self.status).ok_or("the status of a key is 200, 201 or 202")?;
        let hash = |text: &str| from_hex(text).ok_or("a hash has 32 hexadecimal digits");
        Ok(StoredKey {
            identity: hash(&self.identity)?,
            request: hash(&self.request)?,
            expires_at: self.expires_at,
            correlation_id: self.correlation_id,
            reply: Reply { success, data: self.data.get().as_bytes().to_vec(), stored: None },
        })
    }
}

/// The same for two exports with the same content, whenever they were written.
#[derive(Clone)]
pub(crate) struct Digest(Sha256);

impl Digest {
    pub(crate) fn new(header: &Header) -> Self {
        let same = Header { exported_at: Timestamp::default(), ..header.clone() };
        let mut digest = Self(Sha256::new());
        digest.add(&serde_json::to_vec(&same).expect("a header has text keys"));
        digest
    }

    /// Adds a line, without its end.
    pub(crate) fn add(&mut self, line: &[u8]) {
        self.0.update(line);
        self.0.update(b"\n");
    }

    pub(crate) fn finish(self) -> String {
        hex(self.0.finalize())
    }
}
