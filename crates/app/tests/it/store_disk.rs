//! Small disks of our own, and files that cannot be written: what a real disk does only on bad days.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// Runs a system command that the test cannot do without.
fn run(command: &mut Command) {
    let output = command.output();
    let output =
        output.unwrap_or_else(|error| panic!("{command:?} cannot be run, but this test needs it: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?} is not permitted, but this test needs it (run it as root): {said}"
    );
}

/// A disk in memory that is soon full. It is gone when this is dropped.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    pub(crate) fn mount(mebibytes: usize) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let size = format!("size={mebibytes}m");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(directory.path()));
        Self(directory)
    }

    /// Where the server keeps its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// Puts a file of this size, or, if that is more than there is, fills the disk with it.
    pub(crate) fn put_ballast(&self, name: &str, mebibytes: usize) {
        let mut ballast = File::create(self.0.path().join(name)).expect("a file on the disk");
        let block = vec![0xaa; 4_096];
        for _ in 0..mebibytes * 256 {
            if ballast.write_all(&block).is_err() {
                break;
            }
        }
    }

    pub(crate) fn remove_ballast(&self, name: &str) {
        fs::remove_file(self.0.path().join(name)).expect("the ballast is there");
    }

    /// Makes it read-only, or writable again. Nobody may have a file open for writing.
    pub(crate) fn remount(&self, how: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.0.path()));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A server that still runs is killed after this: detach now, and let the disk go with its last file.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).output();
    }
}

/// A data directory on a real disk whose database can be made unwritable while it is open. Writable again when dropped.
pub(crate) struct Unwritable(TempDir);

impl Unwritable {
    /// Beside the test binaries, where files can be made immutable; they cannot on a disk in memory.
    pub(crate) fn new() -> Self {
        let beside = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(beside).expect("cargo's own directory");
        Self(TempDir::new_in(beside).expect("a temporary directory"))
    }

    pub(crate) fn data(&self) -> &Path {
        self.0.path()
    }

    fn database_files(&self) -> Vec<PathBuf> {
        let names = ["agentcafe.db", "agentcafe.db-wal"].map(|name| self.0.path().join(name));
        names.into_iter().filter(|file| file.exists()).collect()
    }

    /// From now on no write to the database succeeds, although its files are open.
    pub(crate) fn forbid_writing(&self) {
        run(Command::new("chattr").arg("+i").args(self.database_files()));
    }

    pub(crate) fn allow_writing(&self) {
        run(Command::new("chattr").arg("-i").args(self.database_files()));
    }
}

impl Drop for Unwritable {
    fn drop(&mut self) {
        let files = self.database_files();
        let _ = Command::new("chattr").arg("-i").args(files.iter().map(AsRef::<OsStr>::as_ref)).output();
    }
}
