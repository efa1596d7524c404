//! A wall clock that a test sets, for the processes that are started with it. Their monotonic clocks are those of the machine.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::NamedTempFile;

use crate::server::Launch;

/// A wall clock, as libfaketime shows it.
#[derive(Debug)]
pub struct FakeClock(NamedTempFile);

/// The path of libfaketime on Debian.
pub(crate) fn library() -> PathBuf {
    let found = fs::read_dir("/usr/lib").expect("there is /usr/lib").filter_map(|entry| {
        let library = entry.ok()?.path().join("faketime/libfaketime.so.1");
        library.exists().then_some(library)
    });
    found.last().expect("libfaketime is not installed; ./test.sh installs it")
}

impl FakeClock {
    /// A clock that differs from that of the machine by an offset like `+1h` or `-2d`.
    ///
    /// # Panics
    /// If there is no place for temporary files.
    #[must_use]
    pub fn at(offset: &str) -> Self {
        let file = NamedTempFile::new().expect("a temporary file");
        // PostgreSQL runs as another user.
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).expect("it is ours");
        let clock = Self(file);
        clock.set(offset);
        clock
    }

    /// Sets the clock, also of processes that run.
    ///
    /// # Panics
    /// If the file that they read is gone.
    pub fn set(&self, offset: &str) {
        // In one write: a reader must not see half of it.
        self.0
            .reopen()
            .and_then(|mut file| file.write_all(format!("{offset:<8}\n").as_bytes()))
            .expect("it is there");
    }

    /// What a process needs beside the library.
    pub(crate) fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("FAKETIME_TIMESTAMP_FILE", self.0.path().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// Starts the server with this clock.
    #[must_use]
    pub fn of(&self, launch: Launch) -> Launch {
        let launch = launch.env("LD_PRELOAD", library().display());
        self.environment().into_iter().fold(launch, |launch, (name, value)| launch.env(name, value))
    }
}
