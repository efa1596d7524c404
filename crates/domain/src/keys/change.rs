//! Changing and rotating API keys.

use super::last_admin::OtherAdmin;
use super::manage::{EXPIRES_AT, FIXED, Issuer, NAME, WriteKeyResponse, audit, existing};
use super::token::{self, RANDOM_BYTES};
use super::{ApiKey, KeySecret};
use crate::kernel::{
    Code, Command, CommandContext, CommandError, DomainError, Field, Fields, Query, Reply, Secret, Success,
    Timestamp,
};
use crate::work;

const GRACE_SECONDS: Field =
    Field::new("graceSeconds", "How long the secret before this one still counts, in seconds.", "86400");
/// How long the old secret of a rotated key counts, unless the caller says so: a day.
const DEFAULT_GRACE_SECONDS: i64 = 86_400;
const GRACE_RANGE: std::ops::RangeInclusive<i64> = 0..=30 * 86_400;
/// How many secrets of a key count at once.
const MAX_SECRETS: usize = 2;

/// What is done with a key that exists.
enum Change {
    /// Another name, another end.
    Update(Result<(Option<Option<String>>, Option<Option<Timestamp>>), DomainError>),
    /// A new secret; the old one counts for so many seconds more.
    Rotate(Result<i64, DomainError>, Box<[u8; RANDOM_BYTES]>),
}

/// Changes or rotates a key.
pub struct ChangeKey {
    issuer: Issuer,
    key_id: String,
    other_admin: OtherAdmin,
    change: Change,
}

impl ChangeKey {
    /// A change of its name or its end, as the body says.
    pub fn update(fields: &Fields, issuer: Issuer, key_id: String) -> Self {
        let read = || {
            // What a key reaches is fixed when it is made.
            if let Some(fixed) = FIXED.iter().find(|field| fields.has(field.name) && !fields.is_describing())
            {
                return Err(DomainError::invalid(fixed.name, "this cannot be changed: make another key"));
            }
            if [NAME, EXPIRES_AT].iter().all(|field| !fields.has(field.name)) {
                return Err(work::names_nothing(&[NAME, EXPIRES_AT]));
            }
            let name = fields.has(NAME.name).then(|| fields.filled_text(NAME)).transpose()?;
            let expires_at = fields.has(EXPIRES_AT.name).then(|| fields.timestamp(EXPIRES_AT)).transpose()?;
            Ok((name, expires_at))
        };
        Self { change: Change::Update(read()), issuer, key_id, other_admin: OtherAdmin::default() }
    }

    /// The same command, refused if it ends the last key that manages others.
    #[must_use]
    pub fn unless_last_admin(self, other_admin: OtherAdmin) -> Self {
        Self { other_admin, ..self }
    }

    /// A new secret, made of `random`.
    pub fn rotate(fields: &Fields, issuer: Issuer, key_id: String, random: [u8; RANDOM_BYTES]) -> Self {
        let grace =
            fields.bounded(GRACE_SECONDS, GRACE_RANGE).map(|grace| grace.unwrap_or(DEFAULT_GRACE_SECONDS));
        let change = Change::Rotate(grace, Box::new(random));
        Self { change, issuer, key_id, other_admin: OtherAdmin::default() }
    }
}

impl Command for ChangeKey {
    fn reads(&self) -> Vec<Query> {
        let key = Query::one::<ApiKey>(ApiKey::key_of(&self.key_id));
        [key].into_iter().chain(self.other_admin.read()).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let mut key = existing(ctx, &self.issuer, &self.key_id)?;
        let mut token = None;
        let action = match &self.change {
            Change::Update(update) => {
                let (name, expires_at) = update.clone()?;
                if expires_at.flatten().is_some_and(|end| end <= ctx.now) {
                    self.other_admin.check(ctx, &key)?;
                }
                key.name = name.unwrap_or(key.name);
                if let Some(expires_at) = expires_at {
                    (key.expires_at, key.has_ended) = (expires_at, false);
                }
                self.issuer.check(&key)?;
                "key_update"
            }
            Change::Rotate(grace, random) => {
                token = Some(rotate(&mut key, grace.clone()?, random, ctx.now)?);
                "key_rotate"
            }
        };
        ctx.put(&key);
        audit(ctx, self.issuer.name(), action, &key);
        Ok(WriteKeyResponse::reply(ctx, Success::Ok, &key, token.as_ref()))
    }
}

/// Gives a key a new secret; the newest of the others counts for `grace` seconds more.
fn rotate(
    key: &mut ApiKey,
    grace: i64,
    random: &[u8; RANDOM_BYTES],
    now: Timestamp,
) -> Result<Secret, DomainError> {
    if !key.is_live(now) {
        return Err(
            DomainError::new(Code::Conflict).saying("a key that does not count any more is not rotated")
        );
    }
    let (text, hash) = token::make(&key.key_id, random);
    let end = now.plus_ms(grace * 1_000);
    for secret in &mut key.secrets {
        secret.expires_at = Some(secret.expires_at.map_or(end, |before| before.min(end)));
    }
    key.secrets.push(KeySecret { hash, created_at: now, expires_at: None });
    let surplus = key.secrets.len().saturating_sub(MAX_SECRETS);
    key.secrets.drain(..surplus);
    Ok(text)
}
