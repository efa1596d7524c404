//! Targets of webhooks: which addresses are refused when a subscription is created, and when something is sent.

use agentcafe_testkit::{Receiver, json};

use crate::webhook_delivery::{message_subscription, recorded};
use crate::webhook_subscriptions::{change, subscribe};
use crate::{launch, say_in};

/// Link-local and metadata addresses are always refused.
#[tokio::test]
async fn webhook_private_targets_need_a_setting_if_a_token_is_set() {
    const ALLOW: &str = "WEBHOOK_ALLOW_PRIVATE_TARGETS";
    let private = [
        "http://127.0.0.1:9/",
        "http://localhost/",
        "http://[::1]/",
        "http://10.0.0.1/",
        "http://[::ffff:7f00:1]/",
        "http://2130706433/",
    ];
    let never = [
        "http://169.254.169.254/",
        "http://[fe80::1]/",
        "http://metadata.google.internal/",
        "http://100.100.100.200/",
        "http://[fd00:ec2::254]/",
    ];
    let servers = [
        (launch(), true),
        (launch().env("API_AUTH_TOKEN", "secret"), false),
        (launch().env("API_AUTH_TOKEN", "secret").env(ALLOW, true), true),
        (launch().env(ALLOW, false), false),
    ];
    for (launch, allows) in servers {
        let server = launch.start().await;
        let client = server.client().with_header("x-api-key", "secret");
        let public =
            subscribe(&client, json!({"targetUrl": "https://example.com/hook", "enabled": false})).await;
        for (targets, allowed) in [(&private[..], allows), (&never[..], false)] {
            for target in targets {
                let body = json!({"targetUrl": target, "enabled": false});
                let answers = [
                    client.act("/v1/subscriptions", body.clone()).await,
                    change(&client, &public, body).await,
                ];
                for answer in answers {
                    if allowed {
                        let _ = answer.data();
                    } else {
                        let details = answer.error(400, "ERR_INVALID_URL");
                        assert_eq!(
                            json!([details["field"], details["reason"]]),
                            json!(["targetUrl", "address_not_allowed"])
                        );
                    }
                }
            }
        }
    }
}

/// A host name of this machine other than `localhost`, from its hosts file.
fn own_name() -> Option<String> {
    let hosts = std::fs::read_to_string("/etc/hosts").ok()?;
    let names = hosts.lines().filter(|line| !line.starts_with('#')).flat_map(|line| {
        line.split_whitespace().skip(1).filter(|name| !name.starts_with("localhost")).collect::<Vec<_>>()
    });
    names.map(str::to_owned).next()
}

/// The addresses of a host name, and targets that were allowed when the subscription was created.
#[tokio::test]
async fn webhook_target_addresses_are_checked_at_each_delivery() {
    let directory = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let start = async |allow: bool| {
        launch().data_dir(directory.path()).env("WEBHOOK_ALLOW_PRIVATE_TARGETS", allow).start().await
    };
    let mut server = start(true).await;
    let mut allowed_once = message_subscription(receiver.url("/hook"));
    allowed_once["maxRetries"] = json!(0);
    subscribe(&server.client(), allowed_once).await;
    server.stop().await;
    let server = start(false).await;
    let client = server.client();
    let mut count = 1;
    if let Some(name) = own_name() {
        let mut named = message_subscription(format!("http://{name}:{}/named", receiver.address().port()));
        named["maxRetries"] = json!(0);
        subscribe(&client, named).await;
        count = 2;
    }
    say_in(&client, "main", "one").await;
    for attempt in recorded(&client, "", count).await {
        assert_eq!(attempt["error"], "webhooks may not go to this address", "{attempt}");
    }
    assert!(receiver.received("/hook").is_empty() && receiver.received("/named").is_empty());
}
