//! API keys: who makes, lists, changes, rotates and revokes them.

use agentcafe_domain::kernel::{
    DomainError, Field, Fields, OperationError, Record, RecordQuery, Rules, TENANT_FILTER, TenantId,
};
use agentcafe_domain::keys::change::ChangeKey as ChangeKeyCommand;
use agentcafe_domain::keys::last_admin::OtherAdmin;
use agentcafe_domain::keys::manage::{
    ApiKeyView, CreateKey as CreateKeyCommand, Issuer, WriteKeyResponse, not_found,
};
use agentcafe_domain::keys::revoke::{self, RevokeKey as RevokeKeyCommand};
use agentcafe_domain::keys::tickets::KeyIdentity;
use agentcafe_domain::keys::token::RANDOM_BYTES;
use agentcafe_domain::keys::{ApiKey, KeyUse, Principal, Scope};
use agentcafe_store::{ReadError, Store};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{
    Call, FromInput, Input, KeyScope, Mutation, Operation, Prepared, Subject, parameters,
};
use crate::paging::{LIMITS, Page, PageSelector, newest_by, record_list};
use crate::service::Service;

mod authentication;
mod last_admin;
mod tickets;

pub use tickets::{IssueTicket, RedeemTicket};

record_list! {
    /// Keys, the newest first.
    KeyList { keys: ApiKeyView }
}

parameters! {
    /// Lists the keys of a tenant, the newest first.
    ListKeys(fields) {
        tenant: Option<TenantId> = fields.tenant(TENANT_FILTER)?,
        page: PageSelector = PageSelector::read::<ApiKey>(fields, LIMITS)?,
    }
}

parameters! {
    /// Reads one key. Its secret is never shown again.
    GetKey(fields, input) {
        id: String = input.id.clone(),
        tenant: Option<TenantId> = fields.tenant(TENANT_FILTER)?,
    }
}

/// Reads what the caller's own key is bound to.
pub struct GetOwnKey;

parameters! {
    /// Reads which of these credentials count: a server of streams ends those of the others.
    FilterLiveKeys(fields) {
        ids: Vec<String> = fields.names(CREDENTIAL_IDS),
        tenant: Option<TenantId> = fields.tenant(TENANT_FILTER)?,
    }
}

const CREDENTIAL_IDS: Field = Field::new(
    "credentialIds",
    "The credentialId of each, as GET /v1/keys/self has it, separated by commas; at most 500.",
    "0x914KZelJ4jG.8f434346648f",
);
/// The most credentials of a request: the key of each is looked up in memory, or in the store.
const MAX_CREDENTIALS: usize = 500;

/// The credentials that count.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveKeys {
    /// Those of the request that are neither revoked, nor expired, nor rotated away.
    live_credential_ids: Vec<String>,
}

/// One key.
#[derive(Serialize, JsonSchema)]
pub struct OneKey {
    /// The key.
    key: ApiKeyView,
}

impl Service {
    /// The views of keys, with when they were last used.
    async fn key_views(&self, keys: &[ApiKey]) -> Result<Vec<ApiKeyView>, OperationError> {
        let used: Vec<Option<KeyUse>> = self.store().get_all(keys.iter().map(Record::key).collect()).await?;
        let now = self.engine.now();
        Ok(keys.iter().zip(&used).map(|(key, used)| ApiKeyView::of(key, used.as_ref(), now)).collect())
    }
}

impl Operation for ListKeys {
    type Output = KeyList;

    const SCOPES: &'static [Scope] = &[Scope::Admin];

    async fn run(self, call: &Call<'_>) -> Result<KeyList, OperationError> {
        let keys: RecordQuery =
            newest_by::<ApiKey>("created_at").is_if_given("tenant_id", self.tenant.as_ref());
        let Page { records, next_cursor } = call.service.page::<ApiKey>(self.page.of(keys)).await?;
        let views = call.service.key_views(&records).await?;
        Ok(Page { records: views, next_cursor }.into())
    }
}

impl Operation for GetKey {
    type Output = OneKey;

    const SCOPES: &'static [Scope] = &[Scope::Admin];

    async fn run(self, call: &Call<'_>) -> Result<OneKey, OperationError> {
        let found: Option<ApiKey> = call.service.get(ApiKey::key_of(&self.id)).await?;
        let found = found.filter(|key| self.tenant.is_none() || key.tenant_id == self.tenant);
        let mut views = call.service.key_views(found.as_slice()).await?;
        views.pop().map(|key| OneKey { key }).ok_or_else(|| not_found(&self.id).into())
    }
}

impl FromInput for GetOwnKey {
    fn read(_: &Input, _: &Rules) -> Result<Self, DomainError> {
        Ok(Self)
    }
}

impl Operation for GetOwnKey {
    type Output = KeyIdentity;

    const SCOPES: &'static [Scope] = &[];

    async fn run(self, call: &Call<'_>) -> Result<KeyIdentity, OperationError> {
        let Principal::Key(holder) = &call.caller.principal else { return Ok(KeyIdentity::default()) };
        let mut views = call.service.key_views(std::slice::from_ref(&holder.key)).await?;
        Ok(KeyIdentity { key: views.pop(), credential_id: Some(holder.credential_id.to_string()) })
    }
}

impl Operation for FilterLiveKeys {
    type Output = LiveKeys;

    const SCOPES: &'static [Scope] = &[Scope::Follow];

    async fn run(self, call: &Call<'_>) -> Result<LiveKeys, OperationError> {
        if self.ids.len() > MAX_CREDENTIALS {
            return Err(CREDENTIAL_IDS.must_be(&format!("at most {MAX_CREDENTIALS} ids")).into());
        }
        let mut live_credential_ids = Vec::new();
        for id in self.ids {
            let of_tenant = |key: &ApiKey| {
                self.tenant.is_none() || key.tenant_id.is_none() || key.tenant_id == self.tenant
            };
            if call.service.live_key(&id).await?.is_some_and(|known| of_tenant(&known.key)) {
                live_credential_ids.push(id);
            }
        }
        Ok(LiveKeys { live_credential_ids })
    }
}

/// Declares a mutation of keys: its key's verb, the last part of its scope, and how its command is made.
macro_rules! key_mutation {
    ($(#[$doc:meta])* $name:ident($command:ty), $verb:ident, $last:literal, $make:expr) => {
        $(#[$doc])*
        pub struct $name;

        impl $name {
            fn command(
                input: &Input,
                issuer: Issuer,
                random: [u8; RANDOM_BYTES],
                other_admin: OtherAdmin,
            ) -> $command {
                let make: fn(&Fields, Issuer, String, [u8; RANDOM_BYTES], OtherAdmin) -> $command = $make;
                make(&input.body, issuer, input.id.clone(), random, other_admin)
            }
        }

        impl FromInput for $name {
            fn read(_: &Input, _: &Rules) -> Result<Self, DomainError> {
                Ok(Self)
            }

            fn describe(input: &Input, _: &Rules) {
                let _ = Self::command(input, Issuer::Root, [0; RANDOM_BYTES], OtherAdmin::default());
            }
        }

        impl Mutation for $name {
            type Command = $command;
            type Answer = WriteKeyResponse;

            const SCOPES: &'static [Scope] = &[Scope::Admin];

            async fn prepare(self, call: &Call<'_>) -> Result<Prepared<$command>, OperationError> {
                let (principal, random) = (&call.caller.principal, call.service.engine.random());
                let other_admin = call.service.other_admin(&call.input.id).await?;
                let command = Self::command(call.input, principal.into(), random, other_admin);
                let scope = KeyScope::$verb(subject(principal), ["keys", &call.input.id, $last]);
                Ok(Prepared { scope, command })
            }
        }
    };
}

key_mutation! {
    /// Makes a key.
    CreateKey(CreateKeyCommand), post, "create",
    |body, issuer, _, random, _| CreateKeyCommand::read(body, issuer, random)
}
key_mutation! {
    /// Changes the name or the end of a key.
    UpdateKey(ChangeKeyCommand), patch, "patch",
    |body, issuer, id, _, other_admin| {
        ChangeKeyCommand::update(body, issuer, id).unless_last_admin(other_admin)
    }
}
key_mutation! {
    /// Gives a key a new secret; the one before counts for a while.
    RotateKey(ChangeKeyCommand), post, "rotate",
    |body, issuer, id, random, _| ChangeKeyCommand::rotate(body, issuer, id, random)
}

/// Ends a key, and what was set up with it.
pub struct RevokeKey;

impl FromInput for RevokeKey {
    fn read(_: &Input, _: &Rules) -> Result<Self, DomainError> {
        Ok(Self)
    }
}

impl Mutation for RevokeKey {
    type Command = RevokeKeyCommand;
    type Answer = WriteKeyResponse;

    const SCOPES: &'static [Scope] = &[Scope::Admin];

    async fn prepare(self, call: &Call<'_>) -> Result<Prepared<RevokeKeyCommand>, OperationError> {
        let (principal, key_id) = (&call.caller.principal, &call.input.id);
        let other_admin = call.service.other_admin(key_id).await?;
        let command = revocation(call.service.store(), principal.into(), key_id).await?;
        let command = command.unless_last_admin(other_admin);
        Ok(Prepared { scope: KeyScope::delete(subject(principal), ["keys", key_id, "delete"]), command })
    }
}

/// The command that revokes a key, and what it needs to know of the subscriptions that were made with it.
///
/// # Errors
/// The store is not available.
pub async fn revocation(store: &Store, issuer: Issuer, key_id: &str) -> Result<RevokeKeyCommand, ReadError> {
    let subscriptions = match store.get::<ApiKey>(ApiKey::key_of(key_id)).await? {
        Some(key) => store.find(revoke::subscriptions(&key)).await?,
        None => Vec::new(),
    };
    Ok(RevokeKeyCommand::new(issuer, key_id, &subscriptions))
}

/// Whom a change of keys is about: the tenant of the caller's key.
fn subject(principal: &Principal) -> Subject {
    let tenant = principal.binding().and_then(|binding| binding.tenant.clone());
    Subject { tenant: tenant.unwrap_or_default(), room: None, actor: None }
}
