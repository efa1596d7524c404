//! The last API key that manages the others is not ended by mistake: nobody could make another one.

use super::{ApiKey, Scope};
use crate::kernel::{Code, CommandContext, CommandError, DomainError, Query, Timestamp};

/// Who manages keys besides the holder of a key that is about to end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OtherAdmin {
    /// Somebody without a key: the holder of the shared token, or a person at the command line.
    #[default]
    WithoutKey,
    /// The holder of this key, if it counts still.
    Key(String),
    /// Nobody.
    Nobody,
}

impl OtherAdmin {
    /// What [`OtherAdmin::check`] reads.
    pub(super) fn read(&self) -> Option<Query> {
        match self {
            Self::Key(id) => Some(Query::one::<ApiKey>(ApiKey::key_of(id))),
            Self::WithoutKey | Self::Nobody => None,
        }
    }

    /// Checks that keys are still managed when `key` has ended.
    ///
    /// # Errors
    /// `ERR_CONFLICT {keyId}`; [`CommandError::Load`] what [`OtherAdmin::read`] names.
    pub(super) fn check(&self, ctx: &CommandContext<'_>, key: &ApiKey) -> Result<(), CommandError> {
        let is_managed = match self {
            Self::WithoutKey => true,
            Self::Key(id) => ctx
                .get::<ApiKey>(ApiKey::key_of(id))?
                .is_some_and(|other| other.manages_keys_of(key, ctx.now)),
            Self::Nobody => false,
        };
        if is_managed || !key.manages_keys_of(key, ctx.now) {
            return Ok(());
        }
        let advice = "without this key nobody could make another one: make an admin key of the same tenant first, \
                      or use `agentcafe keys` on the store";
        Err(DomainError::new(Code::Conflict).saying(advice).with("keyId", key.key_id.as_str()).into())
    }
}

impl ApiKey {
    /// Whether it counts, and manages the keys of the other key's tenant.
    pub fn manages_keys_of(&self, other: &Self, now: Timestamp) -> bool {
        let is_of_tenant = self.tenant_id.is_none() || self.tenant_id == other.tenant_id;
        self.is_live(now) && self.scopes.contains(&Scope::Admin) && is_of_tenant
    }
}
