//! A read-only disk is a clear error at the start.

use crate::background_load::all_events;
use crate::launch;
use crate::read_only_database::say_once;
use crate::store_disk::SmallDisk;

/// With a store on it and without; the error names the directory and the cause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only_disk_at_the_start_is_reported() {
    let disk = SmallDisk::mount(16);
    for has_store in [false, true] {
        if has_store {
            let mut server = launch().data_dir(disk.data()).start().await;
            assert_eq!(say_once(&server.client(), "before").await.status, 202);
            assert!(server.stop().await.success());
        }
        disk.remount("ro");
        let Err(failed) = launch().data_dir(disk.data()).try_start().await else { panic!("it is ready") };
        let status = failed.status.expect("it ends");
        assert!(!status.success() && !failed.log.contains("panicked"), "{status:?}: {}", failed.log);
        let last = failed.log.lines().last().unwrap_or_default().to_lowercase();
        let words = [disk.data().display().to_string(), "read-only".to_owned()];
        assert!(words.iter().all(|word| last.contains(&word.to_lowercase())), "{last}");
        disk.remount("rw");
    }
    let mut server = launch().data_dir(disk.data()).start().await;
    let client = server.client();
    assert_eq!(all_events(&client).await[0]["payload"]["conversation"]["text"], "before");
    server.kill();
}
