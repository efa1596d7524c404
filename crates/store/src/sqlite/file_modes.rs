//! Only the owner may read the files of a store, whatever the umask: they hold all conversations, and secrets.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// What others than the owner may do.
const OTHERS: u32 = 0o077;

/// Creates a directory if it is missing.
pub(super) fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
}

/// Opens a file for writing, and creates it if it is missing.
pub(super) fn open_or_create(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(FILE_MODE).open(path)
}

/// Takes the rights of others away from a directory and its files, which an earlier version may have created. Who does not own
/// them cannot do that: then they stay as they are.
pub(super) fn tighten<'a>(directory: &'a Path, files: impl IntoIterator<Item = &'a Path>) {
    for path in std::iter::once(directory).chain(files) {
        let Ok(mode) = fs::metadata(path).map(|found| found.permissions().mode()) else { continue };
        if mode & OTHERS == 0 {
            continue;
        }
        match fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)) {
            Ok(()) => tracing::info!(path = %path.display(), "only the owner may read this from now on"),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "other users of this machine may read this");
            }
        }
    }
}
