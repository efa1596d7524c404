//! The API keys of a running server, over HTTP.

use agentcafe_client::{ApiClient, Method, Query, RequestError};
use agentcafe_domain::kernel::{Clock, IdSource};
use agentcafe_domain::keys::manage::ApiKeyView;
use agentcafe_engine::clock::{RandomIds, SystemClock};
use anyhow::{Context, anyhow};
use serde_json::{Map, Value};

use super::Change;
use crate::config::{AGENTCAFE_TOKEN, Sources};
use crate::tail::sanitize::sanitize;

const KEYS: &str = "/v1/keys";

/// The keys of a server.
pub(super) struct ServerKeys(ApiClient);

impl ServerKeys {
    /// Those of the server at this address, with the token of the settings.
    pub(super) fn new(url: &str, sources: &Sources) -> anyhow::Result<Self> {
        let token = sources.optional(&AGENTCAFE_TOKEN)?;
        Ok(Self(ApiClient::new(url, token.as_deref()).context("--url, AGENTCAFE_TOKEN")?))
    }

    /// As the store's.
    pub(super) async fn change(&self, change: &Change, body: Map<String, Value>) -> anyhow::Result<Value> {
        let (method, path) = match change {
            Change::Create => (Method::POST, KEYS.to_owned()),
            Change::Rotate(id) => (Method::POST, format!("{KEYS}/{id}/rotate")),
            Change::Revoke(id) => (Method::DELETE, format!("{KEYS}/{id}")),
        };
        let idempotency_key = RandomIds::default().fresh(SystemClock::of_this_boot().now()).to_string();
        let answer = self.0.send(method, &path, &idempotency_key, &body.into()).await;
        Ok(answer.map_err(|error| self.explain(error))?["data"].take())
    }

    /// As the store's.
    pub(super) async fn list(&self, tenant: Option<&str>) -> anyhow::Result<Vec<ApiKeyView>> {
        let (mut keys, mut cursor) = (Vec::new(), None);
        loop {
            let given = [("tenantId", tenant.map(str::to_owned)), ("cursor", cursor)];
            let query: Query = given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let mut page = self.0.get_json(KEYS, &query).await.map_err(|error| self.explain(error))?;
            let listed: Vec<ApiKeyView> = serde_json::from_value(page["data"]["keys"].take())
                .context("the server's keys cannot be read: is it of a later version?")?;
            keys.extend(listed);
            cursor = page["data"]["nextCursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return Ok(keys);
            }
        }
    }

    fn explain(&self, error: RequestError) -> anyhow::Error {
        let server = self.0.address();
        match error {
            RequestError::Unauthorized => {
                anyhow!("{server} does not accept the key or token in AGENTCAFE_TOKEN")
            }
            RequestError::NotFound(why) | RequestError::Rejected(why) => {
                anyhow!("{server} refuses: {}", sanitize(&why))
            }
            other => anyhow!("{server}: {}", sanitize(&other.to_string())),
        }
    }
}
