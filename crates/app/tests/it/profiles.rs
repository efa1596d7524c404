//! Profiles: written whole, changed in part, deleted, listed; colours and addresses.

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

/// CONTRACT 9.19 and 7.11, RULINGS J6: a profile is written whole; what is missing becomes nothing, also of an earlier
/// one; it is always 201, and no event tells of it. A user's `metadata.theme` is its own.
#[tokio::test]
async fn a_profile_is_written_whole() {
    let (_server, client) = cafe().await;
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

/// CONTRACT 9.19: a change touches what it names, themes and metadata wholesale; naming nothing is refused.
#[tokio::test]
async fn a_profile_is_changed_in_part() {
    let (_server, client) = cafe().await;
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

/// CONTRACT 9.19: each field's refusal, in the order of the fields, on writing and on changing.
#[tokio::test]
async fn fields_are_checked_in_order() {
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

/// CONTRACT 9.19, RULINGS D3: a deletion happens once; its replay gives the first answer, and so does the replay of a
/// change to what is gone. The key of another deletion finds nothing.
#[tokio::test]
async fn a_profile_is_deleted_once() {
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

/// RULINGS J4 and B3: an id that nobody can have is not found; a tenant sees its own profiles only, and is named in the
/// body or the query.
#[tokio::test]
async fn profiles_belong_to_their_tenant() {
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

/// CONTRACT 11, RULINGS J5: the newest first, page by page; and all of it is there after a restart.
#[tokio::test]
async fn profiles_are_listed_and_durable() {
    let (mut server, client) = cafe().await;
    for actor in ["a", "b", "c", "d", "e"] {
        write(&client, json!({"actorId": actor, "displayName": actor})).await;
    }
    assert_eq!(change(&client, "b", json!({"bio": "newest"})).await.status, 200);
    let whole = client.get("/v1/profiles").await.data().clone();
    assert_eq!((&whole["count"], &whole["nextCursor"]), (&json!(5), &json!(null)));
    let moments: Vec<_> =
        whole["profiles"].as_array().unwrap().iter().map(|row| row["updatedAt"].as_str().unwrap()).collect();
    assert!(moments.is_sorted_by(|newer, older| newer >= older), "{moments:?}");
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

/// RULINGS J1: changes of different fields at the same time lose nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_the_same_time_add_up() {
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
