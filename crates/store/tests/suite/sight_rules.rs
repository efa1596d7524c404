//! The café's own commands in one turn: presence that runs out beside a say, acknowledgements beside mentions.

use agentcafe_domain::{
    conversation::Say,
    inbox::{AckInboxItems, InboxItem, UnreadCount, unread_counts},
    kernel::{
        command::CommandContext, event::EventType, fields::Fields, ids::Sequence, record::RecordQuery,
        time::Clock,
    },
    presence::{ExpirePresence, Presence, PresenceRules, Status},
};
use agentcafe_store::{Envelope, Store};
use serde_json::{Value, json};

use crate::{
    batches::whole_log,
    commands::{Decided, actor, does, done, envelope, reply, together},
    place::StoreLocation,
};

fn fields(body: Value) -> Fields {
    Fields::of_body(body.as_object().cloned().unwrap())
}

fn say(place: &StoreLocation, speaker: &str, text: &str) -> Envelope {
    let body = json!({ "actorId": speaker, "roomId": "main", "text": text });
    envelope(Say::read(&fields(body), &place.rules).unwrap())
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

/// RULINGS G5: whoever speaks in the turn in which its presence runs out is there, whichever comes first.
#[tokio::test]
async fn who_speaks_while_its_presence_runs_out_is_there() {
    for expire_first in [true, false] {
        let place = StoreLocation::new();
        let opened = place.open();
        opened.store.submit(say(&place, "Nova", "one")).await.unwrap();
        opened.store.submit(say(&place, "Kai", "one")).await.unwrap();
        place.clock.advance(place.rules.get::<PresenceRules>().default_ttl_ms);
        let expire = envelope(ExpirePresence { now: place.clock.now() });
        let two = say(&place, "Nova", "two");
        let batch = if expire_first { vec![expire, two] } else { vec![two, expire] };
        let answers = together(&place, &opened.store, batch).await;
        let expired: usize = done(&answers[usize::from(!expire_first)]);
        assert_eq!(expired, if expire_first { 2 } else { 1 }, "expire first: {expire_first}");
        let nova = presence_of(&opened.store, "Nova").await;
        assert_eq!((nova.status, nova.is_active), (Status::Busy, true));
        assert_eq!(
            nova.expires_at,
            place.clock.now().plus_ms(place.rules.get::<PresenceRules>().default_ttl_ms)
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

/// DESIGN 2, RULINGS F5: what is counted as unread is what is unread, in every order of mentions and acks in a turn.
#[tokio::test]
async fn the_unread_count_is_what_is_unread() {
    let place = StoreLocation::new();
    let opened = place.open();
    let say_to_kai = || say(&place, "Nova", "hey @Kai");
    let answers = together(&place, &opened.store, vec![say_to_kai(), say_to_kai(), ack_all("Kai")]).await;
    assert_eq!(accepted(&answers[2])["ackedCount"], 2);
    assert_eq!(accepted(&answers[2])["unreadCount"], 0);
    assert_eq!(unread(&opened.store, "Kai").await, (0, 0));
    let batch = vec![say_to_kai(), ack_all("Kai"), say_to_kai(), ack_all("Kai"), say_to_kai()];
    let answers = together(&place, &opened.store, batch).await;
    assert_eq!(accepted(&answers[1])["ackedCount"], 1);
    assert_eq!(accepted(&answers[3])["ackedCount"], 1);
    assert_eq!(unread(&opened.store, "Kai").await, (1, 1));
    let newest_first = RecordQuery::all::<InboxItem>("inbox_seq", 100).newest_first();
    let items: Vec<InboxItem> = opened.store.find(newest_first).await.unwrap();
    let places: Vec<u64> = items.iter().map(|item| item.inbox_seq.0).collect();
    assert_eq!(places, [5, 4, 3, 2, 1], "inbox places have no gaps either");
    opened.close();
}

/// DESIGN 2, "all or nothing": a command's events, records and inbox items are there together or not at all.
#[tokio::test]
async fn a_commands_effects_come_together() {
    let place = StoreLocation::new();
    let opened = place.open();
    let says = say(&place, "Nova", "hey @Kai and @Mira");
    let looks = does(|ctx: &mut CommandContext<'_>| {
        let items: Vec<InboxItem> = ctx.find(RecordQuery::all::<InboxItem>("inbox_seq", 10))?;
        reply(&items.iter().map(|item| (item.actor_id.to_string(), item.inbox_seq)).collect::<Vec<_>>())
    });
    let answers = together(&place, &opened.store, vec![says, looks]).await;
    let seen: Vec<(String, Sequence)> = done(&answers[1]);
    assert_eq!(seen, [("Kai".to_owned(), Sequence(1)), ("Mira".to_owned(), Sequence(2))]);
    let kinds: Vec<EventType> = whole_log(&opened.store).await.iter().map(|event| event.kind).collect();
    let mention = EventType::MentionCreated;
    assert_eq!(kinds, [EventType::ConversationMessagePosted, mention, mention, EventType::PresenceHeartbeat]);
    assert_eq!(unread(&opened.store, "Mira").await, (1, 1));
    opened.close();
}
