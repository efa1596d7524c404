//! The audit trail of operators: listing, filters, and sequence numbers.

use agentcafe_testkit::{Client, Method, Value, json};

use crate::cafe;

async fn act(client: &Client, tenant: &str, room: &str, operator: &str, action: &str) {
    let body = json!({"tenantId": tenant, "roomId": room, "operatorId": operator, "action": action, "targetActorId": "Kai"});
    let _ = client.act("/v1/operator/overrides", body).await;
}

async fn page(client: &Client, query: &str) -> Value {
    client.get(&format!("/v1/operator/audit?{query}")).await.data().clone()
}

fn sequences(page: &Value) -> Vec<u64> {
    page["entries"].as_array().into_iter().flatten().filter_map(|entry| entry["auditSeq"].as_u64()).collect()
}

/// Newest first, or oldest first with `order=asc`; filters, cursors and limits; one tenant at a time.
#[tokio::test]
async fn audit_trail_is_filtered_and_paged_newest_first() {
    let (mut server, client) = cafe().await;
    // Sequence numbers 1 to 6; only 4 is another tenant's.
    for (tenant, room, operator, action) in [
        ("default", "main", "Op", "pause_room"),
        ("default", "main", "Op", "mute_agent"),
        ("default", "attic", "Op", "pause_room"),
        ("acme", "main", "Op", "pause_room"),
        ("default", "main", "Bo", "pause_room"),
        ("default", "main", "Op", "force_leave"),
    ] {
        act(&client, tenant, room, operator, action).await;
    }
    server.restart().await;
    let client = server.client();
    let whole = page(&client, "order=asc").await;
    let created_at = |at: usize| whole["entries"][at]["createdAt"].as_str().unwrap().to_owned();
    let cases: [(String, &[u64], u64); 15] = [
        (String::new(), &[6, 5, 3, 2, 1], 1),
        ("order=asc".to_owned(), &[1, 2, 3, 5, 6], 6),
        ("order=sideways".to_owned(), &[6, 5, 3, 2, 1], 1),
        ("tenantId=acme".to_owned(), &[4], 4),
        ("roomId=main".to_owned(), &[6, 5, 2, 1], 1),
        ("operatorId=Bo".to_owned(), &[5], 5),
        ("action=pause_room".to_owned(), &[5, 3, 1], 1),
        ("action=pause".to_owned(), &[], 0),
        ("roomId=main&operatorId=Op&action=pause_room".to_owned(), &[1], 1),
        ("limit=2".to_owned(), &[6, 5], 5),
        ("limit=2&cursor=5".to_owned(), &[3, 2], 2),
        ("limit=2&cursor=2&order=asc".to_owned(), &[3, 5], 5),
        ("cursor=1".to_owned(), &[], 1),
        (format!("fromTs={}&toTs={}&order=asc", created_at(0), created_at(4)), &[1, 2, 3, 5, 6], 6),
        ("toTs=2020-01-01T00:00:00Z".to_owned(), &[], 0),
    ];
    for (query, want, next) in cases {
        let got = page(&client, &query).await;
        assert_eq!((sequences(&got), &got["nextCursor"]), (want.to_vec(), &json!(next)), "{query}");
        assert_eq!(got["count"], want.len(), "{query}");
        assert_eq!(got["order"], if query.contains("order=asc") { "asc" } else { "desc" }, "{query}");
    }
    // Both bounds are inclusive, to the millisecond.
    let at = created_at(2);
    let then = page(&client, &format!("fromTs={at}&toTs={at}")).await;
    assert!(
        sequences(&then).contains(&3)
            && then["entries"].as_array().unwrap().iter().all(|entry| entry["createdAt"] == at.as_str())
    );
    for bad in ["cursor=x", "limit=1.5", "fromTs=yesterday"] {
        let answer = client.get(&format!("/v1/operator/audit?{bad}")).await;
        assert_eq!(answer.error(400, "ERR_VALIDATION")["value"], bad.split_once('=').unwrap().1);
    }
    assert_eq!(sequences(&page(&client, "limit=0").await), [6], "limits are clamped");
}

/// Entries are only appended; other methods than `GET` are unsupported.
#[tokio::test]
async fn audit_trail_is_read_only() {
    let (_server, client) = cafe().await;
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let answer = client.request(method.clone(), "/v1/operator/audit").key("k").send().await;
        let _ = answer.error(404, "ERR_UNSUPPORTED_ACTION");
        assert!(answer.header("allow").is_some(), "{method}");
    }
}

/// Applied and denied actions that run at the same time get consecutive sequence numbers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_trail_sequence_has_no_gaps_under_concurrent_actions() {
    let (_server, client) = cafe().await;
    let body = json!({"roomId": "main", "actorId": "Op", "canModerate": true});
    let _ = client.act("/v1/permissions", body).await.data();
    let sent = (0..20).map(|n| {
        let client = client.clone();
        let operator = if n % 2 == 0 { "Op" } else { "Nova" };
        tokio::spawn(async move { act(&client, "default", "main", operator, "mute_agent").await })
    });
    for one in sent.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    let whole = page(&client, "order=asc").await;
    assert_eq!(sequences(&whole), (1..=21).collect::<Vec<u64>>());
    let denied = whole["entries"].as_array().unwrap().iter().filter(|entry| entry["outcome"] == "denied");
    assert_eq!(denied.count(), 10);
}
