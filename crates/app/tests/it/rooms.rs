//! Rooms with a record: who may change them, and the payment for making one private.

use agentcafe_testkit::{Answer, Client, Value, json};

use crate::{cafe, log, merged};

async fn upsert(client: &Client, actor: &str, fields: Value) -> Answer {
    let body = merged(json!({"actorId": actor, "roomId": "den"}), &fields);
    client.act("/v1/rooms", body).await
}

/// A field that is not sent keeps its value. The event has the values of the response.
#[tokio::test]
async fn room_post_creates_then_updates() {
    let (_server, client) = cafe().await;
    let created = upsert(&client, "Nova", json!({"displayName": " The Den ", "metadata": {"a": 1}})).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let room = &created.data()["room"];
    let want = (&json!("lobby"), &json!("Nova"), &json!("The Den"), &json!({"a": 1}));
    assert_eq!((&room["roomType"], &room["ownerActorId"], &room["displayName"], &room["metadata"]), want);
    assert_eq!((&created.data()["created"], &created.data()["payment"]), (&json!(true), &json!(null)));
    let changed = upsert(&client, "Nova", json!({"metadata": {"b": 2}})).await;
    assert_eq!(changed.status, 200);
    let after = &changed.data()["room"];
    assert_eq!((&after["displayName"], &after["metadata"]), (&json!("The Den"), &json!({"b": 2})));
    assert_eq!((&after["createdAt"], &changed.data()["created"]), (&room["createdAt"], &json!(false)));
    assert_eq!(client.get("/v1/rooms/den").await.data()["room"], *after);
    assert_eq!(client.get("/v1/rooms?roomId=den").await.data()["room"], *after);
    let events = log(&client).await;
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["room_created", "room_updated"]);
    let payload = json!({"roomId": "den", "roomType": "lobby", "displayName": "The Den", "ownerActorId": "Nova",
        "metadata": {"b": 2}});
    assert_eq!(events[1]["payload"], payload);
    assert_eq!(changed.data()["emittedEvents"][0]["eventId"], events[1]["eventId"]);
}

/// Only the owner transfers it.
#[tokio::test]
async fn room_is_changed_by_its_owner_or_operator() {
    let (_server, client) = cafe().await;
    let _ = upsert(&client, "Nova", json!({})).await.data();
    let details = upsert(&client, "Kai", json!({"displayName": "Mine"})).await;
    let details = details.error(403, "ERR_FORBIDDEN");
    assert_eq!((&details["action"], &details["capability"]), (&json!("room_upsert"), &json!("canModerate")));
    let given = upsert(&client, "Nova", json!({"ownerActorId": "Kai"})).await;
    assert_eq!(given.data()["room"]["ownerActorId"], "Kai");
    let _ = upsert(&client, "Nova", json!({})).await.error(403, "ERR_FORBIDDEN");
    let _ = upsert(&client, "Kai", json!({})).await.data();
}

/// At least the price. The proof is in no read.
#[tokio::test]
async fn room_becoming_private_is_paid_once() {
    let (_server, client) = cafe().await;
    let private = |fields: Value| merged(json!({"roomType": "private_table"}), &fields);
    let unpaid = upsert(&client, "Nova", private(json!({}))).await;
    let details = unpaid.error(402, "ERR_PAYMENT_REQUIRED");
    assert_eq!((&details["mode"], &details["amountUsd"]), (&json!("stub"), &json!(3.5)));
    let cheap =
        upsert(&client, "Nova", private(json!({"paymentProof": "coffee_paid", "paymentAmountUsd": 1}))).await;
    let details = cheap.error(402, "ERR_PAYMENT_REQUIRED");
    assert_eq!((&details["min"], &details["value"]), (&json!(3.5), &json!(1.0)));
    let paid = upsert(&client, "Nova", private(json!({"paymentProof": " coffee_paid "}))).await;
    let payment = &paid.data()["payment"];
    assert_eq!(
        (&payment["verified"], &payment["provider"], &payment["amountUsd"]),
        (&json!(true), &json!("stub"), &json!(3.5))
    );
    assert!(payment["ref"].as_str().unwrap().starts_with("stub_"));
    let again = upsert(&client, "Nova", private(json!({"displayName": "Den"}))).await;
    assert_eq!(again.data()["payment"], json!(null), "the room is private already");
    let leaky = client
        .act(
            "/v1/rooms",
            json!({"actorId": "Nova", "roomId": "other", "roomType": "private_table",
            "paymentProof": "coffee_paid", "paymentRef": "coffee_paid"}),
        )
        .await;
    assert!(leaky.data()["payment"]["ref"].as_str().unwrap().starts_with("stub_"));
    assert!(!json!(log(&client).await).to_string().contains("coffee_paid"));
}

/// Of one tenant.
#[tokio::test]
async fn rooms_are_listed_newest_change_first_and_paged() {
    let (_server, client) = cafe().await;
    for (tenant, room) in [("default", "a"), ("default", "b"), ("default", "c"), ("other", "d")] {
        let body = json!({"tenantId": tenant, "roomId": room, "actorId": "Nova", "ownerActorId": format!("owner-{room}")});
        let _ = client.act("/v1/rooms", body).await.data();
    }
    let ids = |answer: &Answer| -> Vec<String> {
        let rooms = answer.data()["rooms"].as_array().cloned().unwrap_or_default();
        rooms.iter().map(|room| room["roomId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&client.get("/v1/rooms").await), ["c", "b", "a"]);
    let page = client.get("/v1/rooms?limit=2").await;
    assert_eq!(ids(&page), ["c", "b"]);
    let cursor = page.data()["nextCursor"].as_str().unwrap();
    let rest = client.get(&format!("/v1/rooms?limit=2&cursor={cursor}")).await;
    assert_eq!((ids(&rest), &rest.data()["nextCursor"]), (vec!["a".to_owned()], &json!(null)));
    assert_eq!(ids(&client.get("/v1/rooms?ownerActorId=owner-b").await), ["b"]);
    assert_eq!(ids(&client.get("/v1/rooms?roomType=private_table").await), Vec::<String>::new());
    assert_eq!(ids(&client.get("/v1/rooms?tenantId=other").await), ["d"]);
    let _ = client.get("/v1/rooms?roomType=tavern").await.error(400, "ERR_INVALID_ENUM");
}

/// Also for an invalid id.
#[tokio::test]
async fn room_in_which_nothing_happened_is_404() {
    let (_server, client) = cafe().await;
    for path in [
        "/v1/rooms/main",
        "/v1/rooms/context",
        "/v1/rooms/%20",
        "/v1/rooms?roomId=main",
        "/v1/rooms/den?tenantId=x",
    ] {
        let answer = client.get(path).await;
        assert!(answer.error(404, "ERR_NOT_FOUND")["tenantId"].is_string(), "{path}");
    }
}

#[tokio::test]
async fn room_fields_are_validated_in_order() {
    let (_server, client) = cafe().await;
    let cases = [
        (json!({}), "ERR_MISSING_FIELD", "roomId"),
        (json!({"roomId": "den"}), "ERR_MISSING_FIELD", "actorId"),
        (
            json!({"roomId": "den", "actorId": "Nova", "roomType": "tavern", "displayName": 1}),
            "ERR_INVALID_ENUM",
            "roomType",
        ),
        (
            json!({"roomId": "den", "actorId": "Nova", "displayName": "x".repeat(201)}),
            "ERR_OUT_OF_BOUNDS",
            "displayName",
        ),
        (json!({"roomId": "den", "actorId": "Nova", "metadata": []}), "ERR_VALIDATION", "metadata"),
        (
            json!({"roomId": "den", "actorId": "Nova", "metadata": {"a": "x".repeat(70_000)}}),
            "ERR_OUT_OF_BOUNDS",
            "metadata",
        ),
        (
            json!({"roomId": "den", "actorId": "Nova", "paymentAmountUsd": -1}),
            "ERR_OUT_OF_BOUNDS",
            "paymentAmountUsd",
        ),
        (
            json!({"roomId": "den", "actorId": "Nova", "paymentAmountUsd": "free"}),
            "ERR_OUT_OF_BOUNDS",
            "paymentAmountUsd",
        ),
    ];
    for (body, code, field) in cases {
        let answer = client.act("/v1/rooms", body).await;
        assert_eq!(answer.error(400, code)["field"], field, "{}", answer.text);
    }
}
