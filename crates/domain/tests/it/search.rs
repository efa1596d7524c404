//! Words, queries and snippets: what is found by what.

use agentcafe_domain::kernel::{ActorId, EventType, RoomId, Sequence, TenantId};
use agentcafe_domain::search::query::WordQuery;
use agentcafe_domain::search::words::words;
use agentcafe_domain::search::{self, Change, DocumentKind, IndexEntry, RecordId, SearchScope, snippet};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

fn cut(text: &str) -> Vec<String> {
    words(text).map(|word| word.text).collect()
}

#[test]
fn words_are_runs_of_letters_and_digits_without_case_and_diacritics() {
    let cases: [(&str, &[&str]); 14] = [
        ("", &[]),
        (" -- !? ", &[]),
        ("Deploy failed, again!", &["deploy", "failed", "again"]),
        ("crates/store/src/lib.rs:42", &["crates", "store", "src", "lib", "rs", "42"]),
        ("rate_limit RateLimit", &["rate", "limit", "ratelimit"]),
        ("Zoë Ångström ÉCOLE", &["zoe", "angstrom", "ecole"]),
        ("Zoe\u{308} e\u{301}cole", &["zoe", "ecole"]),
        ("İstanbul straße", &["istanbul", "straße"]),
        ("ﬁnance ①", &["finance", "1"]),
        ("会議は3時", &["会", "議", "は", "3", "時"]),
        ("がぎ", &["が", "ぎ"]),
        ("한국어 문서", &["한국어", "문서"]),
        ("हिन्दी में", &["हिन्दी", "में"]),
        ("a\u{0}b \u{202e}c\u{200b}d 😀e", &["a", "b", "c", "d", "e"]),
    ];
    for (text, want) in cases {
        assert_eq!(cut(text), want, "{text}");
    }
    let long = "x".repeat(1_000);
    assert_eq!(cut(&long), ["x".repeat(64)]);
}

#[test]
fn query_has_words_phrases_and_a_beginning() {
    let cases: [(&str, &[(&[&str], bool)]); 12] = [
        ("", &[]),
        ("?!\"", &[]),
        ("deploy", &[(&["deploy"], true)]),
        ("deploy failed", &[(&["deploy"], false), (&["failed"], true)]),
        ("Deploy FAILED ", &[(&["deploy"], false), (&["failed"], true)]),
        ("\"deploy failed\"", &[(&["deploy", "failed"], false)]),
        ("\"deploy failed\" tod", &[(&["deploy", "failed"], false), (&["tod"], true)]),
        ("tod \"deploy failed", &[(&["tod"], false), (&["deploy", "failed"], false)]),
        ("lib.rs", &[(&["lib", "rs"], false)]),
        ("to", &[(&["to"], false)]),
        ("会議", &[(&["会", "議"], false)]),
        (
            "a AND b* NOT (c)",
            &[(&["a"], false), (&["and"], false), (&["b"], false), (&["not"], false), (&["c"], false)],
        ),
    ];
    for (text, want) in cases {
        let query = WordQuery::parse(text);
        let got: Vec<_> =
            query.phrases.iter().map(|phrase| (phrase.words.clone(), phrase.is_prefix)).collect();
        let want: Vec<_> = want
            .iter()
            .map(|(words, is_prefix)| (words.iter().map(|word| (*word).to_owned()).collect(), *is_prefix))
            .collect::<Vec<(Vec<String>, bool)>>();
        assert_eq!(got, want, "{text}");
    }
    let many = WordQuery::parse(&"word ".repeat(200));
    assert_eq!(many.phrases.len(), 32);
}

#[test]
fn snippet_shows_the_first_word_that_was_found() {
    let query = WordQuery::parse("needle");
    assert_eq!(snippet("A  needle\n in it", &query), "A needle in it");
    assert_eq!(snippet("nothing", &query), "nothing");
    let long = format!("{} needles {}", "before ".repeat(50), "behind ".repeat(50));
    let shown = snippet(&long, &query);
    assert!(shown.starts_with("…before before ") && shown.contains(" needles behind"), "{shown}");
    assert!(shown.ends_with('…') && shown.chars().count() <= 162, "{shown}");
}

fn event(payload: Value) -> Vec<u8> {
    let event = json!({"sequence": 7, "tenantId": "default", "roomId": "main", "actorId": "Nova", "payload": payload});
    serde_json::to_vec(&event).unwrap()
}

#[test]
fn change_reads_messages_and_names_records() {
    let posted = EventType::ConversationMessagePosted;
    let message = json!({"conversation": {
        "messageId": "m2", "threadId": "m1", "parentMessageId": "m1", "replyToMessageId": null, "text": "hi",
    }});
    let Some(Change::Message(document)) = search::change(posted, &event(message)) else {
        panic!("no message")
    };
    let entry = IndexEntry {
        sequence: Sequence(7),
        kind: DocumentKind::Message,
        tenant_id: TenantId::default(),
        room_id: RoomId::main(),
        id: "m2".to_owned(),
        actor_id: Some(ActorId::parse("Nova").unwrap()),
        thread_id: Some("m1".to_owned()),
        reply_to: Some("m1".to_owned()),
    };
    assert_eq!((document.entry, document.text.as_str()), (entry, "hi"));
    let id = Uuid::from_u128(5);
    let task = search::change(EventType::TaskUpdated, &event(json!({"taskId": id})));
    assert_eq!(task, Some(Change::Record(RecordId::Task(id))));
    for (kind, payload) in [
        (posted, json!({})),
        (posted, json!({"conversation": {"messageId": 5, "text": "hi"}})),
        (EventType::TaskCreated, json!({"taskId": "no id"})),
        (EventType::AgentEntered, json!({})),
    ] {
        assert_eq!(search::change(kind, &event(payload.clone())), None, "{payload}");
    }
}

/// One for the room itself, and one for each prefix that a key may be bound to.
#[test]
fn entry_belongs_to_the_scopes_of_its_room() {
    let entry = IndexEntry {
        sequence: Sequence(1),
        kind: DocumentKind::Room,
        tenant_id: TenantId::default(),
        room_id: RoomId::parse("team-a/sub/x").unwrap(),
        id: "team-a/sub/x".to_owned(),
        actor_id: None,
        thread_id: None,
        reply_to: None,
    };
    let words: Vec<String> = entry.scope_words().collect();
    let other = TenantId::parse("other").unwrap();
    for (pattern, is_in) in [
        ("team-a/", true),
        ("team-a/sub/", true),
        ("team-a/sub/x", true),
        ("team-a", false),
        ("team-b/", false),
    ] {
        let word = SearchScope::of_rooms(&entry.tenant_id, pattern).word();
        assert_eq!(words.contains(&word), is_in, "{pattern}");
        assert!(!words.contains(&SearchScope::of_rooms(&other, pattern).word()));
    }
}

/// Characters that mean something to a database, or mark the words of scopes.
const SPECIAL: [char; 15] =
    ['"', '\'', '\\', '*', ':', '&', '|', '!', '<', '>', '(', ')', '-', '+', '\u{e000}'];

proptest! {
    /// No word has a character that means something to a database.
    #[test]
    fn words_hold_only_letters_digits_and_marks(text in any::<String>()) {
        for word in words(&text) {
            prop_assert!(!word.text.is_empty() && text.get(word.range).is_some());
            prop_assert!(!word.text.contains(|char: char| char.is_whitespace() || char.is_control()));
            prop_assert!(!word.text.contains(SPECIAL));
        }
    }

    #[test]
    fn snippet_of_any_text_is_one_short_line(text in any::<String>(), query in any::<String>()) {
        let shown = snippet(&text, &WordQuery::parse(&query));
        prop_assert!(shown.chars().count() <= 162 && !shown.contains(['\n', '\r']));
    }
}
