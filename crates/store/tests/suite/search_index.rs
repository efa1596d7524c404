//! The index beside the log: messages by id and thread, and documents by their words, on either database.

use std::collections::BTreeSet;

use agentcafe_domain::kernel::{ActorId, EventType, Payload, RoomId, Sequence, TenantId};
use agentcafe_domain::search::query::WordQuery;
use agentcafe_domain::search::words::words;
use agentcafe_domain::search::{Document, DocumentKind, IndexEntry, SearchScope};
use agentcafe_store::{FoundDocuments, IndexBehind, MessageKey, MessagePage, MessageQuery, Store};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde::Serialize;
use serde_json::{Value, json};

use crate::commands::{actor, append_texts, command, reply};
use crate::test_store::TestStore;

/// A message as its event has it.
#[derive(Serialize)]
struct Posted {
    conversation: Value,
}

impl Payload for Posted {
    const TYPE: EventType = EventType::ConversationMessagePosted;
}

/// Posts messages with these ids, in this thread of a room.
async fn post(store: &Store, room: &str, thread: &str, ids: &[&str]) {
    let messages: Vec<Value> = ids
        .iter()
        .map(|id| {
            json!({"messageId": id, "threadId": thread, "replyToMessageId": thread, "text": format!("text of {id}")})
        })
        .collect();
    let nova = actor(room, "Nova");
    let posting = command(move |ctx| {
        for message in &messages {
            ctx.append(&nova, &Posted { conversation: message.clone() }, None)?;
        }
        reply(&())
    });
    store.submit(posting).await.unwrap();
}

fn query(key: MessageKey, after: u64, limit: usize) -> MessageQuery {
    MessageQuery { tenant: TenantId::default(), key, room: None, after: Sequence(after), limit }
}

fn thread(id: &str) -> MessageKey {
    MessageKey::Thread(id.to_owned())
}

/// The ids of the messages, and whether there may be more.
async fn ids(store: &Store, query: MessageQuery) -> (Vec<String>, bool) {
    let MessagePage { entries, has_more, behind } = store.messages(query).await.unwrap();
    assert_eq!(behind, None);
    (entries.into_iter().map(|entry| entry.id).collect(), has_more)
}

/// The document of a message.
fn message(sequence: u64, room: &str, id: &str, text: &str) -> Document {
    let entry = IndexEntry {
        sequence: Sequence(sequence),
        kind: DocumentKind::Message,
        tenant_id: TenantId::default(),
        room_id: RoomId::parse(room).unwrap(),
        id: id.to_owned(),
        actor_id: Some(ActorId::parse("Nova").unwrap()),
        thread_id: Some("t".to_owned()),
        reply_to: Some("t".to_owned()),
    };
    Document { entry, text: text.to_owned() }
}

/// The document of a task.
fn task(sequence: u64, id: &str, text: &str) -> Document {
    let document = message(sequence, "main", id, text);
    let entry = IndexEntry { kind: DocumentKind::Task, thread_id: None, reply_to: None, ..document.entry };
    Document { entry, text: document.text }
}

/// The sequences of what a query finds.
async fn found(store: &Store, query: WordQuery, before: Option<u64>, limit: usize) -> Vec<u64> {
    let found = store.search(query, before.map(Sequence), limit).await.unwrap().unwrap();
    found.entries.iter().map(|entry| entry.sequence.0).collect()
}

/// Whether they are in the index, in the log or half of them in either.
#[tokio::test]
async fn messages_are_found_without_a_seam_between_index_and_log() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let store = &opened.store;
    post(store, "main", "t", &["a", "b"]).await;
    store.submit(append_texts(&actor("main", "Kai"), &["something else"])).await.unwrap();
    post(store, "lounge", "t", &["c"]).await;
    post(store, "main", "other", &["x", "a"]).await;
    let documents = |ids: &[(u64, &str)]| {
        ids.iter().map(|(sequence, id)| message(*sequence, "main", id, "")).collect::<Vec<_>>()
    };
    let steps: [(u64, Vec<Document>, u64); 3] = [
        (0, documents(&[]), 0),
        (0, documents(&[(1, "a"), (2, "b")]), 3),
        (3, vec![message(4, "lounge", "c", ""), message(5, "main", "x", ""), message(6, "main", "a", "")], 6),
    ];
    assert_eq!(store.resume_index().await.unwrap(), Sequence::START);
    for (after, mut documents, to) in steps {
        for document in documents.iter_mut().filter(|document| document.entry.sequence.0 > 4) {
            document.entry.thread_id = Some("other".to_owned());
        }
        assert!(store.write_index(Sequence(after), documents, Sequence(to)).await.unwrap());
        let want = |ids: &[&str], has_more: bool| (ids.iter().map(|id| (*id).to_owned()).collect(), has_more);
        assert_eq!(ids(store, query(thread("t"), 0, 10)).await, want(&["a", "b", "c"], false), "{to}");
        assert_eq!(ids(store, query(thread("t"), 0, 2)).await, want(&["a", "b"], true), "{to}");
        assert_eq!(ids(store, query(thread("t"), 2, 2)).await, want(&["c"], false), "{to}");
        assert_eq!(ids(store, query(thread("none"), 0, 2)).await, want(&[], false), "{to}");
        let in_lounge =
            MessageQuery { room: Some(RoomId::parse("lounge").unwrap()), ..query(thread("t"), 0, 10) };
        assert_eq!(ids(store, in_lounge).await, want(&["c"], false), "{to}");
        let by_id = query(MessageKey::Id("a".to_owned()), 0, 10);
        let page = store.messages(by_id).await.unwrap();
        let sequences: Vec<u64> = page.entries.iter().map(|entry| entry.sequence.0).collect();
        assert_eq!(sequences, [1, 6], "{to}: the first first");
        let replies = query(MessageKey::ReplyTo("t".to_owned()), 1, 10);
        assert_eq!(ids(store, replies).await.0[..2], ["b", "c"], "{to}");
        let elsewhere =
            MessageQuery { tenant: TenantId::parse("rival").unwrap(), ..query(thread("t"), 0, 2) };
        assert_eq!(ids(store, elsewhere).await, want(&[], false));
    }
    opened.close();
}

/// Instead of an answer that lacks what is not indexed yet.
#[tokio::test]
async fn index_far_behind_the_log_says_so() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let store = &opened.store;
    assert_eq!(store.resume_index().await.unwrap(), Sequence::START);
    post(store, "main", "t", &["a", "b"]).await;
    let texts = ["x"; 2_000];
    for _ in 0..10 {
        store.submit(append_texts(&actor("main", "Kai"), &texts)).await.unwrap();
    }
    let behind = |indexed_to| IndexBehind { indexed_to: Sequence(indexed_to), head: Sequence(20_002) };
    let page = store.messages(query(thread("t"), 0, 10)).await.unwrap();
    assert_eq!(page, MessagePage { entries: vec![], has_more: true, behind: Some(behind(0)) });
    let words = || WordQuery::parse("text").within([SearchScope::Tenant(&TenantId::default())]);
    assert_eq!(store.search(words(), None, 10).await.unwrap(), Err(behind(0)));
    assert!(
        store.write_index(Sequence::START, vec![message(1, "main", "a", "text")], Sequence(1)).await.unwrap()
    );
    // What is found is right in any case.
    let page = store.messages(query(thread("t"), 0, 1)).await.unwrap();
    assert_eq!((page.entries.len(), page.behind), (1, None));
    let page = store.messages(query(thread("t"), 0, 10)).await.unwrap();
    assert_eq!((page.entries.len(), page.behind), (1, Some(behind(1))));
    assert!(
        store.write_index(Sequence(1), vec![message(2, "main", "b", "text")], Sequence(9_000)).await.unwrap()
    );
    assert_eq!(ids(store, query(thread("t"), 0, 10)).await.0, ["a", "b"]);
    let FoundDocuments { entries, indexed_to } = store.search(words(), None, 10).await.unwrap().unwrap();
    assert_eq!((entries.len(), indexed_to), (2, Sequence(9_000)));
    opened.close();
}

/// A writer that was overtaken writes nothing, and one that returns goes on from where the index is.
#[tokio::test]
async fn index_is_written_only_from_its_cursor() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    post(&opened.store, "main", "t", &["a", "b", "c"]).await;
    assert_eq!(opened.store.resume_index().await.unwrap(), Sequence::START);
    let write = async |store: &Store, after, sequence: u64| {
        let document = message(sequence, "main", "a", "word");
        store.write_index(Sequence(after), vec![document], Sequence(sequence)).await.unwrap()
    };
    assert!(write(&opened.store, 0, 1).await);
    assert!(!write(&opened.store, 0, 1).await);
    assert!(!write(&opened.store, 2, 3).await);
    assert_eq!(opened.store.resume_index().await.unwrap(), Sequence(1));
    opened.close();
    let opened = test_store.open();
    assert_eq!(opened.store.resume_index().await.unwrap(), Sequence(1));
    assert!(write(&opened.store, 1, 2).await);
    let words = WordQuery::parse("word").within([SearchScope::Tenant(&TenantId::default())]);
    assert_eq!(found(&opened.store, words, None, 10).await, [2, 1]);
    opened.close();
}

/// The words that were replaced find nothing.
#[tokio::test]
async fn index_replaces_the_document_of_a_record() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let store = &opened.store;
    store.submit(append_texts(&actor("main", "Kai"), &["x"; 9])).await.unwrap();
    assert_eq!(store.resume_index().await.unwrap(), Sequence::START);
    let first = vec![
        task(1, "t1", "paint the fence"),
        task(2, "t2", "paint the door"),
        message(3, "main", "t1", "paint"),
    ];
    assert!(store.write_index(Sequence::START, first, Sequence(3)).await.unwrap());
    assert!(
        store.write_index(Sequence(3), vec![task(5, "t1", "mend the fence")], Sequence(6)).await.unwrap()
    );
    let tenant = TenantId::default();
    let query = |text: &str| WordQuery::parse(text).within([SearchScope::Tenant(&tenant)]);
    for (text, want) in [
        ("paint", vec![3, 2]),
        ("fence", vec![5]),
        ("mend", vec![5]),
        ("the", vec![5, 2]),
        ("\"the fence\"", vec![5]),
        ("\"fence the\"", vec![]),
    ] {
        assert_eq!(found(store, query(text), None, 10).await, want, "{text}");
    }
    assert_eq!(found(store, query("the"), Some(5), 10).await, [2]);
    assert_eq!(found(store, query("the"), None, 1).await, [5]);
    let kinds =
        query("paint").within([SearchScope::Kind(DocumentKind::Task), SearchScope::Kind(DocumentKind::Room)]);
    assert_eq!(found(store, kinds, None, 10).await, [2]);
    assert_eq!(found(store, query("paint").within([]), None, 10).await, Vec::<u64>::new());
    opened.close();
}

/// The texts of the model, and the words that they are made of.
const VOCABULARY: [&str; 12] =
    ["tea", "teapot", "Zoë", "zoe", "a.b", "会議", "中会", "1", "100%", "naïve-tea", "\"quoted\"", "it's"];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&VOCABULARY), 0..8).prop_map(|words| words.join(" "))
}

fn query_text() -> impl Strategy<Value = String> {
    prop_oneof![
        text(),
        text().prop_map(|text| format!("\"{text}\"")),
        any::<String>(),
        "[ \"*():^&|!<>'+a-c\\-]{0,12}",
    ]
}

/// Whether a text has what a query asks for, by comparing word by word.
fn has(text: &str, query: &WordQuery) -> bool {
    let text: Vec<String> = words(text).map(|word| word.text).collect();
    !query.phrases.is_empty()
        && query.phrases.iter().all(|phrase| {
            let (last, before) = phrase.words.split_last().unwrap();
            text.windows(phrase.words.len()).any(|window| {
                let (end, begin) = window.split_last().unwrap();
                begin == before && (end == last || phrase.is_prefix && end.starts_with(last.as_str()))
            })
        })
}

/// Both databases find what a comparison of words finds, in whatever is asked for, and nothing of other rooms.
#[test]
fn search_finds_what_a_comparison_of_words_finds() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let test_store = TestStore::new();
    let opened = test_store.open();
    let texts: Vec<String> = {
        let mut runner = TestRunner::deterministic();
        (0..200).map(|_| text().new_tree(&mut runner).unwrap().current()).collect()
    };
    let rooms = ["main", "team/a", "team/b"];
    let room_of = |at: usize| rooms[at % rooms.len()];
    runtime.block_on(async {
        let store = &opened.store;
        store.submit(append_texts(&actor("main", "Kai"), &vec!["x"; texts.len()])).await.unwrap();
        assert_eq!(store.resume_index().await.unwrap(), Sequence::START);
        let documents =
            texts.iter().enumerate().map(|(at, text)| message(at as u64 + 1, room_of(at), "m", text));
        let head = Sequence(texts.len() as u64);
        assert!(store.write_index(Sequence::START, documents.collect(), head).await.unwrap());
    });
    let tenant = TenantId::default();
    let patterns = prop::sample::subsequence(vec!["main", "team/", "team/a", "nowhere"], 0..4);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(300) });
    let result = runner.run(&(query_text(), patterns), |(asked, patterns)| {
        let query = WordQuery::parse(&asked)
            .within([SearchScope::Tenant(&tenant)])
            .within(patterns.iter().map(|pattern| SearchScope::of_rooms(&tenant, pattern)));
        let is_in = |room: &str| {
            patterns
                .iter()
                .any(|pattern| room == *pattern || pattern.ends_with('/') && room.starts_with(pattern))
        };
        let want: BTreeSet<u64> = texts
            .iter()
            .enumerate()
            .filter(|(at, text)| is_in(room_of(*at)) && has(text, &query))
            .map(|(at, _)| at as u64 + 1)
            .collect();
        let got = runtime.block_on(found(&opened.store, query, None, 1_000));
        prop_assert_eq!(got.clone(), want.into_iter().rev().collect::<Vec<_>>(), "{}", asked);
        Ok::<(), TestCaseError>(())
    });
    result.unwrap();
    opened.close();
}
