//! Commands of the domain in one commit batch: presence that expires beside a say, acknowledgements beside
//! mentions.

use agentcafe_domain::conversation::{Say, mentions_in};
use agentcafe_domain::inbox::{AckInboxItems, InboxItem, UnreadCount, unread_counts};
use agentcafe_domain::kernel::{Clock, CommandContext, EventType, Fields, RecordQuery, Sequence};
use agentcafe_domain::presence::{ExpirePresence, Presence, PresenceRules, Status};
use agentcafe_store::{Envelope, Store};
use serde_json::{Value, json};

use crate::commands::{Decided, actor, command, done, envelope, reply, submit_batch};
use crate::commit_batches::whole_log;
use crate::test_store::TestStore;

fn fields(body: Value) -> Fields {
    Fields::of_body(body.as_object().cloned().unwrap())
}

fn say(test_store: &TestStore, speaker: &str, text: &str) -> Envelope {
    let mentions: Vec<String> = mentions_in(text).iter().map(ToString::to_string).collect();
    let body = json!({ "actorId": speaker, "roomId": "main", "text": text, "mentions": mentions });
    envelope(Say::read(&fields(body), &test_store.rules).unwrap())
}

fn ack_all(owner: &str) -> Envelope {
    envelope(AckInboxItems::read(&fields(json!({ "actorId": owner, "upToCursor": 1_000 }))).unwrap())
}

async fn presence_of(store: &Store, name: &str) -> Presence {
    store.get(actor("main", name).key()).await.unwrap().unwrap()
}

fn accepted(decided: &Decided) -> Value {
    done(decided)
}

/// An actor that speaks in the commit batch in which its presence expires is present, whichever command
/// comes first.
#[tokio::test]
async fn presence_is_active_when_a_say_shares_the_batch_with_its_expiry() {
    for expire_first in [true, false] {
        let test_store = TestStore::new();
        let opened = test_store.open();
        opened.store.submit(say(&test_store, "Nova", "one")).await.unwrap();
        opened.store.submit(say(&test_store, "Kai", "one")).await.unwrap();
        test_store.clock.advance(test_store.rules.get::<PresenceRules>().default_ttl_ms);
        let expire = envelope(ExpirePresence { now: test_store.clock.now() });
        let two = say(&test_store, "Nova", "two");
        let batch = if expire_first { vec![expire, two] } else { vec![two, expire] };
        let answers = submit_batch(&test_store, &opened.store, batch).await;
        let expired: usize = done(&answers[usize::from(!expire_first)]);
        assert_eq!(expired, if expire_first { 2 } else { 1 }, "expire first: {expire_first}");
        let nova = presence_of(&opened.store, "Nova").await;
        assert_eq!((nova.status, nova.is_active), (Status::Busy, true));
        assert_eq!(
            nova.expires_at,
            test_store.clock.now().plus_ms(test_store.rules.get::<PresenceRules>().default_ttl_ms)
        );
        let kai = presence_of(&opened.store, "Kai").await;
        assert_eq!((kai.status, kai.is_active), (Status::Inactive, false));
        let changes: Vec<_> = whole_log(&opened.store)
            .await
            .into_iter()
            .filter(|event| event.kind == EventType::StatusChanged)
            .map(|event| (event.actor_id.to_string(), event.payload["to"].as_str().unwrap().to_owned()))
            .collect();
        let nova_changes = changes.iter().filter(|(name, _)| name == "Nova").count();
        assert_eq!(nova_changes, if expire_first { 2 } else { 0 }, "{changes:?}");
        assert_eq!(changes.len() - nova_changes, 1, "{changes:?}");
        opened.close();
    }
}

async fn unread(store: &Store, owner: &str) -> (u64, usize) {
    let owner = actor("main", owner);
    let counts: Vec<UnreadCount> =
        store.find(unread_counts(&owner.tenant_id, None, Some(&owner.actor_id))).await.unwrap();
    let items =
        RecordQuery::all::<InboxItem>("inbox_seq", 100).is("actor_id", &owner.actor_id).is("acked", false);
    let items: Vec<InboxItem> = store.find(items).await.unwrap();
    (counts.iter().map(|count| count.unread).sum(), items.len())
}

/// In every order of mentions and acknowledgements within a commit batch.
#[tokio::test]
async fn unread_count_matches_the_unread_inbox_items() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    // An actor's first command loads more, and is decided after others of its batch.
    submit_batch(&test_store, &opened.store, vec![say(&test_store, "Nova", "hello")]).await;
    let say_to_kai = || say(&test_store, "Nova", "hey @Kai");
    let answers =
        submit_batch(&test_store, &opened.store, vec![say_to_kai(), say_to_kai(), ack_all("Kai")]).await;
    assert_eq!(accepted(&answers[2])["ackedCount"], 2);
    assert_eq!(accepted(&answers[2])["unreadCount"], 0);
    assert_eq!(unread(&opened.store, "Kai").await, (0, 0));
    let batch = vec![say_to_kai(), ack_all("Kai"), say_to_kai(), ack_all("Kai"), say_to_kai()];
    let answers = submit_batch(&test_store, &opened.store, batch).await;
    assert_eq!(accepted(&answers[1])["ackedCount"], 1);
    assert_eq!(accepted(&answers[3])["ackedCount"], 1);
    assert_eq!(unread(&opened.store, "Kai").await, (1, 1));
    let newest_first = RecordQuery::all::<InboxItem>("inbox_seq", 100).newest_first();
    let items: Vec<InboxItem> = opened.store.find(newest_first).await.unwrap();
    let sequences: Vec<u64> = items.iter().map(|item| item.inbox_seq.0).collect();
    assert_eq!(sequences, [5, 4, 3, 2, 1], "inbox sequences have no gaps");
    opened.close();
}

/// Events, records and inbox items of a command are committed together or not at all.
#[tokio::test]
async fn effects_of_a_command_are_committed_together() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let append_texts = say(&test_store, "Nova", "hey @Kai and @Mira");
    let looks = command(|ctx: &mut CommandContext<'_>| {
        let items: Vec<InboxItem> = ctx.find(RecordQuery::all::<InboxItem>("inbox_seq", 10))?;
        reply(&items.iter().map(|item| (item.actor_id.to_string(), item.inbox_seq)).collect::<Vec<_>>())
    });
    let answers = submit_batch(&test_store, &opened.store, vec![append_texts, looks]).await;
    let seen: Vec<(String, Sequence)> = done(&answers[1]);
    assert_eq!(seen, [("Kai".to_owned(), Sequence(1)), ("Mira".to_owned(), Sequence(2))]);
    let kinds: Vec<EventType> = whole_log(&opened.store).await.iter().map(|event| event.kind).collect();
    let mention = EventType::MentionCreated;
    assert_eq!(kinds, [EventType::ConversationMessagePosted, mention, mention, EventType::PresenceHeartbeat]);
    assert_eq!(unread(&opened.store, "Mira").await, (1, 1));
    opened.close();
}
