//! The command line of `agentcafe keys`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

const KEYS_HELP: &str = "\
With --url, the server at this address makes the change; AGENTCAFE_TOKEN is then an API key with the
scope admin, or the shared token. Without --url, the store is changed: the database in DATABASE_URL,
also while servers use it, else the embedded database, while no server uses it.";

const ADD_HELP: &str = "\
Standard output gets the key alone, this once: KEY=$(agentcafe keys add --kind agent --actor Nova).";

/// Options of `agentcafe keys`.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = super::with_settings(KEYS_HELP, "keys"), after_help = KEYS_HELP)]
pub(crate) struct KeysOptions {
    /// What to do.
    #[command(subcommand)]
    pub(crate) action: KeysAction,
    /// The URL of a running server [default: none, the store is used].
    #[arg(long, global = true, conflicts_with = "data_dir")]
    pub(crate) url: Option<String>,
    /// The directory of an embedded database [default: the database in `DATABASE_URL`, else the directory in `AGENTCAFE_DATA_DIR`].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print JSON, as the API answers it.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// The subcommands of `agentcafe keys`.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum KeysAction {
    /// Create a key, and print it.
    #[command(after_help = ADD_HELP)]
    Add(AddOptions),
    /// List the keys, the newest first.
    List {
        /// Only keys of this tenant [default: all that may be seen].
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Revoke a key: it is refused from now on, and its streams end.
    Revoke {
        /// The id of the key.
        key_id: String,
    },
    /// Give a key a new secret, and print it. The one before is accepted for a while.
    Rotate {
        /// The id of the key.
        key_id: String,
        /// How long the secret before is accepted [default: a day].
        #[arg(long, value_name = "SECONDS")]
        grace: Option<u32>,
    },
}

/// Options of `agentcafe keys add`.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("allows").required(true).args(["kind", "scopes"])))]
pub(crate) struct AddOptions {
    /// A preset of scopes: agent, guest, viewer, operator, service or admin.
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// What the key allows, instead of a kind; repeat it for more scopes.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// The tenant of the key; * for every tenant (kinds service and admin) [default: default, or that of the key in AGENTCAFE_TOKEN].
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// An actor that the holder of the key may be; repeat it for more actors.
    #[arg(long = "actor", value_name = "ACTOR", conflicts_with = "actor_prefix")]
    pub(crate) actors: Vec<String>,
    /// The beginning of the names of the actors that the holder may be; it ends in /.
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub(crate) actor_prefix: Option<String>,
    /// A room in which the key counts, or a prefix that ends in /; repeat it for more rooms [default: all rooms].
    #[arg(long = "room", value_name = "ROOM")]
    pub(crate) rooms: Vec<String>,
    /// Until when the key counts, as 2030-01-01T00:00:00Z [default: until it is revoked].
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<String>,
    /// What people call the key.
    #[arg(long)]
    pub(crate) name: Option<String>,
}

/// Reads a prefix of ids.
fn prefix(text: &str) -> Result<String, &'static str> {
    if text.ends_with('/') { Ok(text.to_owned()) } else { Err("a prefix ends in /, as team-a/") }
}
