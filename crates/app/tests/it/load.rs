//! `agentcafe load`: the gate mode against real servers.

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use agentcafe_testkit::{Client, Server, Value, eventually};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::{cafe, launch};

mod fanout;
pub(crate) mod terminal;
mod tls;
mod write;

/// Deadline of a condition.
const DEADLINE: Duration = Duration::from_secs(60);
/// Objectives that a server meets even on a busy machine.
const LENIENT: [(&str, &str); 3] =
    [("SLO_API_P95_MS", "20000"), ("SLO_API_P99_MS", "20000"), ("SLO_STREAM_READY_P95_MS", "20000")];
/// An API key that no output may contain.
const KEY: &str = "k3y-0f-th3-c4f3";

/// The result of a command.
pub(crate) struct CommandResult {
    /// Whether the exit code was 0.
    pub(crate) passed: bool,
    /// The report on standard output; null if there is none.
    pub(crate) report: Value,
    /// Standard error.
    pub(crate) stderr: String,
}

impl CommandResult {
    fn new(output: &Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}: {stderr}", output.status);
        let report = match output.stdout.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&output.stdout).expect("a report is JSON"),
        };
        Self { passed: output.status.success(), report, stderr }
    }

    fn failed_checks(&self) -> Vec<&str> {
        failed_among(&self.report["gate"]["checks"])
    }
}

/// The names of the failed checks.
pub(crate) fn failed_among(checks: &Value) -> Vec<&str> {
    let checks = checks.as_array().map_or(&[] as &[_], Vec::as_slice).iter();
    checks.filter(|check| check["pass"] == false).filter_map(|check| check["name"].as_str()).collect()
}

/// `agentcafe` with only these variables in its environment.
fn agentcafe(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentcafe"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts `agentcafe`.
fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Child {
    agentcafe(arguments, variables).spawn().expect("the binary can be run")
}

/// Waits for a command to end.
async fn end_of(child: Child) -> CommandResult {
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output()).await;
    CommandResult::new(&ended.expect("waiting does not panic").expect("a child of ours can be waited for"))
}

/// Runs `agentcafe` to its end.
pub(crate) async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> CommandResult {
    end_of(start(arguments, variables)).await
}

/// Listens on a free port.
async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it has an address"));
    (listener, url)
}

/// The URL of a port on which nothing listens.
pub(crate) async fn unused_url() -> String {
    listen().await.1
}

/// Runs the gate against this server for a short time.
async fn gate(server: &Server, variables: &[(&str, &str)]) -> CommandResult {
    let url = server.url();
    let short = [("LOAD_TARGET_URL", url.as_str()), ("LOAD_DURATION_MS", "300"), ("LOAD_CONCURRENCY", "4")];
    run(&["load"], &[&short, &LENIENT as &[_], variables].concat()).await
}

/// Number of pages of the log that the server has returned so far.
async fn pages(client: &Client) -> u64 {
    let text = client.get("/metrics").await.text;
    let counts = text.lines().filter(|line| line.contains("route=\"/v1/events\"") && line.contains("_total"));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// The report has all documented members in their order, and a healthy server passes.
#[tokio::test(flavor = "multi_thread")]
async fn load_gate_passes_and_reports_all_members() {
    let (server, _client) = cafe().await;
    let url = server.url();
    let child = start(&["load", "--url", &url, "--duration-ms", "1000"], &LENIENT);
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let mut rest = text.as_str();
    for name in [
        "config",
        "targetUrl",
        "streamUrl",
        "durationMs",
        "concurrency",
        "warmupRequests",
        "timeoutMs",
        "streamFanout",
        "streamTimeoutMs",
        "streamPath",
        "apiPath",
        "apiPathAlt",
        "sloApiP95Ms",
        "sloApiP99Ms",
        "sloApiErrorRateMax",
        "sloStreamReadyP95Ms",
        "sloStreamSuccessRateMin",
        "api",
        "count",
        "minMs",
        "maxMs",
        "avgMs",
        "p50Ms",
        "p95Ms",
        "p99Ms",
        "total",
        "errors",
        "errorRate",
        "stream",
        "count",
        "minMs",
        "maxMs",
        "avgMs",
        "p50Ms",
        "p95Ms",
        "p99Ms",
        "total",
        "errors",
        "successRate",
        "gate",
        "pass",
        "checks",
        "name",
        "actual",
        "expected",
        "pass",
    ] {
        let (_, behind) =
            rest.split_once(&format!("\"{name}\": ")).unwrap_or_else(|| panic!("{name}: {text}"));
        rest = behind;
    }
    let result = CommandResult::new(&output);
    assert!(result.passed && result.stderr.is_empty(), "{}", result.stderr);
    let Value::Object(report) = &result.report else { panic!("{}", result.report) };
    assert_eq!(report["gate"]["pass"], true);
    let checks: Vec<_> = report["gate"]["checks"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    let names = ["api_p95", "api_p99", "api_error_rate", "stream_ready_p95", "stream_success_rate"];
    assert_eq!(checks, names);
    let (api, stream) = (&report["api"], &report["stream"]);
    assert_eq!(
        (&stream["total"], &stream["count"], &stream["successRate"]),
        (&40.into(), &40.into(), &1.0.into())
    );
    assert!(api["total"].as_u64() > Some(20) && api["total"] == api["count"], "{api}");
    let steps = api["histogram"].as_array().unwrap().iter();
    assert_eq!(
        steps.map(|step| step["count"].as_u64().unwrap()).sum::<u64>(),
        api["count"].as_u64().unwrap()
    );
    let order: Vec<_> = ["minMs", "p50Ms", "p90Ms", "p95Ms", "p99Ms", "maxMs"]
        .iter()
        .map(|name| api[*name].as_f64().unwrap())
        .collect();
    assert!(order.is_sorted(), "{order:?}");
}

/// Each threshold fails the gate by itself; the exit code and standard error say so.
#[tokio::test(flavor = "multi_thread")]
async fn load_gate_fails_on_each_missed_threshold() {
    let (server, _client) = cafe().await;
    let cases: [(&[(&str, &str)], &[&str]); 3] = [
        (&[("SLO_API_P95_MS", "0"), ("SLO_API_P99_MS", "0")], &["api_p95", "api_p99"]),
        (&[("LOAD_API_PATH_ALT", "/nowhere")], &["api_error_rate"]),
        (&[("LOAD_STREAM_PATH", "/nowhere")], &["stream_ready_p95", "stream_success_rate"]),
    ];
    for (variables, failed) in cases {
        let result = gate(&server, variables).await;
        assert!(!result.passed);
        assert_eq!(result.failed_checks(), failed);
        assert!(result.stderr.contains(&format!("gate failed: {}", failed.join(", "))), "{}", result.stderr);
    }
    let result = gate(&server, &[("LOAD_API_PATH_ALT", "/nowhere")]).await;
    let api = &result.report["api"];
    assert_eq!(api["statuses"]["404"], api["errors"], "{api}");
    assert_eq!(api["failed"]["count"], api["errors"], "latencies of failures are reported apart: {api}");
    assert_eq!(
        api["count"].as_u64().unwrap() + api["errors"].as_u64().unwrap(),
        api["total"].as_u64().unwrap()
    );
}

/// With the server's default settings only the rate limit fails the gate, and the notes say so.
#[tokio::test(flavor = "multi_thread")]
async fn load_gate_reports_the_rate_limit_separately() {
    let server = launch().without("API_RATE_LIMIT_PER_MIN").start().await;
    // Long enough for a busy machine to reach the limit.
    let result = gate(&server, &[("LOAD_DURATION_MS", "4000")]).await;
    let api = &result.report["api"];
    assert!(!result.passed && api["rateLimited"].as_u64() > Some(0), "{}", result.report);
    assert_eq!(api["rateLimited"], api["errors"], "/healthz is exempt");
    assert_eq!(result.failed_checks(), ["api_error_rate"]);
    for part in
        ["rate limit of 120 a minute", "not the server", "API_RATE_LIMIT_PER_MIN", "would pass the gate"]
    {
        assert!(result.stderr.contains(part), "{part}: {}", result.stderr);
        assert!(result.report["notes"].to_string().contains(part), "{part}: {}", result.report["notes"]);
    }
}

/// Without a server there is no report, but an error that names its address.
#[tokio::test(flavor = "multi_thread")]
async fn load_without_a_server_is_an_error() {
    let url = unused_url().await;
    for mode in [&["load"] as &[&str], &["load", "gate"], &["load", "write"], &["load", "fanout"]] {
        let result = run(&[mode, &["--url", &url]].concat(), &[]).await;
        assert!(!result.passed && result.report.is_null(), "{mode:?}: {}", result.report);
        assert!(
            result.stderr.contains(&url) && result.stderr.contains("refused"),
            "{mode:?}: {}",
            result.stderr
        );
    }
}

/// A protected API is tested with its key, which no output contains; a missing or wrong key is reported.
#[tokio::test(flavor = "multi_thread")]
async fn load_sends_its_api_key_and_never_shows_it() {
    let server = launch().env("API_AUTH_TOKEN", KEY).start().await;
    for variable in ["LOAD_API_KEY", "API_AUTH_TOKEN", "AGENTCAFE_RUNTIME_API_KEY"] {
        let result = gate(&server, &[(variable, KEY)]).await;
        assert!(result.passed, "{variable}: {}", result.stderr);
    }
    let bearer = format!("Authorization: Bearer {KEY}");
    let result =
        run(&["load", "--url", &server.url(), "--duration-ms", "200", "--header", &bearer], &LENIENT).await;
    assert!(result.passed, "{}", result.stderr);
    let (page, stream) =
        (format!("/v1/events?limit=5&apiKey={KEY}"), format!("/v1/streams/market-events?apiKey={KEY}"));
    let result =
        gate(&server, &[("LOAD_API_PATH_ALT", page.as_str()), ("LOAD_STREAM_PATH", stream.as_str())]).await;
    assert!(result.passed, "{}", result.stderr);
    assert_eq!(result.report["config"]["apiPathAlt"], "/v1/events?limit=5&apiKey=…");
    assert!(!format!("{}{}", result.report, result.stderr).contains(KEY));

    let cases: [(&[(&str, &str)], &str); 2] = [
        (&[], "set LOAD_API_KEY"),
        (&[("LOAD_API_KEY", "an-0th3r-k3y")], "the key in LOAD_API_KEY is not the server's"),
    ];
    for (variables, hint) in cases {
        // A server of its own for each run: after 30 failures a minute, it answers 429.
        let server = launch().env("API_AUTH_TOKEN", KEY).start().await;
        let result = gate(&server, variables).await;
        assert!(!result.passed && result.stderr.contains(hint), "{}", result.stderr);
        let count = |name: &str| {
            let parts = [&result.report["api"], &result.report["stream"]];
            parts.map(|part| part[name].as_u64().unwrap()).iter().sum::<u64>()
        };
        assert_eq!((count("unauthorized"), count("rateLimited")), (30, count("errors") - 30));
        assert!(!format!("{}{}", result.report, result.stderr).contains("an-0th3r-k3y"));
        let server = launch().env("API_AUTH_TOKEN", KEY).start().await;
        let url = server.url();
        let fanout = run(&["load", "fanout", "--url", &url, "--duration-ms", "200"], variables).await;
        assert!(!fanout.passed && fanout.stderr.contains(hint), "{}", fanout.stderr);
    }
}

/// Requests and streams fail, but there is a report.
#[tokio::test(flavor = "multi_thread")]
async fn load_gate_fails_if_the_server_is_killed() {
    let (mut server, client) = cafe().await;
    let url = server.url();
    let child = start(&["load", "--url", &url, "--duration-ms", "3000"], &[]);
    let has_begun = async || (pages(&client).await > 20).then_some(());
    eventually("the gate sends requests", DEADLINE, has_begun).await;
    server.kill();
    let result = end_of(child).await;
    let (api, stream) = (&result.report["api"], &result.report["stream"]);
    assert!(!result.passed && api["count"].as_u64() > Some(20), "{}", result.report);
    assert_eq!(api["transportErrors"], api["errors"]);
    assert_eq!((&stream["transportErrors"], &stream["p95Ms"]), (&40.into(), &Value::Null));
    assert!(result.failed_checks().contains(&"stream_success_rate"));
    assert!(result.stderr.contains("the connection failed"), "{}", result.stderr);
}

/// A request without a response before its deadline is an error; the run still ends.
#[tokio::test(flavor = "multi_thread")]
async fn load_gate_times_out_if_the_server_hangs() {
    let (server, client) = cafe().await;
    let (url, pid) = (server.url(), Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap());
    let variables = [("LOAD_REQUEST_TIMEOUT_MS", "300"), ("LOAD_STREAM_TIMEOUT_MS", "300")];
    let child = start(&["load", "--url", &url, "--duration-ms", "8000"], &variables);
    let has_begun = async || (pages(&client).await > 20).then_some(());
    eventually("the gate sends requests", DEADLINE, has_begun).await;
    kill_process(pid, Signal::STOP).unwrap();
    let result = end_of(child).await;
    kill_process(pid, Signal::CONT).unwrap();
    let (api, stream) = (&result.report["api"], &result.report["stream"]);
    assert!(!result.passed && api["timeouts"].as_u64() >= Some(20), "{api}");
    assert_eq!(stream["timeouts"], 40, "{stream}");
    assert!(api["failed"]["maxMs"].as_f64() >= Some(300.0), "{api}");
    assert!(result.stderr.contains("timed out"), "{}", result.stderr);
}

/// A server that begins each stream with these bytes and sends nothing more.
async fn silent_streams(beginning: &'static str) -> String {
    let (listener, url) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(beginning.as_bytes()).await;
                // Keeps the connection open until the client closes it.
                let _ = stream.read(&mut request).await;
            });
        }
    });
    url
}

/// The deadline is for the whole wait, and `ready` is an event's name, not any text in the stream.
#[tokio::test(flavor = "multi_thread")]
async fn load_gate_times_out_streams_that_are_never_ready() {
    let (server, _client) = cafe().await;
    for beginning in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nevent: snapshot\ndata: {\"ready\":\"event: ready\"}\n\n",
    ] {
        let streams = silent_streams(beginning).await;
        let variables = [("LOAD_STREAM_URL", streams.as_str()), ("LOAD_STREAM_TIMEOUT_MS", "200")];
        let result = gate(&server, &variables).await;
        assert_eq!(result.failed_checks(), ["stream_ready_p95", "stream_success_rate"], "{beginning:?}");
        let stream = &result.report["stream"];
        assert_eq!((&stream["timeouts"], &stream["count"]), (&40.into(), &0.into()), "{beginning:?}");
        assert_eq!(result.report["config"]["streamUrl"], streams.as_str());
    }
}

/// Invalid settings are named before any request is sent; unknown ones are reported.
#[tokio::test(flavor = "multi_thread")]
async fn load_names_invalid_settings() {
    let (server, client) = cafe().await;
    for (name, value) in
        [("LOAD_DURATION_MS", "NaN"), ("SLO_API_P95_MS", "fast"), ("LOAD_API_PATH", "healthz")]
    {
        let result = gate(&server, &[(name, value)]).await;
        assert!(
            !result.passed && result.report.is_null() && result.stderr.contains(name),
            "{name}: {}",
            result.stderr
        );
    }
    for (option, value) in [("--url", "cafe:1"), ("--url", "http://me:secret@cafe"), ("--header", "a b")] {
        let result = run(&["load", option, value], &[]).await;
        assert!(
            !result.passed && result.stderr.contains(option) && !result.stderr.contains("secret"),
            "{}",
            result.stderr
        );
    }
    assert_eq!(pages(&client).await, 0);
    let result = gate(&server, &[("LOAD_CONCURENCY", "4")]).await;
    assert!(result.passed && result.stderr.contains("LOAD_CONCURENCY is not a setting"), "{}", result.stderr);
}

/// `--help` lists every setting.
#[tokio::test(flavor = "multi_thread")]
async fn load_help_lists_every_setting() {
    let help =
        |arguments: &'static [&str]| String::from_utf8(agentcafe(arguments, &[]).output().unwrap().stdout);
    let load = help(&["load", "--help"]).unwrap();
    for name in [
        "LOAD_TARGET_URL",
        "LOAD_STREAM_URL",
        "LOAD_API_KEY",
        "LOAD_API_PATH",
        "LOAD_API_PATH_ALT",
        "LOAD_STREAM_PATH",
        "LOAD_DURATION_MS",
        "LOAD_CONCURRENCY",
        "LOAD_WARMUP_REQUESTS",
        "LOAD_REQUEST_TIMEOUT_MS",
        "LOAD_STREAM_FANOUT",
        "LOAD_STREAM_TIMEOUT_MS",
        "SLO_API_P95_MS",
        "SLO_API_P99_MS",
        "SLO_API_ERROR_RATE_MAX",
        "SLO_STREAM_READY_P95_MS",
        "SLO_STREAM_SUCCESS_RATE_MIN",
    ] {
        assert!(load.contains(name), "{name}: {load}");
    }
    let drill = help(&["drill", "--help"]).unwrap();
    for name in [
        "ROLLBACK_DRILL_MODE",
        "ROLLBACK_DRILL_TIMEOUT_MS",
        "ROLLBACK_WORLD_URL",
        "ROLLBACK_API_URL",
        "ROLLBACK_REALTIME_URL",
        "ROLLBACK_API_KEY",
    ] {
        assert!(drill.contains(name), "{name}: {drill}");
    }
    let modes = [help(&["load", "write", "--help"]).unwrap(), help(&["load", "fanout", "--help"]).unwrap()];
    for (mode, option) in [(0, "--connections"), (0, "--rate"), (1, "--subscribers"), (1, "--stream-url")] {
        assert!(modes[mode].contains(option), "{option}: {}", modes[mode]);
    }
    assert!(help(&["--help"]).unwrap().contains("drill"));
}
