//! `agentcafe load`: the gate, run as an operator runs it, against real servers.

use std::{
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use agentcafe_testkit::{Client, Server, Value, eventually};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{cafe, launch};

mod encrypted;
mod fanout;
mod screen;
mod write;

/// How long a condition may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Objectives that a server which shares a busy machine with many others still meets.
const LENIENT: [(&str, &str); 3] =
    [("SLO_API_P95_MS", "20000"), ("SLO_API_P99_MS", "20000"), ("SLO_STREAM_READY_P95_MS", "20000")];
/// A key that must be shown nowhere.
const KEY: &str = "k3y-0f-th3-c4f3";

/// What a run came to.
pub(crate) struct Ran {
    /// The exit code was 0.
    pub(crate) passed: bool,
    /// The report; null if nothing was printed.
    pub(crate) report: Value,
    /// What was said beside it.
    pub(crate) said: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}: {said}", output.status);
        let report = match output.stdout.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&output.stdout).expect("a report is JSON"),
        };
        Self { passed: output.status.success(), report, said }
    }

    fn failed_checks(&self) -> Vec<&str> {
        failed_among(&self.report["gate"]["checks"])
    }
}

/// The names of the checks that do not hold.
pub(crate) fn failed_among(checks: &Value) -> Vec<&str> {
    let checks = checks.as_array().map_or(&[] as &[_], Vec::as_slice).iter();
    checks.filter(|check| check["pass"] == false).filter_map(|check| check["name"].as_str()).collect()
}

/// `agentcafe` with nothing in its environment but these variables.
fn agentcafe(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentcafe"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts it.
fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Child {
    agentcafe(arguments, variables).spawn().expect("the binary can be run")
}

/// Waits for its end.
async fn end_of(child: Child) -> Ran {
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output()).await;
    Ran::of(&ended.expect("waiting does not panic").expect("a child of ours can be waited for"))
}

/// Runs it to its end.
pub(crate) async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    end_of(start(arguments, variables)).await
}

/// Listens on a free port.
async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it has an address"));
    (listener, url)
}

/// Where nobody listens.
pub(crate) async fn nowhere() -> String {
    listen().await.1
}

/// The gate against this server, shortly.
async fn gate(server: &Server, variables: &[(&str, &str)]) -> Ran {
    let url = server.url();
    let short = [("LOAD_TARGET_URL", url.as_str()), ("LOAD_DURATION_MS", "300"), ("LOAD_CONCURRENCY", "4")];
    run(&["load"], &[&short, &LENIENT as &[_], variables].concat()).await
}

/// How many pages of the log the server has answered so far.
async fn pages(client: &Client) -> u64 {
    let text = client.get("/metrics").await.text;
    let counts = text.lines().filter(|line| line.contains("route=\"/v1/events\"") && line.contains("_total"));
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// CONTRACT 21: the report has its members, in their order, and a sound server passes.
#[tokio::test(flavor = "multi_thread")]
async fn a_sound_server_passes() {
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
    let ran = Ran::of(&output);
    assert!(ran.passed && ran.said.is_empty(), "{}", ran.said);
    let Value::Object(report) = &ran.report else { panic!("{}", ran.report) };
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

/// CONTRACT 21: each threshold fails the gate by itself, and the exit code and standard error say so.
#[tokio::test(flavor = "multi_thread")]
async fn a_missed_threshold_fails() {
    let (server, _client) = cafe().await;
    let cases: [(&[(&str, &str)], &[&str]); 3] = [
        (&[("SLO_API_P95_MS", "0"), ("SLO_API_P99_MS", "0")], &["api_p95", "api_p99"]),
        (&[("LOAD_API_PATH_ALT", "/nowhere")], &["api_error_rate"]),
        (&[("LOAD_STREAM_PATH", "/nowhere")], &["stream_ready_p95", "stream_success_rate"]),
    ];
    for (variables, failed) in cases {
        let ran = gate(&server, variables).await;
        assert!(!ran.passed);
        assert_eq!(ran.failed_checks(), failed);
        assert!(ran.said.contains(&format!("not good enough: {}", failed.join(", "))), "{}", ran.said);
    }
    let ran = gate(&server, &[("LOAD_API_PATH_ALT", "/nowhere")]).await;
    let api = &ran.report["api"];
    assert_eq!(api["statuses"]["404"], api["errors"], "{api}");
    assert_eq!(api["failed"]["count"], api["errors"], "latencies of failures stand apart: {api}");
    assert_eq!(
        api["count"].as_u64().unwrap() + api["errors"].as_u64().unwrap(),
        api["total"].as_u64().unwrap()
    );
}

/// RULINGS Q1: with default settings it is the rate limit that fails, and that is said.
#[tokio::test(flavor = "multi_thread")]
async fn the_rate_limit_is_told_from_the_server() {
    let server = launch().without("API_RATE_LIMIT_PER_MIN").start().await;
    // Long enough for a busy machine to come to the limit.
    let ran = gate(&server, &[("LOAD_DURATION_MS", "4000")]).await;
    let api = &ran.report["api"];
    assert!(!ran.passed && api["rateLimited"].as_u64() > Some(0), "{}", ran.report);
    assert_eq!(api["rateLimited"], api["errors"], "/healthz is exempt");
    assert_eq!(ran.failed_checks(), ["api_error_rate"]);
    for part in ["rate limit of 120 a minute", "not the server", "API_RATE_LIMIT_PER_MIN", "is good enough"] {
        assert!(ran.said.contains(part), "{part}: {}", ran.said);
        assert!(ran.report["notes"].to_string().contains(part), "{part}: {}", ran.report["notes"]);
    }
}

/// CONTRACT 21: without a server there is no report, but a clear word.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_an_error() {
    let url = nowhere().await;
    for mode in [&["load"] as &[&str], &["load", "gate"], &["load", "write"], &["load", "fanout"]] {
        let ran = run(&[mode, &["--url", &url]].concat(), &[]).await;
        assert!(!ran.passed && ran.report.is_null(), "{mode:?}: {}", ran.report);
        assert!(ran.said.contains(&url) && ran.said.contains("refused"), "{mode:?}: {}", ran.said);
    }
}

/// RULINGS B6, Q3: a protected API is loaded with its key, which is shown nowhere; a missing or wrong one is told.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_opens_a_protected_api() {
    let server = launch().env("API_AUTH_TOKEN", KEY).start().await;
    for variable in ["LOAD_API_KEY", "API_AUTH_TOKEN", "AGENTCAFE_RUNTIME_API_KEY"] {
        let ran = gate(&server, &[(variable, KEY)]).await;
        assert!(ran.passed, "{variable}: {}", ran.said);
    }
    let bearer = format!("Authorization: Bearer {KEY}");
    let ran =
        run(&["load", "--url", &server.url(), "--duration-ms", "200", "--header", &bearer], &LENIENT).await;
    assert!(ran.passed, "{}", ran.said);
    let (page, stream) =
        (format!("/v1/events?limit=5&apiKey={KEY}"), format!("/v1/streams/market-events?apiKey={KEY}"));
    let ran =
        gate(&server, &[("LOAD_API_PATH_ALT", page.as_str()), ("LOAD_STREAM_PATH", stream.as_str())]).await;
    assert!(ran.passed, "{}", ran.said);
    assert_eq!(ran.report["config"]["apiPathAlt"], "/v1/events?limit=5&apiKey=…");
    assert!(!format!("{}{}", ran.report, ran.said).contains(KEY));

    let cases: [(&[(&str, &str)], &str); 2] = [
        (&[], "set LOAD_API_KEY"),
        (&[("LOAD_API_KEY", "an-0th3r-k3y")], "the key in LOAD_API_KEY is not the server's"),
    ];
    for (variables, hint) in cases {
        let ran = gate(&server, variables).await;
        assert!(!ran.passed && ran.said.contains(hint), "{}", ran.said);
        let (api, stream) = (&ran.report["api"], &ran.report["stream"]);
        assert_eq!((&api["unauthorized"], &stream["unauthorized"]), (&api["errors"], &40.into()));
        assert!(!format!("{}{}", ran.report, ran.said).contains("an-0th3r-k3y"));
        let url = server.url();
        let spoken = run(&["load", "fanout", "--url", &url, "--duration-ms", "200"], variables).await;
        assert!(!spoken.passed && spoken.said.contains(hint), "{}", spoken.said);
    }
}

/// CONTRACT 21: a server that is killed meanwhile is a share of failed requests and streams, and a report all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_meanwhile_fails_the_gate() {
    let (mut server, client) = cafe().await;
    let url = server.url();
    let child = start(&["load", "--url", &url, "--duration-ms", "3000"], &[]);
    let asked = async || (pages(&client).await > 20).then_some(());
    eventually("the gate asks", PATIENCE, asked).await;
    server.kill();
    let ran = end_of(child).await;
    let (api, stream) = (&ran.report["api"], &ran.report["stream"]);
    assert!(!ran.passed && api["count"].as_u64() > Some(20), "{}", ran.report);
    assert_eq!(api["transportErrors"], api["errors"]);
    assert_eq!((&stream["transportErrors"], &stream["p95Ms"]), (&40.into(), &Value::Null));
    assert!(ran.failed_checks().contains(&"stream_success_rate"));
    assert!(ran.said.contains("found no server, or lost it"), "{}", ran.said);
}

/// CONTRACT 21: what is not answered in time is an error; the run still ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_timed_out() {
    let (server, client) = cafe().await;
    let (url, pid) = (server.url(), Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap());
    let variables = [("LOAD_REQUEST_TIMEOUT_MS", "300"), ("LOAD_STREAM_TIMEOUT_MS", "300")];
    let child = start(&["load", "--url", &url, "--duration-ms", "8000"], &variables);
    let asked = async || (pages(&client).await > 20).then_some(());
    eventually("the gate asks", PATIENCE, asked).await;
    kill_process(pid, Signal::STOP).unwrap();
    let ran = end_of(child).await;
    kill_process(pid, Signal::CONT).unwrap();
    let (api, stream) = (&ran.report["api"], &ran.report["stream"]);
    assert!(!ran.passed && api["timeouts"].as_u64() >= Some(20), "{api}");
    assert_eq!(stream["timeouts"], 40, "{stream}");
    assert!(api["failed"]["maxMs"].as_f64() >= Some(300.0), "{api}");
    assert!(ran.said.contains("not answered in time"), "{}", ran.said);
}

/// A server of streams that begins each of them with these bytes and says no more.
async fn silent_streams(beginning: &'static str) -> String {
    let (listener, url) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(beginning.as_bytes()).await;
                // Until the client has had enough.
                let _ = stream.read(&mut request).await;
            });
        }
    });
    url
}

/// RULINGS Q2: the deadline is for the whole wait, and `ready` is an event's name, not a word somewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_never_ready_is_timed_out() {
    let (server, _client) = cafe().await;
    for beginning in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nevent: snapshot\ndata: {\"ready\":\"event: ready\"}\n\n",
    ] {
        let streams = silent_streams(beginning).await;
        let variables = [("LOAD_STREAM_URL", streams.as_str()), ("LOAD_STREAM_TIMEOUT_MS", "200")];
        let ran = gate(&server, &variables).await;
        assert_eq!(ran.failed_checks(), ["stream_ready_p95", "stream_success_rate"], "{beginning:?}");
        let stream = &ran.report["stream"];
        assert_eq!((&stream["timeouts"], &stream["count"]), (&40.into(), &0.into()), "{beginning:?}");
        assert_eq!(ran.report["config"]["streamUrl"], streams.as_str());
    }
}

/// RULINGS Q4 and O6: settings that cannot be used are named before anything is asked; misspelt ones are told.
#[tokio::test(flavor = "multi_thread")]
async fn bad_settings_are_named() {
    let (server, client) = cafe().await;
    for (name, value) in
        [("LOAD_DURATION_MS", "NaN"), ("SLO_API_P95_MS", "fast"), ("LOAD_API_PATH", "healthz")]
    {
        let ran = gate(&server, &[(name, value)]).await;
        assert!(!ran.passed && ran.report.is_null() && ran.said.contains(name), "{name}: {}", ran.said);
    }
    for (option, value) in [("--url", "cafe:1"), ("--url", "http://me:secret@cafe"), ("--header", "a b")] {
        let ran = run(&["load", option, value], &[]).await;
        assert!(!ran.passed && ran.said.contains(option) && !ran.said.contains("secret"), "{}", ran.said);
    }
    assert_eq!(pages(&client).await, 0);
    let ran = gate(&server, &[("LOAD_CONCURENCY", "4")]).await;
    assert!(ran.passed && ran.said.contains("LOAD_CONCURENCY is set, but is no setting"), "{}", ran.said);
}

/// The issue: `--help` lists every setting that the contract has.
#[tokio::test(flavor = "multi_thread")]
async fn the_help_lists_every_setting() {
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
