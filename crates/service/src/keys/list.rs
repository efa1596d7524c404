//! Lists API keys, the newest first, and reads one. A secret is never shown again.

use std::collections::HashMap;

use agentcafe_domain::kernel::{DomainError, OperationError, Record, RecordQuery, Rules, SortKey, TENANT_FILTER, TenantId};
use agentcafe_domain::keys::manage::{ApiKeyView, not_found};
use agentcafe_domain::keys::{ApiKey, KeyUse};
use schemars::JsonSchema;
use serde::Serialize;

use crate::operation::{Call, Input, Operation};
use crate::paging::{self, record_list};
use crate::service::Service;

const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// Lists keys.
pub struct ListKeys {
    tenant: Option<TenantId>,
    cursor: Option<SortKey>,
    limit: usize,
}

record_list! {
    /// Keys, the newest first.
    KeyList { keys: ApiKeyView }
}

impl Service {
    /// The views of keys, with when they were last used.
    async fn key_views(&self, keys: Vec<ApiKey>) -> Result<Vec<ApiKeyView>, OperationError> {
        let used: Vec<Option<KeyUse>> = self.store().get_all(keys.iter().map(Record::key).collect()).await?;
        let now = self.engine.now();
        Ok(keys.iter().zip(&used).map(|(key, used)| ApiKeyView::of(key, used.as_ref(), now)).collect())
    }
}

impl Operation for ListKeys {
    type Output = KeyList;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        let fields = &input.parameters;
        Ok(Self {
            tenant: fields.tenant(TENANT_FILTER)?,
            cursor: paging::cursor::<ApiKey>(fields)?,
            limit: fields.limit(LIMIT, MAX_LIMIT)?,
        })
    }

    async fn run(self, call: &Call<'_>) -> Result<KeyList, OperationError> {
        let query = RecordQuery::all::<ApiKey>("created_at", self.limit)
            .newest_first()
            .is_if_given("tenant_id", self.tenant.as_ref())
            .behind(self.cursor);
        let (page, next_cursor) = call.service.page::<ApiKey>(query).await?;
        Ok((call.service.key_views(page).await?, next_cursor).into())
    }
}

/// Reads one key.
pub struct GetKey(String);

/// One key.
#[derive(Serialize, JsonSchema)]
pub struct OneKey {
    /// The key.
    key: ApiKeyView,
}

impl Operation for GetKey {
    type Output = OneKey;

    fn read(input: &Input, _: &Rules) -> Result<Self, DomainError> {
        Ok(Self(input.id.clone()))
    }

    async fn run(self, call: &Call<'_>) -> Result<OneKey, OperationError> {
        let key: Option<ApiKey> = call.service.get(ApiKey::key_of(&self.0)).await?;
        let key = key.filter(|key| call.caller.reaches(key.tenant_id.as_ref())).ok_or_else(|| not_found(&self.0))?;
        let view = call.service.key_views(vec![key]).await?.pop();
        Ok(OneKey { key: view.ok_or_else(|| not_found(&self.0))? })
    }
}
