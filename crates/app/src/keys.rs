//! `agentcafe keys`: creates, lists, rotates and revokes API keys, of a running server or in a store.

use std::io::Write;

use agentcafe_domain::keys::manage::ApiKeyView;
use agentcafe_engine::clock::SystemClock;
use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use crate::cli::keys::{AddOptions, KeysAction, KeysOptions};
use crate::config::Sources;
use crate::process::print_report;
use crate::tail::sanitize::sanitize;

mod server;
mod store;
mod table;

use server::ServerKeys;
use store::StoredKeys;

/// Where the keys are.
enum Keys {
    /// At a running server.
    Server(ServerKeys),
    /// In a store that this process opens.
    Store(StoredKeys),
}

/// A change of one key.
enum Change {
    Create,
    Rotate(String),
    Revoke(String),
}

impl Keys {
    /// Creates or changes a key, and returns the response of the API.
    async fn change(&self, change: &Change, body: Map<String, Value>) -> anyhow::Result<Value> {
        match self {
            Self::Server(keys) => keys.change(change, body).await,
            Self::Store(keys) => keys.change(change, body).await,
        }
    }

    /// The keys of a tenant, or of all tenants, the newest first.
    async fn list(&self, tenant: Option<&str>) -> anyhow::Result<Vec<ApiKeyView>> {
        match self {
            Self::Server(keys) => keys.list(tenant).await,
            Self::Store(keys) => keys.list(tenant).await,
        }
    }
}

/// Does what the options say. Standard output gets the key, the table or the JSON; standard error what is said about it.
///
/// # Errors
/// The server or the store cannot be used, or refuses.
pub(crate) fn run(options: KeysOptions, sources: &Sources) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let KeysOptions { action, url, data_dir, json } = options;
    let may_create = matches!(action, KeysAction::Add(_));
    let keys = match url {
        Some(url) => Keys::Server(ServerKeys::new(&url, sources)?),
        None => Keys::Store(StoredKeys::open(data_dir, sources, may_create)?),
    };
    let done = runtime.block_on(act(&keys, action, json));
    if let Keys::Store(store) = keys {
        store.close();
    }
    done
}

async fn act(keys: &Keys, action: KeysAction, as_json: bool) -> anyhow::Result<()> {
    let (change, body) = match action {
        KeysAction::List { tenant } => {
            let listed = keys.list(tenant.as_deref()).await?;
            return if as_json {
                print_report(&listed)
            } else {
                print(&table::render(&listed, SystemClock::of_this_boot()))
            };
        }
        KeysAction::Add(options) => (Change::Create, body(options)),
        KeysAction::Revoke { key_id } => (Change::Revoke(key_id), Map::new()),
        KeysAction::Rotate { key_id, grace } => {
            (Change::Rotate(key_id), members([("graceSeconds", grace.map(|grace| json!(grace)))]))
        }
    };
    let answer = keys.change(&change, body).await?;
    if as_json {
        return print_report(&answer);
    }
    let id = sanitize(answer["key"]["keyId"].as_str().unwrap_or_default());
    match (change, answer["token"].as_str()) {
        (Change::Revoke(_), _) => eprintln!("agentcafe: revoked the key {id}"),
        (_, None) => bail!("the answer has no key: was the request repeated?"),
        (Change::Create, Some(token)) => {
            print(&format!("{token}\n"))?;
            eprintln!("agentcafe: created the key {id}; it is not shown again, and only its hash is stored");
        }
        (Change::Rotate(_), Some(token)) => {
            print(&format!("{token}\n"))?;
            eprintln!(
                "agentcafe: the key {id} has a new secret; the ones before are accepted until its grace ends"
            );
        }
    }
    Ok(())
}

/// The body of `POST /v1/keys`.
fn body(options: AddOptions) -> Map<String, Value> {
    let AddOptions { kind, scopes, tenant, mut actors, actor_prefix, rooms, expires, name } = options;
    actors.extend(actor_prefix);
    let list = |values: Vec<String>| (!values.is_empty()).then(|| json!(values));
    let text = |value: Option<String>| value.map(Value::String);
    members([
        ("kind", text(kind)),
        ("scopes", list(scopes)),
        ("tenantId", text(tenant)),
        ("actors", list(actors)),
        ("rooms", list(rooms)),
        ("expiresAt", text(expires)),
        ("name", text(name)),
    ])
}

fn members<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    written.context("cannot write to standard output")
}
