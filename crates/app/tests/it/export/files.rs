//! Files of exports and imports: who may read them, and how they may begin.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::say;

/// The same command under this umask.
fn under_umask(umask: &str, command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.arg("-c").arg(format!("umask {umask}; exec \"$0\" \"$@\""));
    shell.arg(command.get_program()).args(command.get_args());
    shell
}

/// Kind: what is written is as private as the most secret thing in it. The mode is 0600 whatever the umask, also where an earlier export
/// left files that others may read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn export_file_is_readable_by_its_owner_only() {
    let (mut server, client) = cafe().await;
    assert_eq!(say(&client, "Nova", "secret").await.status, 202);
    assert!(server.stop().await.success());
    let target = TempDir::new().unwrap();
    for umask in ["000", "022", "077", "277"] {
        for name in ["new.jsonl".to_owned(), format!("{umask}.jsonl")] {
            let file = target.path().join(&name);
            if name != "new.jsonl" {
                for left in [&file, &target.path().join(format!("{name}.partial"))] {
                    fs::write(left, "").unwrap();
                    fs::set_permissions(left, Permissions::from_mode(0o666)).unwrap();
                }
            }
            let command = agentcafe("export", server.data_dir(), &["--output", file.to_str().unwrap()]);
            let output = under_umask(umask, &command).output().expect("the shell runs");
            assert!(output.status.success(), "{umask}: {}", stderr(&output));
            let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
            assert_eq!(format!("{mode:o}"), "600", "{umask} {name}");
            assert!(fs::read_to_string(&file).unwrap().contains("secret"));
            let _ = fs::remove_file(target.path().join("new.jsonl"));
        }
    }
}

/// Kind: bytes that editors and shells put before a text. The import of a file that begins with a byte order mark (RFC 8259, 8.1) is that
/// of the file without it; on another line it is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_ignores_a_leading_byte_order_mark() {
    let (server, client) = cafe().await;
    assert_eq!(say(&client, "Nova", "hey @Kai").await.status, 202);
    let text = export(server.data_dir(), &[]);
    let copy = import_to_new_directory(&format!("\u{feff}{text}"));
    assert!(without_exported_at(&export(copy.path(), &[])) == without_exported_at(&text));
    let directory = TempDir::new().unwrap();
    let output = import(directory.path(), &text.replacen('\n', "\n\u{feff}", 1));
    assert!(!output.status.success() && stderr(&output).contains("line 2"), "{}", stderr(&output));
}
