//! Permissions: capabilities, grants, who may grant, and the audit trail.

use agentcafe_testkit::{Answer, Client, Value, json};

use crate::{cafe, launch, log};

async fn grant(client: &Client, mut body: Value) -> Answer {
    if body.get("roomId").is_none() {
        body["roomId"] = json!("main");
    }
    client.act("/v1/permissions", body).await
}

async fn trail(client: &Client, query: &str) -> Vec<Value> {
    let page = client.get(&format!("/v1/operator/audit?order=asc{query}")).await;
    page.data()["entries"].as_array().cloned().unwrap_or_default()
}

/// Without a record an actor has every capability but `canModerate`, and the source is `default`.
#[tokio::test]
async fn permission_grant_changes_only_named_capabilities() {
    let (_server, client) = cafe().await;
    let one = "/v1/permissions?roomId=main&actorId=Nova";
    let mut want = json!({"tenantId": "default", "roomId": "main", "actorId": "Nova", "canMove": true, "canSpeak": true,
        "canOrder": true, "canEnterLeave": true, "canModerate": false, "canMentionRoom": false, "createdAt": null, "updatedAt": null, "source": "default"});
    assert_eq!(client.get(one).await.data(), &json!({"permission": want}));
    assert_eq!(client.get("/v1/permissions?roomId=main").await.data()["count"], 0);
    for (sent, name, value) in [
        (json!({"canModerate": true}), "canModerate", true),
        (json!({"canSpeak": false}), "canSpeak", false),
        (json!({"canModerate": false, "canSpeak": false}), "canModerate", false),
    ] {
        let mut body = sent.clone();
        body["actorId"] = json!("Nova");
        let answer = grant(&client, body).await;
        let given = &answer.data()["permission"];
        want[name] = json!(value);
        (want["createdAt"], want["updatedAt"]) = (
            if want["createdAt"].is_null() { given["createdAt"].clone() } else { want["createdAt"].clone() },
            given["updatedAt"].clone(),
        );
        want["source"] = json!("custom");
        assert_eq!((answer.status, given), (200, &want), "{sent}");
        assert!(given["createdAt"].is_string() && given["updatedAt"].is_string());
        assert_eq!(answer.data()["correlationId"].as_str(), answer.header("x-correlation-id"));
        assert_eq!(client.get(one).await.data(), &json!({"permission": want}));
    }
    assert!(log(&client).await.is_empty(), "a grant appends no event");
    let refused = client.act("/v1/commands/say", json!({"actorId": "Nova", "text": "hi"})).await;
    let details = refused.error(403, "ERR_FORBIDDEN");
    let want = json!({"tenantId": "default", "roomId": "main", "actorId": "Nova", "capability": "canSpeak", "action": "say",
        "correlationId": refused.header("x-correlation-id")});
    assert_eq!(details, &want);
}

/// In its room and tenant only.
#[tokio::test]
async fn capability_is_required_by_its_actions() {
    let (_server, client) = cafe().await;
    let acts = [
        ("/v1/commands/enter", json!({}), "canEnterLeave", "enter"),
        ("/v1/commands/leave", json!({}), "canEnterLeave", "leave"),
        ("/v1/commands/move", json!({"direction": "N"}), "canMove", "move"),
        (
            "/v1/intents/execute",
            json!({"intent": "sit_at_table", "tableId": "table_1"}),
            "canMove",
            "sit_at_table",
        ),
        ("/v1/commands/say", json!({"text": "a"}), "canSpeak", "say"),
        ("/v1/conversations/messages", json!({"text": "b"}), "canSpeak", "conversation_message"),
        ("/v1/commands/order", json!({"itemId": "tea"}), "canOrder", "order"),
    ];
    for taken in ["canEnterLeave", "canMove", "canSpeak", "canOrder"] {
        let body = json!({"actorId": taken, taken: false});
        assert_eq!(grant(&client, body).await.status, 200);
        for (path, body, capability, action) in &acts {
            let mut body = body.clone();
            body["actorId"] = json!(taken);
            let answer = client.act(path, body.clone()).await;
            if *capability == taken {
                let details = answer.error(403, "ERR_FORBIDDEN");
                assert_eq!(details["capability"], taken);
                assert!(details["action"].as_str().unwrap().ends_with(action), "{details}");
            } else {
                assert_eq!(answer.status, 202, "{path} without {taken}: {}", answer.text);
            }
            for (field, name) in [("roomId", "attic"), ("tenantId", "acme")] {
                let mut elsewhere = body.clone();
                elsewhere[field] = json!(name);
                assert_eq!(client.act(path, elsewhere).await.status, 202, "{path} in another {field}");
            }
        }
    }
}

/// The target's id is checked first, then that at least one capability is given.
#[tokio::test]
async fn permission_values_must_be_booleans() {
    let (_server, client) = cafe().await;
    let all = json!(["canMove", "canSpeak", "canOrder", "canEnterLeave", "canModerate", "canMentionRoom"]);
    let cases = [
        (json!({"roomId": "", "actorId": 7}), "ERR_MISSING_FIELD", json!({"field": "roomId"})),
        (json!({"roomId": "main"}), "ERR_MISSING_FIELD", json!({"field": "actorId"})),
        (
            json!({"roomId": "main", "actorId": "Nova", "operatorId": 7}),
            "ERR_VALIDATION",
            json!({"field": "operatorId"}),
        ),
        (
            json!({"roomId": "main", "actorId": "Nova", "canFly": true}),
            "ERR_VALIDATION",
            json!({"fields": all}),
        ),
    ];
    for (body, code, details) in cases {
        let answer = client.clone().lenient().act("/v1/permissions", body.clone()).await;
        let got = answer.error(400, code);
        details.as_object().unwrap().iter().for_each(|(name, want)| assert_eq!(&got[name], want, "{body}"));
    }
    for value in [json!("false"), json!("true"), json!(0), json!(1), json!(null), json!({}), json!([])] {
        let answer = grant(&client, json!({"actorId": "Nova", "canMove": true, "canModerate": value})).await;
        assert_eq!(answer.error(400, "ERR_VALIDATION")["field"], "canModerate", "{value}");
    }
    assert_eq!(client.get("/v1/permissions").await.data()["count"], 0);
    assert!(trail(&client, "").await.is_empty());
}

/// Stored records only, of one tenant, by room or actor.
#[tokio::test]
async fn permissions_are_listed_newest_first_and_survive_a_restart() {
    let (mut server, client) = cafe().await;
    for (room, actor, tenant) in
        [("main", "A", "default"), ("main", "B", "default"), ("attic", "A", "default"), ("main", "A", "acme")]
    {
        let body = json!({"tenantId": tenant, "roomId": room, "actorId": actor, "canOrder": false});
        assert_eq!(grant(&client, body).await.status, 200);
    }
    server.restart().await;
    let client = server.client();
    let cases: [(&str, &[(&str, &str)]); 5] = [
        ("", &[("attic", "A"), ("main", "A"), ("main", "B")]),
        ("?roomId=main", &[("main", "A"), ("main", "B")]),
        ("?actorId=A", &[("attic", "A"), ("main", "A")]),
        ("?tenantId=acme", &[("main", "A")]),
        ("?roomId=cellar", &[]),
    ];
    for (query, want) in cases {
        let answer = client.get(&format!("/v1/permissions{query}")).await;
        let rows = answer.data()["permissions"].as_array().unwrap();
        assert!(rows.iter().all(|row| row["source"] == "custom" && row["canOrder"] == false), "{rows:?}");
        assert!(rows.is_sorted_by(|newer, older| newer["updatedAt"].as_str() >= older["updatedAt"].as_str()));
        let mut got: Vec<_> = rows
            .iter()
            .map(|row| (row["roomId"].as_str().unwrap(), row["actorId"].as_str().unwrap()))
            .collect();
        got.sort_unstable();
        assert_eq!((got.as_slice(), &answer.data()["count"]), (want, &json!(want.len())), "{query}");
    }
    let (mut rows, mut cursor) = (0, String::new());
    for _ in 0..2 {
        let page = client.get(&format!("/v1/permissions?limit=2&cursor={cursor}")).await.data().clone();
        rows += page["permissions"].as_array().unwrap().len();
        cursor = page["nextCursor"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!((rows, cursor.as_str()), (3, ""));
}

/// In open mode anybody grants; the entry has the operator, else `system`, and the values. A replay adds no entry.
#[tokio::test]
async fn permission_grant_is_audited() {
    let (_server, client) = cafe().await;
    let body = json!({"roomId": "main", "actorId": "Nova", "canModerate": true, "canMove": false});
    let first = client.post("/v1/permissions", "k", body.clone()).await;
    let entry = first.data()["audit"].clone();
    let want = json!({"id": entry["id"], "auditSeq": 1, "tenantId": "default", "roomId": "main", "operatorId": "anonymous",
        "action": "permission_grant", "targetActorId": "Nova", "reason": null, "metadata": {"canModerate": true, "canMove": false},
        "correlationId": first.data()["correlationId"], "requestId": first.header("x-request-id"), "outcome": "applied",
        "eventId": null, "createdAt": first.data()["permission"]["updatedAt"]});
    assert_eq!(entry, want);
    let again = client.post("/v1/permissions", "k", body).await;
    assert_eq!((again.data(), again.header("x-idempotent-replay")), (first.data(), Some("true")));
    let named = grant(&client, json!({"actorId": "Kai", "operatorId": "Op", "canSpeak": false})).await;
    assert_eq!(named.data()["audit"]["operatorId"], "Op", "in open mode no capability is needed");
    assert_eq!(trail(&client, "").await, [entry, named.data()["audit"].clone()]);
}

/// Anybody may make the first grant of a room; later ones need an operator of this room. A denial comes before the
/// values are validated, and is audited.
#[tokio::test]
async fn strict_mode_needs_an_operator_to_grant() {
    let server = launch().env("PERMISSIONS_MODE", "strict").start().await;
    let client = server.client();
    assert_eq!(grant(&client, json!({"actorId": "Op", "canModerate": true})).await.status, 200);
    assert_eq!(
        grant(&client, json!({"roomId": "attic", "actorId": "Kai", "canModerate": true})).await.status,
        200
    );
    let denied = [
        (json!({"actorId": "Nova", "canModerate": true}), "anonymous"),
        (json!({"actorId": "Nova", "operatorId": "Nova", "canModerate": true}), "Nova"),
        (json!({"actorId": "Kai", "operatorId": "Kai", "canMove": "yes"}), "Kai"),
        (json!({"actorId": "Op", "operatorId": "Kai", "canModerate": false}), "Kai"),
    ];
    for (body, operator) in denied {
        let answer = grant(&client, body.clone()).await;
        let details = answer.error(403, "ERR_FORBIDDEN");
        let want = json!({"tenantId": "default", "roomId": "main", "actorId": operator, "capability": "canModerate",
            "action": "permission_grant", "correlationId": answer.header("x-correlation-id")});
        assert_eq!(details, &want, "{body}");
        let entry = trail(&client, "&roomId=main&viewerActorId=Op").await.pop().unwrap();
        assert_eq!(
            (&entry["outcome"], &entry["operatorId"]),
            (&json!("denied"), &json!(operator)),
            "{entry}"
        );
        assert_eq!(
            (&entry["action"], &entry["targetActorId"]),
            (&json!("permission_grant"), &body["actorId"])
        );
        assert_eq!(entry["correlationId"], want["correlationId"]);
    }
    let given = grant(&client, json!({"actorId": "Nova", "operatorId": "Op", "canModerate": true})).await;
    assert_eq!((given.status, &given.data()["audit"]["operatorId"]), (200, &json!("Op")));
    assert_eq!(
        grant(&client, json!({"actorId": "Op", "operatorId": "Nova", "canModerate": false})).await.status,
        200
    );
    let _ = grant(&client, json!({"actorId": "Op", "operatorId": "Op", "canModerate": true}))
        .await
        .error(403, "ERR_FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strict_mode_accepts_one_of_several_first_grants_at_the_same_time() {
    let server = launch().env("PERMISSIONS_MODE", "strict").start().await;
    let client = server.client();
    let sent = (0..12).map(|n| {
        let client = client.clone();
        tokio::spawn(async move {
            grant(&client, json!({"actorId": format!("a{n}"), "canModerate": true})).await.status
        })
    });
    let mut statuses = Vec::new();
    for one in sent.collect::<Vec<_>>() {
        statuses.push(one.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (200, &[403; 11][..]));
    assert_eq!(client.get("/v1/permissions?roomId=main").await.data()["count"], 1);
}
