//! What is sent, and where.

use std::collections::HashSet;

use agentcafe_load::script::{GetScript, SayActors, SayScript, Script, scramble};
use agentcafe_load::target::{BadTarget, Target, checked_path, shown_path};

#[test]
fn target_parse_refuses_invalid_addresses() {
    for address in ["", "cafe", "localhost:3850", "ftp://cafe", "http://", "http://cafe/?a=b"] {
        assert_eq!(Target::parse(address).unwrap_err(), BadTarget::Address, "{address}");
    }
    assert_eq!(Target::parse("http://me:secret@cafe").unwrap_err(), BadTarget::Credentials);
}

#[test]
fn target_parse_splits_the_address() {
    let cases = [
        ("http://127.0.0.1:3850", "GET /a?b=c HTTP/1.1", "host: 127.0.0.1:3850"),
        ("http://cafe.example/", "GET /a?b=c HTTP/1.1", "host: cafe.example"),
        ("https://cafe.example/x/", "GET /x/a?b=c HTTP/1.1", "host: cafe.example"),
        (" http://[::1]:9 ", "GET /a?b=c HTTP/1.1", "host: [::1]:9"),
    ];
    for (address, first, host) in cases {
        let request = String::from_utf8(Target::parse(address).unwrap().get("/a?b=c")).unwrap();
        assert!(request.starts_with(&format!("{first}\r\n{host}\r\n")), "{request}");
        assert!(request.ends_with("\r\n\r\n"), "{request}");
    }
}

/// An IPv6 address is connected to without its brackets.
#[tokio::test]
async fn target_connects_to_an_ipv6_address() {
    let Ok(listener) = tokio::net::TcpListener::bind("[::1]:0").await else {
        return; // This machine has no IPv6.
    };
    Target::from(listener.local_addr().unwrap()).connect().await.unwrap();
}

#[test]
fn target_key_is_sent_and_never_shown() {
    let target = Target::parse("http://cafe").unwrap().with_key(" s3cr3t\n").unwrap();
    assert!(String::from_utf8(target.get("/")).unwrap().contains("\r\nx-api-key: s3cr3t\r\n"));
    assert!(!format!("{target:?} {target}").contains("s3cr3t"));
    for (name, value) in [("a b", "c"), ("", "c"), ("a", "b\r\nc: d"), ("a", "ü")] {
        assert_eq!(target.clone().with_header(name, value).unwrap_err(), BadTarget::Header, "{name}");
    }
}

#[test]
fn checked_path_refuses_what_cannot_be_requested() {
    for path in ["/", "/v1/events?limit=5"] {
        assert_eq!(checked_path(path).as_deref(), Ok(path));
    }
    for path in ["", "v1", "/a b", "/a\r\nb", "/ü", "/a#b"] {
        assert_eq!(checked_path(path), Err(BadTarget::Path), "{path}");
    }
}

#[test]
fn shown_path_masks_credentials() {
    let cases = [
        ("/a", "/a"),
        ("/a?limit=5", "/a?limit=5"),
        ("/a?apiKey=s3cr3t&limit=5", "/a?apiKey=…&limit=5"),
        ("/a?x=1&access_token=s3cr3t", "/a?x=1&access_token=…"),
    ];
    for (path, shown) in cases {
        assert_eq!(shown_path(path), shown);
    }
}

fn target() -> Target {
    Target::parse("http://cafe").unwrap()
}

#[test]
fn say_scripts_share_all_actors_and_no_key() {
    let (mut seen, mut keys) = (HashSet::new(), HashSet::new());
    let actors = SayActors {
        tenant: "a \"b\"".to_owned(),
        room_prefix: "a \"room\"".to_owned(),
        ..SayActors::default()
    };
    for mut script in SayScript::for_connections(&target(), &actors, 64) {
        for _ in 0..125 {
            let request = String::from_utf8(script.next_request(0).to_vec()).unwrap();
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("\r\ncontent-length: {}", body.len())), "{head}");
            let (_, key) = head.split_once("\r\nidempotency-key: ").unwrap();
            let key = key.split("\r\n").next().unwrap().to_owned();
            assert_eq!(key.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "like a UUID");
            assert!(keys.insert(key));
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let (room, actor) = (body["roomId"].as_str().unwrap(), body["actorId"].as_str().unwrap());
            let room: u64 = room.strip_prefix("a \"room\"-").unwrap().parse().unwrap();
            let actor: u64 = actor.strip_prefix("actor-").unwrap().parse().unwrap();
            assert_eq!(room, actor % actors.rooms);
            seen.insert(actor);
            assert_eq!((&body["tenantId"], body.as_object().unwrap().len()), (&"a \"b\"".into(), 4));
            assert!(body["text"].as_str().unwrap().starts_with("a flat white for table four, "));
        }
    }
    assert_eq!(seen.len() as u64, actors.actors);
}

/// Runs with other seeds send other keys for the same numbers, which the first half of a key is made of.
#[test]
fn say_script_keys_depend_on_the_seed() {
    for seed in [0, 1] {
        let actors = SayActors { seed, ..SayActors::default() };
        let script = &mut SayScript::for_connections(&target(), &actors, 1)[0];
        let request = String::from_utf8(script.next_request(0).to_vec()).unwrap();
        let (_, key) = request.split_once("\r\nidempotency-key: ").unwrap();
        let key = u128::from_str_radix(&key[..36].replace('-', ""), 16).unwrap();
        let (number, rest) = ((key >> 64) as u64, key as u64);
        assert_eq!(rest == scramble(number), seed == 0, "{key:x}");
    }
}

#[test]
fn get_script_alternates() {
    let mut script = GetScript::new(&target(), &["/a", "/b"]);
    for path in ["/a", "/b", "/a"] {
        assert_eq!(script.next_request(0), target().get(path));
    }
}
