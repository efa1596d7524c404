//! Profiles: written whole, changed in part, deleted, listed; colours and URLs.

use agentcafe_testkit::{Answer, Client, Method, Value, fresh_key, json};

use crate::{cafe, log};

async fn write(client: &Client, body: Value) -> Value {
    let answer = client.act("/v1/profiles", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.data()["profile"].clone()
}

async fn change(client: &Client, path: &str, body: Value) -> Answer {
    client.request(Method::PATCH, &format!("/v1/profiles/{path}")).key(&fresh_key()).json(&body).send().await
}

async fn delete(client: &Client, path: &str, key: &str) -> Answer {
    client.request(Method::DELETE, &format!("/v1/profiles/{path}")).key(key).send().await
}

/// A missing field becomes null, also if the earlier profile had it. The status is always 201, and no event is
/// appended. `metadata.theme` is the user's own.
#[tokio::test]
async fn profile_post_replaces_the_whole_profile() {
    let (_server, client) = cafe().await;
    let client = client.lenient();
    let body = json!({"actorId": "Nova", "roomId": "main", "displayName": " Nova ", "avatarUrl": "https://example.com/n.png",
        "bio": "hi", "theme": {"bubbleColor": "#AABBCC", "font": "serif"}, "metadata": {"theme": "mine"}});
    let answer = client.act("/v1/profiles", body).await;
    let first = answer.data()["profile"].clone();
    let want = json!({"tenantId": "default", "actorId": "Nova", "displayName": "Nova", "avatarUrl": "https://example.com/n.png",
        "bio": "hi", "theme": {"bubbleColor": "#aabbcc"}, "metadata": {"theme": "mine"},
        "createdAt": first["createdAt"], "updatedAt": first["createdAt"]});
    assert_eq!((answer.status, &first), (201, &want));
    assert_eq!(answer.data()["correlationId"].as_str(), answer.header("x-correlation-id"));
    for path in ["/v1/profiles/Nova", "/v1/profiles?actorId=Nova", "/v1/profiles/%4eova?tenantId=default"] {
        assert_eq!(client.get(path).await.data(), &json!({"profile": first}), "{path}");
    }
    let second =
        write(&client, json!({"actorId": "Nova", "displayName": "N", "avatarUrl": " ", "bio": ""})).await;
    let want = json!({"tenantId": "default", "actorId": "Nova", "displayName": "N", "avatarUrl": null, "bio": null,
        "theme": null, "metadata": {}, "createdAt": first["createdAt"], "updatedAt": second["updatedAt"]});
    assert_eq!(second, want);
    assert!(log(&client).await.is_empty());
}

/// `theme` and `metadata` are replaced as a whole; a patch without fields is refused.
#[tokio::test]
async fn profile_patch_changes_named_fields() {
    let (_server, client) = cafe().await;
    let client = client.lenient();
    let body = json!({"actorId": "Nova", "displayName": "Nova", "bio": "hi", "metadata": {"a": 1},
        "theme": {"bubbleColor": "#aabbcc", "textColor": "#000000"}});
    let mut want = write(&client, body).await;
    let cases = [
        (json!({"displayName": "N"}), json!({"displayName": "N"})),
        (json!({"bio": null}), json!({"bio": null})),
        (json!({"theme": {"textColor": ""}}), json!({"theme": {"textColor": null}})),
        (
            json!({"theme": {"unknown": "#000000"}, "metadata": {"b": 2}}),
            json!({"theme": null, "metadata": {"b": 2}}),
        ),
    ];
    for (sent, changed) in cases {
        let answer = change(&client, "Nova", sent.clone()).await;
        let profile = &answer.data()["profile"];
        changed.as_object().unwrap().iter().for_each(|(name, value)| want[name] = value.clone());
        want["updatedAt"] = profile["updatedAt"].clone();
        assert_eq!((answer.status, profile), (200, &want), "{sent}");
    }
    let names = json!(["displayName", "avatarUrl", "bio", "theme", "metadata"]);
    for nothing in [json!({}), json!({"actorId": "Kai", "unknown": 1})] {
        let answer = change(&client, "Nova", nothing).await;
        assert_eq!(answer.error(400, "ERR_VALIDATION")["fields"], names);
    }
    assert_eq!(client.get("/v1/profiles/Nova").await.data()["profile"], want);
}

/// On writing and on changing.
#[tokio::test]
async fn profile_fields_are_validated_in_order() {
    let (_server, client) = cafe().await;
    let before = write(&client, json!({"actorId": "Nova", "displayName": "Nova"})).await;
    let long_url = format!("https://example.com/{}", "x".repeat(2_029));
    let long_bio = "ü".repeat(16 * 1_024 + 1);
    let cases = [
        (json!({"displayName": ""}), "ERR_MISSING_FIELD", json!({"field": "displayName"})),
        (json!({"displayName": null}), "ERR_MISSING_FIELD", json!({"field": "displayName"})),
        (json!({"displayName": 7, "avatarUrl": 7}), "ERR_VALIDATION", json!({"field": "displayName"})),
        (
            json!({"displayName": "x".repeat(201)}),
            "ERR_OUT_OF_BOUNDS",
            json!({"field": "displayName", "max": 200, "value": 201}),
        ),
        (json!({"avatarUrl": ["x"], "bio": 7}), "ERR_VALIDATION", json!({"field": "avatarUrl"})),
        (
            json!({"avatarUrl": "ftp://example.com", "bio": 7}),
            "ERR_INVALID_URL",
            json!({"field": "avatarUrl", "value": "ftp://example.com"}),
        ),
        (
            json!({"avatarUrl": "/me.png"}),
            "ERR_INVALID_URL",
            json!({"field": "avatarUrl", "value": "/me.png"}),
        ),
        (
            json!({"avatarUrl": long_url}),
            "ERR_OUT_OF_BOUNDS",
            json!({"field": "avatarUrl", "max": 2_048, "value": 2_049}),
        ),
        (json!({"bio": 7, "theme": 7}), "ERR_VALIDATION", json!({"field": "bio"})),
        (
            json!({"bio": long_bio}),
            "ERR_OUT_OF_BOUNDS",
            json!({"field": "bio", "max": 16_384, "value": 16_385}),
        ),
        (json!({"theme": ["#000000"], "metadata": 7}), "ERR_VALIDATION", json!({"field": "theme"})),
        (json!({"theme": {"textColor": 7}, "metadata": 7}), "ERR_VALIDATION", json!({"field": "textColor"})),
        (
            json!({"theme": {"accentColor": "red"}}),
            "ERR_INVALID_COLOR",
            json!({"field": "theme.accentColor", "value": "red"}),
        ),
        (json!({"metadata": []}), "ERR_VALIDATION", json!({"field": "metadata"})),
        (
            json!({"metadata": {"a": "x".repeat(65_529)}}),
            "ERR_OUT_OF_BOUNDS",
            json!({"field": "metadata", "max": 65_536, "value": 65_537}),
        ),
    ];
    for (sent, code, details) in cases {
        let mut whole = json!({"actorId": "Nova", "displayName": "N"});
        sent.as_object().unwrap().iter().for_each(|(name, value)| whole[name] = value.clone());
        let answers = [client.act("/v1/profiles", whole).await, change(&client, "Nova", sent.clone()).await];
        for answer in answers {
            let got = answer.error(400, code);
            details
                .as_object()
                .unwrap()
                .iter()
                .for_each(|(name, want)| assert_eq!(&got[name], want, "{sent}"));
            assert!(got["correlationId"].is_string(), "{sent}");
        }
    }
    assert_eq!(client.get("/v1/profiles/Nova").await.data()["profile"], before);
    let largest =
        json!({"displayName": "x".repeat(200), "bio": &long_bio[2..], "metadata": {"a": "x".repeat(65_528)}});
    assert_eq!(change(&client, "Nova", largest).await.status, 200);
    let _ = client.act("/v1/profiles", json!({"actorId": "Kai"})).await.error(400, "ERR_MISSING_FIELD");
}

/// Replays of the deletion, and of a change before it, return the first response. A deletion under another key is
/// 404.
#[tokio::test]
async fn profile_delete_takes_effect_once() {
    let (_server, client) = cafe().await;
    write(&client, json!({"actorId": "Nova", "displayName": "Nova"})).await;
    let patch =
        || client.request(Method::PATCH, "/v1/profiles/Nova").key("p").json(&json!({"bio": "x"})).send();
    let changed = patch().await;
    assert_eq!(changed.status, 200);
    let first = delete(&client, "Nova", "d").await;
    let want = json!({"deleted": true, "actorId": "Nova", "correlationId": first.header("x-correlation-id")});
    assert_eq!((first.status, first.data()), (200, &want));
    let again = delete(&client, "Nova", "d").await;
    assert_eq!((again.status, again.data()), (200, &want));
    assert_eq!(again.header("x-idempotent-replay"), Some("true"));
    assert_eq!(patch().await.data(), changed.data());
    let gone = json!({"tenantId": "default", "actorId": "Nova"});
    for answer in [
        delete(&client, "Nova", "other").await,
        change(&client, "Nova", json!({"displayName": ""})).await,
        client.get("/v1/profiles/Nova").await,
        client.get("/v1/profiles?actorId=Nova").await,
    ] {
        let details = answer.error(404, "ERR_NOT_FOUND");
        assert_eq!((&details["tenantId"], &details["actorId"]), (&gone["tenantId"], &gone["actorId"]));
    }
    let back = write(&client, json!({"actorId": "Nova", "displayName": "Nova"})).await;
    assert_eq!(back["bio"], json!(null));
    let keyless = client.request(Method::DELETE, "/v1/profiles/Nova").send().await;
    let _ = keyless.error(400, "ERR_IDEMPOTENCY_KEY_REQUIRED");
}

/// The tenant is in the body or in the query.
#[tokio::test]
async fn profile_of_another_tenant_or_invalid_id_is_404() {
    let (_server, client) = cafe().await;
    write(&client, json!({"tenantId": "acme", "actorId": "Nova", "displayName": "Acme's"})).await;
    let long = "x".repeat(129);
    for path in ["Nova", &long, "%20", "a%07b"] {
        let _ = client.get(&format!("/v1/profiles/{path}")).await.error(404, "ERR_NOT_FOUND");
        let _ = change(&client, path, json!({"bio": "x"})).await.error(404, "ERR_NOT_FOUND");
        let _ = delete(&client, path, &fresh_key()).await.error(404, "ERR_NOT_FOUND");
    }
    assert_eq!(client.get("/v1/profiles").await.data()["count"], 0);
    assert_eq!(
        client.get("/v1/profiles/Nova?tenantId=acme").await.data()["profile"]["displayName"],
        "Acme's"
    );
    let answer = change(&client, "Nova?tenantId=other", json!({"tenantId": "acme", "bio": "x"})).await;
    assert_eq!(answer.data()["profile"]["bio"], "x", "the body comes before the query");
    assert_eq!(change(&client, "Nova?tenantId=acme", json!({"bio": "y"})).await.status, 200);
    assert_eq!(delete(&client, "Nova?tenantId=acme", "d").await.status, 200);
}

#[tokio::test]
async fn profiles_are_listed_newest_first_and_survive_a_restart() {
    let (mut server, client) = cafe().await;
    for actor in ["a", "b", "c", "d", "e"] {
        write(&client, json!({"actorId": actor, "displayName": actor})).await;
    }
    assert_eq!(change(&client, "b", json!({"bio": "newest"})).await.status, 200);
    let whole = client.get("/v1/profiles").await.data().clone();
    assert_eq!((&whole["count"], &whole["nextCursor"]), (&json!(5), &json!(null)));
    let times: Vec<_> =
        whole["profiles"].as_array().unwrap().iter().map(|row| row["updatedAt"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    server.restart().await;
    let client = server.client();
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    for _ in 0..3 {
        let page = client.get(&format!("/v1/profiles?limit=2&cursor={cursor}")).await.data().clone();
        rows.extend(page["profiles"].as_array().unwrap().clone());
        cursor = page["nextCursor"].as_str().unwrap_or_default().to_owned();
    }
    assert_eq!((json!(rows), cursor.as_str()), (whole["profiles"].clone(), ""));
    let _ = client.get("/v1/profiles?cursor=nonsense").await.error(400, "ERR_VALIDATION");
    assert_eq!(client.get("/v1/profiles?limit=0").await.data()["count"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profile_patches_at_the_same_time_are_all_kept() {
    let (_server, client) = cafe().await;
    for round in 0..5 {
        write(&client, json!({"actorId": "Nova", "displayName": "Nova"})).await;
        let bodies = [
            json!({"bio": "b"}),
            json!({"avatarUrl": "https://a.example"}),
            json!({"theme": {"textColor": "#ffffff"}}),
            json!({"metadata": {"m": round}}),
        ];
        let sent = bodies.map(|body| {
            let client = client.clone();
            tokio::spawn(async move { change(&client, "Nova", body).await.status })
        });
        for one in sent {
            assert_eq!(one.await.unwrap(), 200);
        }
        let profile = client.get("/v1/profiles/Nova").await.data()["profile"].clone();
        let got = [
            &profile["bio"],
            &profile["avatarUrl"],
            &profile["theme"]["textColor"],
            &profile["metadata"]["m"],
        ];
        assert_eq!(got, [&json!("b"), &json!("https://a.example"), &json!("#ffffff"), &json!(round)]);
    }
}
