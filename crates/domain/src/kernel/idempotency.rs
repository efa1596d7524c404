//! Idempotency keys: the identity of a key, and the hash of its request.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::kernel::error::{Code, DomainError};
use crate::kernel::ids::TenantId;
use crate::kernel::rules::rule_set;

/// The settings of idempotency keys.
#[derive(Clone, Copy, Debug)]
pub struct IdempotencyRules {
    /// How long a key is kept, in milliseconds.
    pub ttl_ms: i64,
}

impl Default for IdempotencyRules {
    fn default() -> Self {
        Self { ttl_ms: 86_400_000 }
    }
}
rule_set!(IdempotencyRules);

/// The longest `Idempotency-Key`, in bytes.
pub const MAX_KEY_BYTES: usize = 255;

/// A 16-byte hash: short enough to index cheaply, long enough that two of them do not collide.
pub type Hash = [u8; 16];

/// One use of an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The header's value.
    pub key: String,
    /// The scope as the documentation and conflicts name it.
    pub scope: String,
    /// What identifies the key: tenant, scope and value.
    pub identity: Hash,
    /// The request: scope, method and body.
    pub request: Hash,
}

impl IdempotencyKey {
    /// Makes the use of `key` by a request. The parts of the scope are hashed apart, so that ids with `:` in them
    /// cannot collide.
    ///
    /// # Errors
    /// `ERR_IDEMPOTENCY_KEY_REQUIRED` when blank or missing, `ERR_VALIDATION` when longer than [`MAX_KEY_BYTES`].
    pub fn new(
        key: Option<&str>,
        tenant: &TenantId,
        scope: &[&str],
        method: &str,
        body: &Map<String, Value>,
    ) -> Result<Self, DomainError> {
        let key = key.map(str::trim).filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| DomainError::new(Code::IdempotencyKeyRequired))?;
        if key.len() > MAX_KEY_BYTES {
            let message = format!("an Idempotency-Key has at most {MAX_KEY_BYTES} bytes");
            return Err(DomainError::invalid("idempotency-key", message).with("max", MAX_KEY_BYTES));
        }
        let mut identity = Sha256::new();
        let parts = [tenant.as_str(), key].into_iter().chain(scope.iter().copied());
        parts.for_each(|part| hash_part(&mut identity, part));
        let mut request = Sha256::new();
        scope.iter().copied().chain([method]).for_each(|part| hash_part(&mut request, part));
        let mut canonical = Vec::with_capacity(256);
        write_members(body, &mut canonical);
        request.update(&canonical);
        Ok(Self {
            key: key.to_owned(),
            scope: scope.join(":"),
            identity: short(identity),
            request: short(request),
        })
    }

    /// The error of another request under the same key.
    pub fn conflict(&self) -> DomainError {
        DomainError::new(Code::IdempotencyKeyConflict)
            .with("scope", self.scope.as_str())
            .with("idempotencyKey", self.key.as_str())
    }
}

fn hash_part(hash: &mut Sha256, part: &str) {
    hash.update((part.len() as u64).to_le_bytes());
    hash.update(part.as_bytes());
}

fn short(hash: Sha256) -> Hash {
    let mut short = Hash::default();
    short.copy_from_slice(&hash.finalize()[..16]);
    short
}

fn write_members(members: &Map<String, Value>, out: &mut Vec<u8>) {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_unstable_by_key(|(key, _)| *key);
    out.push(b'{');
    for (at, (key, member)) in members.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, key).expect("writing to memory does not fail");
        out.push(b':');
        write_canonical(member, out);
    }
    out.push(b'}');
}

/// Writes JSON in one way only, in the manner of RFC 8785: keys sorted, no white space. Numbers stay as they were written.
fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(members) => write_members(members, out),
        Value::Array(members) => {
            out.push(b'[');
            for (at, member) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_canonical(member, out);
            }
            out.push(b']');
        }
        Value::Number(_) | Value::String(_) | Value::Bool(_) | Value::Null => {
            serde_json::to_writer(out, value).expect("writing to memory does not fail");
        }
    }
}
