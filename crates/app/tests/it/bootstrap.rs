//! `GET /v1/bootstrap`: what an agent needs to start, in one response.

use agentcafe_testkit::{Value, json};

use crate::tasks::{change, create, newest_first};
use crate::{cafe, log};

#[tokio::test]
async fn bootstrap_of_an_empty_cafe_has_links_rooms_and_cursor_0() {
    let (_server, client) = cafe().await;
    let answer = client.get("/v1/bootstrap").await;
    assert_eq!(client.get("/v1/agent/bootstrap").await.json, answer.json, "the alias");
    let data = answer.data();
    let discovery = &data["discovery"];
    assert_eq!(discovery["canonicalApiVersion"], "v1");
    assert_eq!(
        (&discovery["defaultTenantId"], &discovery["defaultRoomId"]),
        (&json!("default"), &json!("main"))
    );
    assert_eq!(discovery["resolvedRoomId"], "main");
    let main = json!({"tenantId": "default", "roomId": "main", "roomType": "lobby", "displayName": null,
        "ownerActorId": null, "metadata": {}, "createdAt": null, "updatedAt": null});
    assert_eq!(discovery["rooms"], json!([main]));
    assert_eq!(data["actor"], json!(null));
    assert_eq!(
        data["room"],
        json!({"roomId": "main", "presence": [], "openOrActiveTasks": [], "pinnedContext": null})
    );
    assert_eq!(data["cursor"], 0);
}

/// The links are relative paths, with the ids percent-encoded.
#[tokio::test]
async fn bootstrap_links_contain_the_ids_and_can_be_called() {
    let (_server, client) = cafe().await;
    let query = "?tenantId=a%26b&roomId=the%20attic&actorId=N%C3%B6va%3F&includeBacklog=no&roomLimit=5";
    let data = client.get(&format!("/v1/bootstrap{query}")).await.data().clone();
    let discovery = &data["discovery"];
    let rooms: Vec<&Value> =
        discovery["rooms"].as_array().unwrap().iter().map(|room| &room["roomId"]).collect();
    assert!(rooms.contains(&&json!("main")) && rooms.contains(&&json!("the attic")), "{rooms:?}");
    let ids = "tenantId=a%26b&roomId=the%20attic";
    let paths = [
        ("streamPath", "/v1/streams/market-events?", false),
        ("pollPath", "/v1/events/poll?", true),
        ("commandsPath", "/v1/commands?", true),
        ("heartbeatPath", "/v1/presence/heartbeat?", true),
        ("inboxPath", "/v1/inbox?", true),
        ("timelinePath", "/v1/timeline?", false),
    ];
    for (name, start, with_actor) in paths {
        let path = discovery[name].as_str().unwrap();
        assert!(path.starts_with(&format!("{start}{ids}")), "{name}: {path}");
        assert!(!with_actor || path.ends_with("&actorId=N%C3%B6va%3F"), "{name}: {path}");
    }
    for name in ["inboxPath", "timelinePath"] {
        assert_eq!(client.get(discovery[name].as_str().unwrap()).await.status, 200, "{name}");
    }
    let poll = format!("{}&timeoutMs=0", discovery["pollPath"].as_str().unwrap());
    assert_eq!(client.get(&poll).await.data()["presence"]["actorId"], "Növa?");
    let mut stream = client.stream(discovery["streamPath"].as_str().unwrap()).await;
    assert_eq!(stream.next().await.data["roomId"], "the attic");
}

/// As they are, with the ids of the agent.
#[tokio::test]
async fn bootstrap_paths_all_work() {
    let (_server, client) = cafe().await;
    let query = "tenantId=a%26b&roomId=the%20attic&actorId=N%C3%B6va%3F";
    let discovery = client.get(&format!("/v1/bootstrap?{query}")).await.data()["discovery"].clone();
    let path = |name: &str| discovery[name].as_str().unwrap().to_owned();
    let beaten = client.act(&path("heartbeatPath"), json!({})).await;
    let presence = &beaten.data()["presence"];
    let place = (&presence["tenantId"], &presence["roomId"], &presence["actorId"]);
    assert_eq!(place, (&json!("a&b"), &json!("the attic"), &json!("Növa?")));
    for name in ["inboxPath", "timelinePath", "commandsPath"] {
        assert_eq!(client.get(&path(name)).await.status, 200, "{name}");
    }
    assert_eq!(client.get(&format!("{}&timeoutMs=0", path("pollPath"))).await.status, 200);
    assert_eq!(client.stream(&path("streamPath")).await.next().await.data["roomId"], "the attic");
    let commands = client.get(&path("commandsPath")).await.data()["commands"].clone();
    for (command, body) in [
        ("/v1/commands/enter", json!({})),
        ("/v1/commands/move", json!({"direction": "E"})),
        ("/v1/commands/say", json!({"text": "hi"})),
        ("/v1/commands/order", json!({"itemId": "tea"})),
        ("/v1/conversations/messages", json!({"text": "ho"})),
        ("/v1/intents/execute", json!({"intent": "navigate_to", "x": 1, "y": 1})),
        ("/v1/commands/leave", json!({})),
    ] {
        let link =
            commands.as_array().unwrap().iter().find(|link| link["path"] == format!("{command}?{query}"));
        let link = link.unwrap_or_else(|| panic!("{command} is not among {commands}"));
        assert!(link["method"] == "POST" && link["summary"].is_string(), "{link}");
        let answer = client.act(link["path"].as_str().unwrap(), body).await;
        assert_eq!(answer.status, 202, "{command}: {}", answer.text);
    }
    assert_eq!(commands.as_array().unwrap().len(), 7);
    let events = client.get(&path("timelinePath")).await.data()["events"].clone();
    assert!(events.as_array().unwrap().iter().all(|event| event["actorId"] == "Növa?"), "{events}");
    // The body takes precedence.
    let said =
        client.act("/v1/commands/say?actorId=Kai&roomId=x", json!({"actorId": "Nova", "text": "hi"})).await;
    assert_eq!((&said.data()["actorId"], &said.data()["roomId"]), (&json!("Nova"), &json!("x")));
    let rooms = client.get("/v1/bootstrap?tenantId=a%26b").await.data()["discovery"]["activeRooms"].clone();
    assert_eq!((&rooms[0]["roomId"], &rooms[1]), (&json!("the attic"), &json!(null)));
    for link in rooms.as_array().unwrap() {
        let path =
            format!("/v1/rooms/{}?tenantId=a%26b", link["roomId"].as_str().unwrap().replace(' ', "%20"));
        assert_eq!(client.get(&path).await.status, 200);
    }
}

/// Unread items come newest first.
#[tokio::test]
async fn bootstrap_lists_the_actors_unread_inbox_presence_and_thread() {
    let (_server, client) = cafe().await;
    let say = async |actor: &str, text: &str, thread: &str| {
        let body = json!({"actorId": actor, "text": text, "threadId": thread});
        let _ = client.act("/v1/commands/say", body).await.data();
    };
    let view = async || client.get("/v1/bootstrap?actorId=Kai").await.data()["actor"].clone();
    let empty = json!({"actorId": "Kai", "unreadCount": 0, "suggestedThreadId": null, "presence": null, "inbox": [], "assignedTasks": []});
    assert_eq!(view().await, empty);
    say("Kai", "hello", "own").await;
    say("Kai", "hello again", "newest own").await;
    let alone = view().await;
    assert_eq!(
        (&alone["suggestedThreadId"], &alone["presence"]["status"]),
        (&json!("newest own"), &json!("busy"))
    );
    for n in 0..22 {
        say("Nova", "hey @Kai", &format!("t{n}")).await;
    }
    let called = view().await;
    assert_eq!((&called["unreadCount"], &called["suggestedThreadId"]), (&json!(22), &json!("t21")));
    let threads: Vec<&str> =
        called["inbox"].as_array().unwrap().iter().filter_map(|item| item["threadId"].as_str()).collect();
    assert_eq!(threads, (2..22).rev().map(|n| format!("t{n}")).collect::<Vec<_>>());
    let newest = called["inbox"][0]["inboxId"].clone();
    let _ = client.act("/v1/inbox/ack", json!({"actorId": "Kai", "ids": [newest]})).await.data();
    let acked = view().await;
    assert_eq!((&acked["unreadCount"], &acked["suggestedThreadId"]), (&json!(21), &json!("t20")));
}

/// Newest first; actors of other rooms and tenants are not listed.
#[tokio::test]
async fn bootstrap_lists_active_actors_of_the_room() {
    let (_server, client) = cafe().await;
    let command = async |path: &str, actor: &str, room: &str, tenant: &str| {
        let body = json!({"actorId": actor, "roomId": room, "tenantId": tenant});
        let _ = client.act(&format!("/v1/commands/{path}"), body).await.data();
    };
    for (actor, room, tenant) in [
        ("A", "main", "default"),
        ("B", "main", "default"),
        ("C", "attic", "default"),
        ("D", "main", "acme"),
        ("E", "main", "default"),
    ] {
        command("enter", actor, room, tenant).await;
    }
    command("leave", "B", "main", "default").await;
    let data = client.get("/v1/bootstrap").await.data().clone();
    let actors: Vec<&Value> =
        data["room"]["presence"].as_array().unwrap().iter().map(|row| &row["actorId"]).collect();
    assert_eq!(actors, ["E", "A"]);
    let attic = client.get("/v1/bootstrap?roomId=attic").await;
    assert_eq!(attic.data()["room"]["presence"][0]["actorId"], "C");
}

/// The room's tasks: active before open, the newest change first. The actor's own tasks: of all rooms.
#[tokio::test]
async fn bootstrap_lists_tasks_that_are_not_done() {
    let (_server, client) = cafe().await;
    let mut tasks = Vec::new();
    for (title, room, assignee, state) in [
        ("a", "main", Some("Kai"), None),
        ("b", "main", None, None),
        ("c", "main", None, Some("active")),
        ("d", "attic", Some("Kai"), None),
        ("e", "main", None, None),
        ("f", "main", Some("Kai"), Some("open")),
        ("g", "main", Some("Kai"), Some("done")),
    ] {
        let mut fields = json!({"title": title, "roomId": room, "assigneeActorId": assignee});
        if let Some(state) = state {
            fields["state"] = json!(state);
        }
        tasks.push(create(&client, fields).await);
    }
    let titles = |tasks: &Value| -> Vec<Value> {
        tasks.as_array().unwrap().iter().map(|task| task["title"].clone()).collect()
    };
    let view =
        async |query: &str| client.get(&format!("/v1/bootstrap?actorId=Kai{query}")).await.data().clone();
    let check = |data: &Value, tasks: &[Value], active: &[&str], open: &[&str], own: &[&str]| {
        let order = |wanted: &[&str]| newest_first(tasks, "taskId", wanted);
        assert_eq!(titles(&data["room"]["openOrActiveTasks"]), [order(active), order(open)].concat());
        assert_eq!(titles(&data["actor"]["assignedTasks"]), order(own));
    };
    check(&view("").await, &tasks, &["c", "a"], &["f", "e", "b"], &["f", "d", "a"]);
    let path = format!("/v1/tasks/{}", tasks[2]["taskId"].as_str().unwrap());
    let body = json!({"actorId": "Nova", "assigneeActorId": "Kai", "state": "open"});
    tasks[2] = change(&client, &path, body).await.data()["task"].clone();
    let data = view("").await;
    check(&data, &tasks, &["a"], &["c", "f", "e", "b"], &["c", "f", "d", "a"]);
    assert!(data["room"]["openOrActiveTasks"].as_array().unwrap().contains(&tasks[2]));
    assert_eq!(view("&includeBacklog=false").await["room"]["openOrActiveTasks"], json!([]));
}

/// A poll from this cursor returns later events only.
#[tokio::test]
async fn bootstrap_cursor_is_the_head_of_the_log() {
    let (_server, client) = cafe().await;
    let enter = json!({"actorId": "Nova"});
    let _ = client.act("/v1/commands/enter", enter.clone()).await.data();
    let cursor = client.get("/v1/bootstrap?roomId=attic").await.data()["cursor"].clone();
    assert_eq!(cursor, log(&client).await.last().unwrap()["sequence"]);
    let next = client.act("/v1/commands/enter", enter).await;
    let polled = client.get(&format!("/v1/events/poll?cursor={cursor}&limit=1")).await;
    assert_eq!(polled.data()["events"][0]["eventId"], next.data()["eventId"]);
}

#[tokio::test]
async fn bootstrap_refuses_invalid_parameters_and_clamps_limits() {
    let (_server, client) = cafe().await;
    for bad in ["roomLimit=x", "roomLimit=1.5", "roomId=%01", "actorId=%01"] {
        let answer = client.get(&format!("/v1/bootstrap?{bad}")).await;
        assert_eq!(answer.error(400, "ERR_VALIDATION")["field"], bad.split_once('=').unwrap().0);
    }
    for fine in ["roomLimit=0", "roomLimit=9999", "includeBacklog=perhaps", "roomId=", "actorId="] {
        assert_eq!(client.get(&format!("/v1/bootstrap?{fine}")).await.status, 200, "{fine}");
    }
}
