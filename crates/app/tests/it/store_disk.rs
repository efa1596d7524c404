//! Small disks of our own, to test full and read-only file systems.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// Runs a system command that must succeed.
pub(crate) fn run(command: &mut Command) {
    let output = command.output();
    let output =
        output.unwrap_or_else(|error| panic!("{command:?} cannot be run, but this test needs it: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?} is not permitted, but this test needs it (run it as root): {said}"
    );
}

/// A small disk in memory. It is removed when this is dropped.
pub(crate) struct SmallDisk(TempDir);

impl SmallDisk {
    pub(crate) fn mount(mebibytes: usize) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let size = format!("size={mebibytes}m");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(directory.path()));
        Self(directory)
    }

    /// The data directory on it.
    pub(crate) fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// Creates a file of this size, or fills the disk if it does not fit.
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

    /// Makes it read-only, or writable again. No file may be open for writing.
    pub(crate) fn remount(&self, how: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.0.path()));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A server that still runs is killed after this: detach the disk now, it is removed with its last open file.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).output();
    }
}
