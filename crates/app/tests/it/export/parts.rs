//! The export of a tenant or a room holds all that is theirs and nothing of others.

use super::*;
use crate::background_load::head_of_log;

/// Checks that the export of a part has exactly the lines of the whole export that belong to it.
fn assert_is_part(whole: &str, part: &str, belongs: impl Fn(&Value) -> bool) {
    let of_part = |line: &Value| {
        let thing = if line["event"].is_object() { &line["event"] } else { &line["record"]["json"] };
        thing.is_object() && belongs(thing)
    };
    let (whole, part) = (lines(whole), lines(part));
    let want: Vec<_> = whole.iter().filter(|line| of_part(line)).collect();
    let got: Vec<_> = part[1..part.len() - 1].iter().collect();
    assert!(want.len() > 10, "something must belong to the part");
    assert_eq!(got, want);
}

/// Events keep the order of the whole log. Idempotency keys are left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn export_of_a_tenant_or_room_has_only_its_own_data() {
    let (server, _client) = cafe_with_random_data(7).await;
    let whole = export(server.data_dir(), &[]);
    let tenant = export(server.data_dir(), &["--tenant", "acme"]);
    assert_is_part(&whole, &tenant, |thing| thing["tenantId"] == "acme");
    let room = export(server.data_dir(), &["--tenant", "a:b", "--room", "b:c"]);
    assert_is_part(&whole, &room, |thing| thing["tenantId"] == "a:b" && thing["roomId"] == "b:c");
    for part in [&tenant, &room] {
        let copy = import_to_new_directory(part);
        let header = &lines(part)[0];
        let again: Vec<&str> = match header["room"].as_str() {
            Some(room) => vec!["--tenant", "a:b", "--room", room],
            None => vec!["--tenant", "acme"],
        };
        assert!(
            without_exported_at(&export(copy.path(), &again)) == without_exported_at(part),
            "the imported part exports the same"
        );
        let output = import(copy.path(), part);
        assert!(
            output.status.success() && stderr(&output).contains("nothing was changed"),
            "{}",
            stderr(&output)
        );
        let output = import(copy.path(), &whole);
        assert!(!output.status.success() && stderr(&output).contains("not empty"), "{}", stderr(&output));
    }
    let empty = export(server.data_dir(), &["--tenant", "nobody"]);
    assert_eq!(empty.lines().count(), 2);
    let output = agentcafe("export", server.data_dir(), &["--room", "main"]).output().unwrap();
    assert!(!output.status.success() && stderr(&output).contains("--tenant"), "{}", stderr(&output));
}

/// A client that had a cursor of the whole log, beyond the tenant's last event, misses nothing after the import.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn import_of_a_tenant_keeps_cursors_of_the_whole_log_valid() {
    let (server, client) = cafe().await;
    let say = |tenant: &str| json!({ "tenantId": tenant, "actorId": "Nova", "text": "hey @Kai", "mentions": ["Kai"] });
    for tenant in ["acme", "default", "default", "default"] {
        let _ = client.act("/v1/commands/say", say(tenant)).await.data();
    }
    let page = client.get("/v1/events?tenantId=acme").await;
    let head = head_of_log(&client).await;
    let part = export(server.data_dir(), &["--tenant", "acme"]);
    let copy = import_to_new_directory(&part);
    let server = launch_on(&copy).start().await;
    let client = server.client();
    assert_eq!(client.get("/v1/events?tenantId=acme").await.data()["events"], page.data()["events"]);
    let mut stream = client.stream(&format!("/v1/events/stream?tenantId=acme&cursor={head}")).await;
    let next = client.act("/v1/commands/say", say("acme")).await;
    let received = stream.next_event().await;
    assert_eq!(
        (received.id, &received.data["correlationId"]),
        (Some(head + 1), &next.data()["correlationId"])
    );
    let items = client.get("/v1/inbox?actorId=Kai&tenantId=acme").await.data()["items"].clone();
    let inbox_sequences: Vec<_> =
        items.as_array().unwrap().iter().map(|item| item["inboxSeq"].as_u64().unwrap()).collect();
    assert!(
        inbox_sequences.contains(&1) && inbox_sequences.contains(&5),
        "inbox sequences were assigned to others in between: {inbox_sequences:?}"
    );
}
