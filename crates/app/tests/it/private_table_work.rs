//! Tasks, objects, snapshots, pins, subscriptions and reactions at a private table need membership and a plan with
//! the feature.

use agentcafe_testkit::{Answer, Client, Method, Value, eventually, fresh_key, json};

use crate::check_order_private_table::{
    ACTOR, action_cases, close, launch_with_free_plans, make_private, operate, replace_session, work_cases,
};
use crate::log;
use crate::table_fixtures::{SOON, act, text};

async fn change(client: &Client, path: &str, fields: Value) -> Answer {
    client.request(Method::PATCH, path).key(&fresh_key()).json(&fields).send().await
}

/// The details of each refusal, in order; a refusal has no effect. The owner and a guest may.
#[tokio::test]
async fn private_table_work_requires_session_membership_and_feature() {
    let server = launch_with_free_plans().start().await;
    let client = server.client();
    let cases: Vec<_> = action_cases().into_iter().chain(work_cases(&client).await).collect();
    make_private(&client).await;
    for actor in [ACTOR, "Nova"] {
        let body = json!({"roomId": "den", "actorId": actor, "canModerate": true});
        let _ = client.act("/v1/permissions", body).await.data();
    }
    let about =
        |action: &str| json!({"tenantId": "default", "roomId": "den", "actorId": ACTOR, "action": action});
    let refuse = async |status: u16, code: &str, more: &dyn Fn(&mut Value, Option<&str>) -> bool| {
        let events = log(&client).await.len();
        for case in &cases {
            let mut want = about(case.action);
            if !more(&mut want, case.feature) {
                continue;
            }
            let answer = case.send(&client, ACTOR, true, Some(&fresh_key())).await;
            let mut details = answer.error(status, code).clone();
            assert!(details["correlationId"].take().is_string(), "{}", case.path);
            want["correlationId"] = json!(null);
            assert_eq!(details, want, "{} {}", case.method, case.path);
        }
        assert_eq!(log(&client).await.len(), events, "nothing has happened");
    };
    refuse(402, "ERR_PAYMENT_REQUIRED", &|_, _| true).await;
    let session = replace_session(&client, "full", &[]).await;
    refuse(403, "ERR_FORBIDDEN", &|want, _| {
        want["sessionId"] = session["sessionId"].clone();
        true
    })
    .await;
    let session = replace_session(&client, "bare", &[ACTOR]).await;
    refuse(403, "ERR_PLAN_FEATURE_DISABLED", &|want, feature| {
        want["sessionId"] = session["sessionId"].clone();
        want["planId"] = json!("bare");
        want["requiredFeature"] = json!(feature);
        want["enabledFeatures"] = json!([]);
        feature.is_some()
    })
    .await;
    let _ = replace_session(&client, "full", &[ACTOR]).await;
    for actor in ["Nova", ACTOR] {
        for case in cases.iter().filter(|case| actor == ACTOR || case.method == Method::POST) {
            let done = case.send(&client, actor, true, Some(&fresh_key())).await;
            assert!(done.status < 300, "{actor} {} {}: {}", case.method, case.path, done.text);
        }
    }
    close(&client).await;
    let ended = act(&client, "Nova", "/v1/tasks", json!({"title": "Late"})).await;
    let _ = ended.error(402, "ERR_PAYMENT_REQUIRED");
}

/// In private rooms and others, for everybody.
#[tokio::test]
async fn pause_blocks_all_work_but_leave() {
    let server = launch_with_free_plans().start().await;
    let client = server.client();
    let cases: Vec<_> = action_cases().into_iter().chain(work_cases(&client).await).collect();
    for actor in [ACTOR, "Op"] {
        let body = json!({"roomId": "den", "actorId": actor, "canModerate": true});
        let _ = client.act("/v1/permissions", body).await.data();
    }
    operate(&client, "pause_room").await;
    let events = log(&client).await.len();
    for case in &cases {
        let answer = case.send(&client, ACTOR, true, Some(&fresh_key())).await;
        let details = answer.error(423, "ERR_OPERATOR_OVERRIDE_BLOCKED");
        assert_eq!((&details["reasonCode"], &details["pausedBy"]), (&json!("ROOM_PAUSED"), &json!("Op")));
    }
    assert_eq!(log(&client).await.len(), events, "nothing has happened");
    assert_eq!(act(&client, ACTOR, "/v1/commands/leave", json!({})).await.status, 202);
}

#[tokio::test]
async fn subscription_to_a_private_table_requires_membership_and_feature() {
    let server = launch_with_free_plans().start().await;
    let client = server.client();
    make_private(&client).await;
    let _ = replace_session(&client, "full", &["Kai"]).await;
    let made = async |path: &str, body: Value| {
        let made = client.act(path, body).await;
        format!("{path}/{}", text(&made.data()["subscription"]["id"]))
    };
    let rule = json!({"roomId": "main", "targetActorId": ACTOR, "actionType": "say", "actionPayload": {"text": "hi"}});
    let rule = made("/v1/reactions/subscriptions", rule).await;
    let hook = json!({"roomId": "main", "actorId": ACTOR, "targetUrl": "http://127.0.0.1:9/"});
    let hook = made("/v1/subscriptions", hook).await;
    let there = json!({"roomId": "den"});
    for (path, action) in [(&rule, "reaction_subscription_update"), (&hook, "event_subscription_update")] {
        let details = change(&client, path, there.clone()).await.error(403, "ERR_FORBIDDEN").clone();
        assert_eq!((&details["action"], &details["actorId"]), (&json!(action), &json!(ACTOR)));
        assert_eq!(client.get(path).await.data()["subscription"]["roomId"], "main");
    }
    let anonymous = change(&client, &hook, json!({"roomId": "den", "actorId": null})).await;
    assert_eq!(anonymous.error(400, "ERR_MISSING_FIELD")["field"], "actorId");
    // Members may, under their own name.
    let guest = [(&rule, "targetActorId"), (&hook, "actorId")];
    for (path, name) in guest {
        assert_eq!(change(&client, path, json!({"roomId": "den", name: "Kai"})).await.status, 200, "{path}");
    }
    let _ = replace_session(&client, "bare", &["Kai"]).await;
    for (path, _) in guest {
        let refused = change(&client, path, json!({"enabled": false})).await;
        let details = refused.error(403, "ERR_PLAN_FEATURE_DISABLED");
        assert_eq!(details["requiredFeature"], "event_subscriptions", "{path}");
    }
}

/// A rule for all rooms is checked when it action_cases; the refusal is recorded.
#[tokio::test]
async fn reaction_at_a_private_table_requires_access_of_its_actor() {
    let server = launch_with_free_plans().start().await;
    let client = server.client();
    make_private(&client).await;
    let _ = replace_session(&client, "full", &[]).await;
    let rule = json!({"targetActorId": ACTOR, "actionType": "say", "actionPayload": {"text": "hello"},
        "triggerEventTypes": ["order_changed"], "cooldownMs": 0});
    let rule = client.act("/v1/reactions/subscriptions", rule).await.data()["subscription"].clone();
    let rule = format!("/v1/reactions/subscriptions/{}", text(&rule["id"]));
    let state = async || client.get(&rule).await.data()["subscription"].clone();
    assert_eq!(act(&client, "Nova", "/v1/commands/order", json!({"itemId": "tea"})).await.status, 202);
    eventually("it is refused", SOON, async || {
        (state().await["lastError"] == "forbidden:session").then_some(())
    })
    .await;
    let said = async || log(&client).await.iter().filter(|event| event["actorId"] == ACTOR).count();
    assert_eq!(said().await, 0);
    let _ = replace_session(&client, "full", &[ACTOR]).await;
    assert_eq!(act(&client, "Nova", "/v1/commands/order", json!({"itemId": "tea"})).await.status, 202);
    eventually("it reacts", SOON, async || (state().await["triggerCount"] == 1).then_some(())).await;
    assert_ne!(said().await, 0);
}
