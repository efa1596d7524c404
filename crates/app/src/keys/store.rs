//! The API keys of a store that this process opens.

use std::path::PathBuf;
use std::sync::Arc;

use agentcafe_domain::kernel::{Command, Fields, IdSource, Record, RecordQuery, Rules, TenantId};
use agentcafe_domain::keys::change::ChangeKey;
use agentcafe_domain::keys::manage::{ApiKeyView, CreateKey, Issuer};
use agentcafe_domain::keys::{ApiKey, KeyUse};
use agentcafe_engine::clock::{RandomIds, SystemClock, random};
use agentcafe_service::keys::revocation;
use agentcafe_store::store::Closing;
use agentcafe_store::{Answer, Envelope, Failure, OpenError, Store, StoreLocation, StoreOptions};
use anyhow::{Context, anyhow, ensure};
use serde_json::{Map, Value};

use super::Change;
use crate::config::{Sources, storage_in};

/// The most keys that are listed.
const MAX_LISTED: usize = 100_000;

/// The keys of an open store.
pub(super) struct StoredKeys {
    store: Arc<Store>,
    closing: Closing,
}

impl StoredKeys {
    /// Opens the store of the options, else that of the settings. `may_create`: whether a missing one is created.
    pub(super) fn open(
        directory: Option<PathBuf>,
        sources: &Sources,
        may_create: bool,
    ) -> anyhow::Result<Self> {
        let location = storage_in(directory, sources)?;
        if let StoreLocation::Directory(directory) = &location {
            ensure!(may_create || directory.exists(), "there is no store in {}", directory.display());
        }
        let options = StoreOptions {
            location,
            accept_shorter_log: false,
            rules: Rules::default(),
            clock: Arc::new(SystemClock::of_this_boot()),
            ids: Box::new(RandomIds::default()),
            shared_windows: None,
            on_commit: Box::new(|_| ()),
        };
        let (store, closing) = Store::open(options).map_err(|error| match error {
            OpenError::Locked(directory) => anyhow!(
                "the data directory {} is in use by a server: name its address with --url, and a key or its token in \
                 AGENTCAFE_TOKEN",
                directory.display()
            ),
            other => other.into(),
        })?;
        Ok(Self { store, closing })
    }

    /// Creates or changes a key, and returns the response of the API.
    pub(super) async fn change(&self, change: &Change, body: Map<String, Value>) -> anyhow::Result<Value> {
        let (fields, issuer) = (Fields::of_body(body), Issuer::CommandLine);
        let command: Arc<dyn Command> = match change {
            Change::Create => Arc::new(CreateKey::read(&fields, issuer, random())),
            Change::Rotate(id) => Arc::new(ChangeKey::rotate(&fields, issuer, id.clone(), random())),
            Change::Revoke(id) => Arc::new(revocation(&self.store, issuer, id).await?),
        };
        let correlation_id = RandomIds::default().fresh(self.store.clock().now()).into();
        let envelope = Envelope { command, correlation_id, request: None, outcome: None };
        let answer = self.store.submit(envelope).await.map_err(|failure| match failure {
            Failure::Refused(error) => anyhow!("{error}"),
            other => anyhow!("{other}"),
        })?;
        let (Answer::Done(reply) | Answer::Replayed { reply, .. }) = answer;
        serde_json::from_slice(&reply.data).context("the answer cannot be read")
    }

    /// The keys of a tenant, or of all tenants, the newest first.
    pub(super) async fn list(&self, tenant: Option<&str>) -> anyhow::Result<Vec<ApiKeyView>> {
        let query = RecordQuery::all::<ApiKey>("created_at", MAX_LISTED).newest_first();
        let tenant = tenant.map(TenantId::parse).transpose().map_err(|why| anyhow!("--tenant: {why}"))?;
        let query = query.is_if_given("tenant_id", tenant.as_ref());
        let keys: Vec<ApiKey> = self.store.find(query).await?;
        let uses: Vec<Option<KeyUse>> = self.store.get_all(keys.iter().map(Record::key).collect()).await?;
        let now = self.store.clock().now();
        Ok(keys.iter().zip(&uses).map(|(key, used)| ApiKeyView::of(key, used.as_ref(), now)).collect())
    }

    /// Closes the store.
    pub(super) fn close(self) {
        drop(self.store);
        self.closing.wait();
    }
}
