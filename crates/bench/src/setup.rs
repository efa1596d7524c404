//! What every scenario needs to know: which server, where, how long.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::arguments::{Arguments, Settings};

/// The part of the command line that scenarios use, checked.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The server's binary.
    pub(crate) server_binary: PathBuf,
    /// How long and how much.
    pub(crate) settings: Settings,
    work_dir: PathBuf,
}

impl Setup {
    /// Finds the server and makes the work directory.
    pub(crate) fn new(arguments: &Arguments) -> Result<Self> {
        let server_binary = match &arguments.server {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("agentcafe"),
        };
        ensure!(
            server_binary.is_file(),
            "no server at {}: build it with `cargo build --release`, or name it with --server",
            server_binary.display()
        );
        std::fs::create_dir_all(&arguments.work_dir)
            .with_context(|| format!("cannot make {}", arguments.work_dir.display()))?;
        Ok(Self {
            server_binary: server_binary.canonicalize()?,
            settings: Settings::new(arguments.quick),
            work_dir: arguments.work_dir.canonicalize()?,
        })
    }

    /// A fresh directory that is removed when dropped.
    pub(crate) fn temporary_dir(&self) -> Result<TempDir> {
        Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(&self.work_dir)?)
    }
}
