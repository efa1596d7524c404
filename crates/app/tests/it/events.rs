//! Pages of the log: events, timeline and mentions.

use agentcafe_testkit::{Client, Value, json};

use crate::{cafe, log};

/// Events by different authors in different rooms and tenants: eight orders with a heartbeat each.
async fn fill(client: &Client) -> Vec<Value> {
    for (actor, room, tenant) in [
        ("A", "main", "default"),
        ("B", "main", "default"),
        ("A", "attic", "default"),
        ("A", "main", "acme"),
        ("C", "attic", "acme"),
        ("A", "main", "default"),
        ("B", "main", "default"),
        ("C", "main", "default"),
    ] {
        let body = json!({"actorId": actor, "roomId": room, "tenantId": tenant, "itemId": "tea"});
        let _ = client.act("/v1/commands/order", body).await.data();
    }
    log(client).await
}

async fn page(client: &Client, path: &str) -> Value {
    client.get(path).await.data().clone()
}

fn sequences(events: &Value) -> Vec<u64> {
    events.as_array().into_iter().flatten().filter_map(|event| event["sequence"].as_u64()).collect()
}

fn events_matching(events: &[Value], wanted: impl Fn(&Value) -> bool) -> Vec<u64> {
    events.iter().filter(|event| wanted(event)).filter_map(|event| event["sequence"].as_u64()).collect()
}

/// The first sequence is 1.
#[tokio::test]
async fn events_have_the_envelope_and_increasing_sequences() {
    let (_server, client) = cafe().await;
    let events = fill(&client).await;
    assert_eq!(events.len(), 16);
    for (event, sequence) in events.iter().zip(1..) {
        assert_eq!(event["sequence"], sequence);
        for name in ["eventId", "tenantId", "roomId", "actorId", "type", "timestamp", "correlationId"] {
            assert!(event[name].is_string(), "{name}: {event}");
        }
        assert!(event["payload"].is_object() && event.get("causationId").is_some(), "{event}");
        let timestamp = event["timestamp"].as_str().unwrap();
        assert!(timestamp.len() == 24 && timestamp.ends_with('Z'), "{timestamp}");
        assert_eq!(event.as_object().unwrap().len(), 10, "{event}");
    }
}

/// A filter that is not given matches everything. Both routes return the same events.
#[tokio::test]
async fn events_and_timeline_apply_all_filters() {
    let (_server, client) = cafe().await;
    let events = fill(&client).await;
    let all = |wanted: &[(&str, &str)]| {
        events_matching(&events, |event| wanted.iter().all(|(name, value)| event[*name] == *value))
    };
    let cases = [
        ("", all(&[])),
        ("tenantId=acme", all(&[("tenantId", "acme")])),
        ("roomId=main", all(&[("roomId", "main")])),
        ("actorId=A", all(&[("actorId", "A")])),
        (
            "actorId=A&roomId=main&tenantId=default",
            all(&[("actorId", "A"), ("roomId", "main"), ("tenantId", "default")]),
        ),
        ("types=order_changed", all(&[("type", "order_changed")])),
        ("types=order_changed&actorId=B", all(&[("type", "order_changed"), ("actorId", "B")])),
        ("types=%20order_changed%20,,presence_heartbeat", all(&[])),
        ("types=,", all(&[])),
        ("types=no_such_type", vec![]),
        ("types=no_such_type,order_changed", all(&[("type", "order_changed")])),
        ("tenantId=&roomId=&actorId=", all(&[])),
        ("roomId=nowhere", vec![]),
    ];
    for (query, want) in cases {
        for path in ["/v1/events", "/v1/timeline"] {
            let got = page(&client, &format!("{path}?{query}")).await;
            assert_eq!(
                (sequences(&got["events"]), &got["count"]),
                (want.clone(), &json!(want.len())),
                "{path}?{query}"
            );
            assert_eq!(got["nextCursor"], want.last().copied().unwrap_or(0), "{path}?{query}");
        }
    }
}

/// Each event comes once; an empty page returns the cursor that was sent.
#[tokio::test]
async fn events_pages_continue_after_their_cursor() {
    let (_server, client) = cafe().await;
    let want = events_matching(&fill(&client).await, |event| event["roomId"] == "main");
    for path in ["/v1/events", "/v1/timeline"] {
        let (mut got, mut cursor) = (Vec::new(), json!(0));
        loop {
            let page = page(&client, &format!("{path}?roomId=main&limit=5&cursor={cursor}")).await;
            if page["count"] == 0 {
                assert_eq!(page["nextCursor"], cursor);
                break;
            }
            got.extend(sequences(&page["events"]));
            cursor = page["nextCursor"].clone();
        }
        assert_eq!(got, want, "{path}");
    }
}

/// `afterEventId` is a position in the whole log, whatever the filters. An unknown id is 404. `cursor` takes
/// precedence.
#[tokio::test]
async fn events_page_starts_after_after_event_id() {
    let (_server, client) = cafe().await;
    let events = fill(&client).await;
    let id = events[4]["eventId"].as_str().unwrap();
    let rest = events_matching(&events[5..], |event| event["tenantId"] == "acme");
    let got = page(&client, &format!("/v1/events?afterEventId={id}&tenantId=acme")).await;
    assert_eq!(sequences(&got["events"]), rest);
    let got = page(&client, &format!("/v1/events?afterEventId={id}&roomId=nowhere")).await;
    assert_eq!(got["nextCursor"], events[4]["sequence"], "an empty page keeps the cursor");
    let got = page(&client, &format!("/v1/events?afterEventId={id}&cursor=14")).await;
    assert_eq!(sequences(&got["events"]), [15, 16]);
    for unknown in ["0190b5a0-0000-7000-8000-000000000000", "nonsense"] {
        let answer = client.get(&format!("/v1/events?afterEventId={unknown}")).await;
        let _ = answer.error(404, "ERR_NOT_FOUND");
    }
}

/// A `+` that was not encoded is a blank in a query.
#[tokio::test]
async fn timeline_reads_a_time_whose_plus_was_not_encoded() {
    let (_server, client) = cafe().await;
    fill(&client).await;
    for from in ["2026-11-22T10:00:00+02:00", "2026-11-22T10:00:00%2B02:00", "2026-11-22T08:00:00Z"] {
        assert_eq!(
            page(&client, &format!("/v1/timeline?fromTs={from}")).await["events"][0]["sequence"],
            1,
            "{from}"
        );
    }
    let answer = client.get("/v1/timeline?fromTs=2026-11-22%2010:00:00").await;
    let _ = answer.error(400, "ERR_VALIDATION");
}

/// The error names the field and the value. Limits out of range are clamped.
#[tokio::test]
async fn events_parameters_that_are_not_integers_are_refused() {
    let (_server, client) = cafe().await;
    fill(&client).await;
    for path in ["/v1/events", "/v1/timeline", "/v1/mentions"] {
        for (field, value) in [
            ("limit", "1.5"),
            ("limit", "abc"),
            ("limit", "NaN"),
            ("cursor", "abc"),
            ("cursor", "1.5"),
            ("cursor", "1e400"),
        ] {
            let answer = client.get(&format!("{path}?{field}={value}")).await;
            let details = answer.error(400, "ERR_VALIDATION");
            assert_eq!((&details["field"], &details["value"]), (&json!(field), &json!(value)), "{path}");
        }
    }
    for (limit, count) in [("0", 1), ("-1", 1), ("3", 3), ("99999999999999", 16), ("", 16), ("%205%20", 5)] {
        assert_eq!(
            page(&client, &format!("/v1/events?limit={limit}")).await["count"],
            count,
            "limit={limit}"
        );
    }
    let _ = client.get("/v1/events?cursor=-5").await.error(400, "ERR_VALIDATION");
}

#[tokio::test]
async fn events_page_has_100_events_by_default_and_at_most_5000() {
    let (_server, client) = cafe().await;
    let orders = (0..60).map(|n| {
        let client = client.clone();
        tokio::spawn(async move {
            let body = json!({"actorId": format!("a{n}"), "itemId": "tea"});
            let _ = client.act("/v1/commands/order", body).await.data();
        })
    });
    for order in orders.collect::<Vec<_>>() {
        order.await.unwrap();
    }
    for path in ["/v1/events", "/v1/timeline", "/v1/timeline?order=desc"] {
        let got = page(&client, path).await;
        assert_eq!(got["count"], 100, "{path}");
    }
    assert_eq!(page(&client, "/v1/events?limit=5000").await["count"], 120);
}

/// The cursor falls from page to page. Any other `order` is ascending.
#[tokio::test]
async fn timeline_order_desc_pages_newest_first() {
    let (_server, client) = cafe().await;
    let all = sequences(&json!(fill(&client).await));
    let got = page(&client, "/v1/timeline?order=desc&limit=3").await;
    assert_eq!((sequences(&got["events"]), &got["order"]), (vec![16, 15, 14], &json!("desc")));
    assert_eq!(got["nextCursor"], 14);
    let got = page(&client, "/v1/timeline?order=desc&limit=3&cursor=14").await;
    assert_eq!(sequences(&got["events"]), [13, 12, 11]);
    let got = page(&client, "/v1/timeline?order=desc&cursor=1").await;
    assert_eq!((&got["count"], &got["nextCursor"]), (&json!(0), &json!(1)));
    let got = page(&client, "/v1/timeline?order=upwards").await;
    assert_eq!((sequences(&got["events"]), &got["order"]), (all, &json!("asc")));
    assert_eq!((&got["fromTs"], &got["toTs"]), (&json!(null), &json!(null)));
}

/// Both are RFC 3339, echoed as sent; anything else is refused.
#[tokio::test]
async fn timeline_from_and_to_are_inclusive() {
    let (_server, client) = cafe().await;
    let events = fill(&client).await;
    let at = |index: usize| events[index]["timestamp"].as_str().unwrap();
    let between = |from: &str, to: &str| {
        events_matching(&events, |event| {
            event["timestamp"].as_str() >= Some(from) && event["timestamp"].as_str() <= Some(to)
        })
    };
    let (from, to) = (at(4), at(11));
    let got = page(&client, &format!("/v1/timeline?fromTs={from}&toTs={to}")).await;
    assert_eq!(sequences(&got["events"]), between(from, to));
    assert_eq!((&got["fromTs"], &got["toTs"]), (&json!(from), &json!(to)));
    let got = page(&client, &format!("/v1/timeline?fromTs={from}&order=desc&limit=1")).await;
    assert_eq!(sequences(&got["events"]), [16]);
    let got = page(&client, "/v1/timeline?fromTs=2999-01-01T00:00:00%2B02:00").await;
    assert_eq!((&got["count"], &got["fromTs"]), (&json!(0), &json!("2999-01-01T00:00:00+02:00")));
    assert_eq!(page(&client, "/v1/timeline?toTs=1999-01-01T00:00:00Z").await["count"], 0);
    for field in ["fromTs", "toTs"] {
        for bad in ["yesterday", "2026-13-01T00:00:00Z", "1790000000000", "2026-01-01"] {
            let answer = client.get(&format!("/v1/timeline?{field}={bad}")).await;
            let details = answer.error(400, "ERR_VALIDATION");
            assert_eq!((&details["field"], &details["value"]), (&json!(field), &json!(bad)));
        }
    }
}

/// The cursor moves past every event that was scanned.
#[tokio::test]
async fn mentions_are_filtered_before_the_limit() {
    let (_server, client) = cafe().await;
    let say = async |text: &str, room: &str| {
        let _ = client
            .act("/v1/commands/say", json!({"actorId": "Nova", "text": text, "roomId": room}))
            .await
            .data();
    };
    for _ in 0..8 {
        say("@Bo", "main").await;
    }
    say("@Kai", "main").await;
    say("@Kai", "attic").await;
    say("@Bo", "main").await;
    let events = log(&client).await;
    let of = |who: &str| events_matching(&events, |event| event["payload"]["mentionedActorId"] == who);
    let got = page(&client, "/v1/mentions?mentionedActorId=Kai&limit=1").await;
    assert_eq!((sequences(&got["mentions"]), &got["count"]), (of("Kai")[..1].to_vec(), &json!(1)));
    let got =
        page(&client, &format!("/v1/mentions?mentionedActorId=Kai&limit=1&cursor={}", got["nextCursor"]))
            .await;
    assert_eq!(sequences(&got["mentions"]), of("Kai")[1..]);
    let got =
        page(&client, &format!("/v1/mentions?mentionedActorId=Kai&limit=5&cursor={}", got["nextCursor"]))
            .await;
    assert_eq!(got["count"], 0);
    assert!(got["nextCursor"].as_u64() >= of("Bo").last().copied(), "past the scanned events: {got}");
    assert_eq!(sequences(&page(&client, "/v1/mentions?roomId=attic").await["mentions"]), of("Kai")[1..]);
    let of_all_actors = page(&client, "/v1/mentions").await;
    assert_eq!(of_all_actors["count"], 11);
    assert!(
        of_all_actors["mentions"].as_array().unwrap().iter().all(|event| event["type"] == "mention_created")
    );
    assert_eq!(page(&client, "/v1/mentions?tenantId=acme").await["count"], 0);
}
