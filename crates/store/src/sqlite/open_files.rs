//! Whether the files of an open database are still in their directory. A process can go on writing to files that were deleted
//! or replaced, and what it writes is lost.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::storage_error::StorageError;

/// What identifies a file: its device and its number there.
type FileId = (u64, u64);

fn id_of(path: &Path) -> io::Result<FileId> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

/// The database file and the write-ahead log, as they were when they were opened.
pub(super) struct OpenFiles(Vec<(PathBuf, FileId)>);

impl OpenFiles {
    /// The files of a database that is open.
    pub(super) fn new(database: &Path) -> Self {
        let files = [database.to_owned(), database.with_extension("db-wal")];
        Self(files.into_iter().filter_map(|path| id_of(&path).ok().map(|id| (path, id))).collect())
    }

    /// Checks that they are still there.
    ///
    /// # Errors
    /// [`StorageError::FileLost`]
    pub(super) fn check(&self) -> Result<(), StorageError> {
        let lost = self.0.iter().find(|(path, id)| id_of(path).ok() != Some(*id));
        lost.map_or(Ok(()), |(path, _)| Err(StorageError::FileLost(path.clone())))
    }
}
