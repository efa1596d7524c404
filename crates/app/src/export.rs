//! `agentcafe export`: everything, a tenant or a room as JSON Lines.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use agentcafe_domain::kernel::{Clock, RoomId, TenantId, Timestamp};
use agentcafe_engine::clock::SystemClock;
use agentcafe_store::export::{ExportError, export};
use agentcafe_store::{ExportScope, StoreLocation, Totals};
use anyhow::Context;

use crate::cli::ExportOptions;
use crate::config::{Sources, storage_in};

/// Exports, and prints the counts to standard error.
///
/// # Errors
/// The store does not exist or cannot be read, or the export cannot be written.
pub(crate) fn run(options: ExportOptions, sources: &Sources) -> anyhow::Result<()> {
    let store = storage_in(options.data_dir, sources)?;
    let scope = ExportScope {
        tenant: options.tenant.as_deref().map(TenantId::stored).transpose().map_err(anyhow::Error::msg)?,
        room: options.room.as_deref().map(RoomId::stored).transpose().map_err(anyhow::Error::msg)?,
    };
    let now = SystemClock::of_this_boot().now();
    let totals = match &options.output {
        None => export(&store, &scope, now, io::stdout().lock())?,
        Some(file) => to_file(&store, &scope, now, file)?,
    };
    let Totals { events, records, keys } = totals;
    eprintln!("agentcafe: exported {events} events, {records} records, {keys} idempotency keys");
    Ok(())
}

/// Writes to a temporary file beside it and renames that, so that the file is complete once it exists.
fn to_file(
    store: &StoreLocation,
    scope: &ExportScope,
    now: Timestamp,
    file: &Path,
) -> anyhow::Result<Totals> {
    let cannot = || format!("{} cannot be written", file.display());
    if fs::metadata(file).is_ok_and(|known| !known.is_file()) {
        // A device or a pipe cannot be replaced.
        let out = File::options().write(true).open(file).with_context(cannot)?;
        return Ok(export(store, scope, now, out)?);
    }
    let partial = partial_path(file);
    // Only the owner may read it: it has all conversations.
    let out = File::options().write(true).create(true).truncate(true).mode(0o600).open(&partial);
    let out = out.with_context(cannot)?;
    // It may be left of an earlier export.
    out.set_permissions(Permissions::from_mode(0o600)).with_context(cannot)?;
    let written = export(store, scope, now, &out)
        .and_then(|totals| out.sync_all().map(|()| totals).map_err(ExportError::from));
    let moved = written.map_err(anyhow::Error::from).and_then(|totals| {
        fs::rename(&partial, file).with_context(cannot)?;
        Ok(totals)
    });
    if moved.is_err() {
        // The incomplete file is useless. The first error is reported, not a failure to remove it.
        let _ = fs::remove_file(&partial);
    }
    moved
}

fn partial_path(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".partial");
    name.into()
}
