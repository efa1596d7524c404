//! The file with the keys that encrypt webhook secrets: read or made at the start, and compared with what is stored.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use agentcafe_domain::kernel::{Comparison, Record, RecordQuery, Secret};
use agentcafe_domain::webhooks::sealing::{SealSecrets, SecretKeys};
use agentcafe_domain::webhooks::{Subscription, WebhookSecret};
use agentcafe_engine::{Engine, clock};
use agentcafe_store::StoreLocation;
use anyhow::{Context, anyhow};

/// The file in the data directory, unless another is set.
const FILE_NAME: &str = "agentcafe.key";
/// How many secrets are read, and encrypted in one command.
const PAGE: usize = 200;

/// The keys, and the file that they are to be written to if they are new.
pub(crate) struct LoadedKeys {
    pub(crate) keys: SecretKeys,
    /// Written once all stored secrets are known to open.
    pub(crate) new_file: Option<NewKeyFile>,
}

/// The path and the text of a file.
type NewKeyFile = (PathBuf, Secret);

impl LoadedKeys {
    /// Reads the keys of the store: from `file` if one is set, else from the data directory of an embedded database.
    pub(crate) fn read(file: Option<&Path>, location: &StoreLocation) -> anyhow::Result<Self> {
        let path = match (file, location) {
            (Some(file), _) => file.to_owned(),
            (None, StoreLocation::Directory(directory)) => directory.join(FILE_NAME),
            (None, StoreLocation::Postgres(_)) => {
                return Ok(Self { keys: SecretKeys::default(), new_file: None });
            }
        };
        let (text, is_new) = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && file.is_none() => {
                (SecretKeys::file_with(clock::random()), true)
            }
            read => (Secret::new(read.with_context(|| unusable(&path))?), false),
        };
        let expected =
            || anyhow!("it must have a key of 64 hexadecimal digits in each line (openssl rand -hex 32)");
        let keys = SecretKeys::parse(text.expose()).ok_or_else(expected).with_context(|| unusable(&path))?;
        Ok(Self { keys, new_file: is_new.then_some((path, text)) })
    }
}

fn unusable(path: &Path) -> String {
    format!("the key file {} (AGENTCAFE_SECRET_KEY_FILE) cannot be used", path.display())
}

/// Checks that every stored secret opens, writes a new key file, and encrypts the secrets that are not encrypted with the first
/// key, and the targets that are stored whole.
///
/// # Errors
/// A secret cannot be decrypted, the file cannot be written, or the store cannot be used.
pub(crate) async fn prepare(engine: &Arc<Engine>, new_file: Option<NewKeyFile>) -> anyhow::Result<()> {
    let keys = engine.rules.get::<SecretKeys>();
    let mut outdated = Vec::new();
    let mut query = RecordQuery::all::<WebhookSecret>("subscription_id", PAGE);
    loop {
        let page: Vec<WebhookSecret> = engine.store.find(query.clone()).await?;
        let webhooks = page.iter().map(Record::key).collect();
        let webhooks: Vec<Option<Subscription>> = engine.store.get_all(webhooks).await?;
        for (stored, webhook) in page.iter().zip(webhooks) {
            keys.open(stored).context(
                "restore the file with which the server ran before, or delete the rows of the table webhook_secrets and set new secrets",
            )?;
            let has_whole_target = webhook.is_some_and(|mut webhook| webhook.hide_target().is_some());
            if has_whole_target || !keys.is_current(stored) {
                outdated.push(stored.subscription_id);
            }
        }
        let Some(last) = page.last().filter(|_| page.len() == PAGE) else { break };
        query = RecordQuery::all::<WebhookSecret>("subscription_id", PAGE).only(
            "subscription_id",
            Comparison::Above,
            last.subscription_id,
        );
    }
    if let Some((path, text)) = new_file {
        write(&path, &text).with_context(|| unusable(&path))?;
    }
    for some in outdated.chunks(PAGE) {
        let secrets = some.iter().map(|id| (*id, engine.random())).collect();
        engine.execute_in_background(Arc::new(SealSecrets { secrets })).await?;
    }
    if !outdated.is_empty() {
        tracing::info!(
            secrets = outdated.len(),
            table = WebhookSecret::TABLE.name,
            "encrypted with the first key"
        );
    }
    Ok(())
}

/// Writes the file, which is safe on the disk before anything is encrypted with it.
fn write(path: &Path, text: &Secret) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.expose().as_bytes())?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}
