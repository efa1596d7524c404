//! Workers, and the control that starts, paces and stops them.

use std::time::Duration;

use agentcafe_load::script::GetScript;
use agentcafe_load::stats::{RequestStats, Stopwatch};
use agentcafe_load::target::Target;
use agentcafe_load::worker::{RunControl, SendPermit, WorkerOptions, WorkerPool};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const IMMEDIATE: Option<SendPermit> = Some(SendPermit { due_us: None });

#[tokio::test]
async fn run_control_for_requests_grants_so_many_permits() {
    let control = RunControl::for_requests(2);
    let permits = [control.acquire().await, control.acquire().await, control.acquire().await];
    assert_eq!(permits, [IMMEDIATE, IMMEDIATE, None]);
}

#[tokio::test]
async fn run_control_until_sequence_ends_with_it() {
    let control = RunControl::until_sequence(12);
    for (body, goes_on) in [("{}", true), (r#"{"sequence":11}"#, true), (r#"{"sequence":12,"a":1}"#, false)] {
        control.record_success(body.as_bytes());
        assert_eq!(control.acquire().await.is_some(), goes_on, "{body}");
    }
    assert_eq!(control.counts(), (3, 0));
}

#[tokio::test]
async fn run_control_paced_spaces_requests() {
    let stopwatch = Stopwatch::start();
    // The stopwatch has run before the control is made: requests are due from then on, not from its start.
    while stopwatch.elapsed_us() < 60_000 {
        tokio::task::yield_now().await;
    }
    let begins_us = stopwatch.elapsed_us();
    let control = RunControl::until_stopped().paced(50.0, stopwatch);
    let first = control.acquire().await.and_then(|permit| permit.due_us);
    assert!(first.is_some_and(|due_us| due_us >= begins_us), "{first:?}");
    for after_us in [20_000, 40_000] {
        let permit = control.acquire().await.expect("the run goes on");
        // A permit that is late, because the machine is busy, says when it was due.
        assert!(permit.due_us.is_none_or(|due_us| due_us >= begins_us + after_us), "{permit:?}");
    }
    let took_us = stopwatch.elapsed_us() - begins_us;
    assert!(took_us >= 39_000, "{took_us}");
}

#[tokio::test]
async fn run_control_finish_wakes_a_paced_worker() {
    let control = RunControl::until_stopped().paced(0.001, Stopwatch::start());
    assert!(control.acquire().await.is_some());
    let (permit, ()) = tokio::join!(control.acquire(), async { control.finish() });
    assert_eq!(permit, None);
}

/// A server that answers this many requests on each connection, then closes it without notice.
async fn closing_server(answers: usize) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::from(listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            for _ in 0..answers {
                if stream.read(&mut request).await.unwrap() == 0 {
                    break;
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            }
        }
    });
    target
}

async fn seven_requests(target: &Target, reconnects: bool) -> RequestStats {
    let script = GetScript::new(target, &["/"]);
    let options = WorkerOptions { reconnects, ..WorkerOptions::default() };
    let control = RunControl::for_requests(7);
    let workers = WorkerPool::start(target, control, Stopwatch::start(), options, vec![script]);
    workers.join(Duration::from_secs(30)).await.unwrap()
}

#[tokio::test]
async fn worker_reopens_a_connection_closed_while_idle() {
    let stats = seven_requests(&closing_server(2).await, false).await;
    assert_eq!((stats.completed, stats.failed), (7, 0), "{:?}", stats.failures);
}

#[tokio::test]
async fn worker_counts_a_connection_that_never_answers() {
    let target = closing_server(0).await;
    let (once, always) = (seven_requests(&target, false).await, seven_requests(&target, true).await);
    assert_eq!((once.completed, once.failures.transport_errors), (0, 1));
    assert_eq!((always.completed, always.failures.transport_errors), (0, 7));
}
