//! Looks for who manages keys besides the holder of one that is about to end.

use agentcafe_domain::kernel::{OperationError, RecordQuery, StoredRecord};
use agentcafe_domain::keys::ApiKey;
use agentcafe_domain::keys::last_admin::OtherAdmin;

use crate::service::Service;

/// How many keys are read at once.
const PAGE: usize = 500;

impl Service {
    /// Who manages keys when the one with this id has ended.
    ///
    /// # Errors
    /// The store is not available.
    pub(super) async fn other_admin(&self, key_id: &str) -> Result<OtherAdmin, OperationError> {
        if self.settings.authentication.admits_without_key() {
            return Ok(OtherAdmin::WithoutKey);
        }
        let now = self.engine.now();
        let ending: Option<ApiKey> = self.get(ApiKey::key_of(key_id)).await?;
        let Some(ending) = ending.filter(|key| key.manages_keys_of(key, now)) else {
            return Ok(OtherAdmin::Nobody);
        };
        let mut query = RecordQuery::all::<ApiKey>("created_at", PAGE);
        loop {
            let page: Vec<ApiKey> = self.find(query.clone()).await?;
            let is_other = |key: &&ApiKey| key.key_id != key_id && key.manages_keys_of(&ending, now);
            if let Some(other) = page.iter().find(is_other) {
                return Ok(OtherAdmin::Key(other.key_id.clone()));
            }
            let Some(last) = page.last().filter(|_| page.len() == PAGE) else {
                return Ok(OtherAdmin::Nobody);
            };
            let position = query.position(&StoredRecord::of(last));
            query = query.behind(Some(position));
        }
    }
}
