//! `agentcafe drill`: the steps of a rollback, and the checks of the services that run.

use agentcafe_testkit::{Reaction, Receiver, Value, json};

use crate::load::{CommandResult, failed_among, run, unused_url};
use crate::realtime::launch_realtime;
use crate::{cafe, launch};

const PROBES: [&str; 4] =
    ["world_healthz", "runtime_api_healthz", "runtime_realtime_healthz", "runtime_stream_ready"];

/// Probes these three services; each must be in the report's targets.
async fn probe(world: &str, api: &str, realtime: &str, more: &[(&str, &str)]) -> CommandResult {
    let targets = [
        ("ROLLBACK_WORLD_URL", world),
        ("ROLLBACK_API_URL", api),
        ("ROLLBACK_REALTIME_URL", realtime),
        ("ROLLBACK_DRILL_MODE", " Probe "),
        ("ROLLBACK_DRILL_TIMEOUT_MS", "30000"),
    ];
    let ran = run(&["drill"], &[&targets, more].concat()).await;
    assert_eq!(ran.report["mode"], "probe", "{}", ran.stderr);
    assert_eq!(ran.report["ok"], ran.passed);
    assert!(ran.report["executedAt"].is_string() && ran.report["summary"].is_string());
    ran
}

fn failed(ran: &CommandResult) -> Vec<&str> {
    failed_among(&ran.report["checks"])
}

fn check<'a>(ran: &'a CommandResult, name: &str) -> &'a Value {
    let mut checks = ran.report["checks"].as_array().map_or(&[] as &[_], Vec::as_slice).iter();
    checks.find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {}", ran.report))
}

/// A world service whose health check answers this.
async fn world(reaction: Reaction) -> (Receiver, String) {
    let world = Receiver::start().await;
    world.always("/api/healthz", reaction);
    let url = format!("http://{}", world.address());
    (world, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn drill_dry_run_lists_the_steps_without_requests() {
    let (receiver, url) = world(Reaction::status(200)).await;
    let ran = run(&["drill"], &[("ROLLBACK_WORLD_URL", &url)]).await;
    assert!(ran.passed && ran.stderr.is_empty(), "{}", ran.stderr);
    assert_eq!((&ran.report["ok"], &ran.report["mode"]), (&true.into(), &"dry-run".into()));
    let steps: Vec<_> = ran.report["checks"].as_array().unwrap().iter().map(|step| &step["name"]).collect();
    let names =
        ["capture_incident_context", "prepare_write_safety", "rollback_order", "post_rollback_validation"];
    assert_eq!(steps, names);
    assert!(ran.report["checks"].as_array().unwrap().iter().all(|step| step["pass"] == true));
    let targets = json!({"world": url, "api": "http://127.0.0.1:3850", "realtime": "http://127.0.0.1:3851"});
    assert_eq!(ran.report["targets"], targets);
    assert!(receiver.received("/api/healthz").is_empty());
}

/// All three services are healthy, and an event stream starts.
#[tokio::test(flavor = "multi_thread")]
async fn drill_passes_with_healthy_services_and_a_stream() {
    let (server, _client) = cafe().await;
    let (_world, world_url) = world(Reaction::json(200, &json!({"ok": true}))).await;
    let realtime = launch_realtime(&server).start().await;
    let url = server.url();
    let ran = probe(&world_url, &url, &realtime.url(), &[]).await;
    assert!(ran.passed && ran.stderr.is_empty(), "{}", ran.stderr);
    let names: Vec<_> = ran.report["checks"].as_array().unwrap().iter().map(|check| &check["name"]).collect();
    assert_eq!(names, PROBES);
    for name in PROBES {
        let expected = json!({"name": name, "pass": true, "status": 200, "error": null});
        assert_eq!(check(&ran, name), &expected);
    }
    // The world service and the realtime service are optional.
    let ran = probe("none", &url, "none", &[]).await;
    assert!(ran.passed, "{}", ran.stderr);
    assert_eq!(ran.report["targets"], json!({"world": null, "api": url, "realtime": null}));
    assert_eq!(ran.report["checks"].as_array().unwrap().len(), 2);
}

/// A service is healthy if it answers 2xx and the body, if it is JSON, has no `ok: false`.
#[tokio::test(flavor = "multi_thread")]
async fn drill_fails_and_names_an_unhealthy_service() {
    let (server, _client) = cafe().await;
    let url = server.url();
    let cases = [
        (Reaction::status(204), true),
        (Reaction::json(200, &json!({"service": "world"})), true),
        (Reaction::json(200, &json!({"ok": false})), false),
        (Reaction::json(503, &json!({"ok": true})), false),
        (Reaction::hang(), false),
    ];
    for (reaction, passes) in cases {
        let impatient: &[_] = &[("ROLLBACK_DRILL_TIMEOUT_MS", "5000")];
        let (_world, world_url) = world(reaction).await;
        let ran = probe(&world_url, &url, &url, impatient).await;
        assert_eq!(failed(&ran), if passes { vec![] } else { vec!["world_healthz"] });
        assert_eq!(ran.stderr.contains("world_healthz"), !passes, "{}", ran.stderr);
    }
    let ran = probe("none", &url, &unused_url().await, &[]).await;
    assert_eq!(failed(&ran), ["runtime_realtime_healthz"]);
    let realtime = check(&ran, "runtime_realtime_healthz");
    assert!(
        realtime["status"].is_null() && realtime["error"].as_str().unwrap().contains("refused"),
        "{realtime}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn drill_fails_if_no_stream_starts() {
    let server = launch().env("API_STREAM_MAX_CLIENTS", 0).start().await;
    let url = server.url();
    let ran = probe("none", &url, "none", &[]).await;
    assert_eq!(failed(&ran), ["runtime_stream_ready"]);
    assert_eq!(check(&ran, "runtime_stream_ready")["status"], 503);
}

/// A protected café is checked with its API key; the world service does not receive it.
#[tokio::test(flavor = "multi_thread")]
async fn drill_sends_the_api_key_to_the_runtime_only() {
    const KEY: &str = "k3y-0f-th3-c4f3";
    let server = launch().env("API_AUTH_TOKEN", KEY).start().await;
    let (receiver, world_url) = world(Reaction::status(200)).await;
    let url = server.url();
    for variable in ["ROLLBACK_API_KEY", "API_AUTH_TOKEN"] {
        let ran = probe(&world_url, &url, &url, &[(variable, KEY)]).await;
        assert!(ran.passed, "{}", ran.stderr);
        assert!(!ran.report.to_string().contains(KEY));
    }
    let requests = receiver.received("/api/healthz");
    assert!(requests.len() == 2 && requests.iter().all(|request| request.header("x-api-key").is_empty()));
    for (variables, hint) in
        [(&[] as &[_], "set ROLLBACK_API_KEY"), (&[("ROLLBACK_API_KEY", "x")], "is wrong")]
    {
        let ran = probe(&world_url, &url, &url, variables).await;
        assert_eq!(failed(&ran), ["runtime_stream_ready"], "health needs no key");
        let error = check(&ran, "runtime_stream_ready")["error"].as_str().unwrap();
        assert!(error.contains("401") && error.contains(hint), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drill_with_an_unknown_mode_is_a_json_error() {
    for ran in [
        run(&["drill"], &[("ROLLBACK_DRILL_MODE", "full")]).await,
        run(&["drill", "--mode", "full"], &[("ROLLBACK_DRILL_MODE", "probe")]).await,
    ] {
        assert!(!ran.passed);
        assert_eq!(ran.report["ok"], false);
        assert!(
            ran.report["executedAt"].is_string() && ran.report["error"].as_str().unwrap().contains("full")
        );
    }
}
