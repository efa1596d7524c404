//! Commands of one commit batch see each other's writes, by key and in lists.

use agentcafe_domain::inbox::UnreadCount;
use agentcafe_domain::kernel::{
    ActorInRoom, CommandContext, CommandError, Comparison, Query, Record, RecordQuery, Sequence, Timestamp,
};
use agentcafe_domain::presence::{Presence, Status};
use agentcafe_store::{Envelope, Store};

use crate::commands::{actor, command, command_that_reads, done, reply, submit_batch};
use crate::test_store::{BEGIN, TestStore};

fn guest(number: usize) -> ActorInRoom {
    actor("main", &format!("guest-{number}"))
}

fn seat(number: usize) -> UnreadCount {
    let ActorInRoom { tenant_id, room_id, actor_id } = guest(number);
    UnreadCount { tenant_id, room_id, actor_id, unread: number as u64 }
}

fn puts_seat(number: usize, unread: u64) -> Envelope {
    command(move |ctx| {
        ctx.put(&UnreadCount { unread, ..seat(number) });
        reply(&())
    })
}

fn deletes_seat(number: usize) -> Envelope {
    command(move |ctx| {
        ctx.delete::<UnreadCount>(seat(number).key());
        reply(&())
    })
}

fn gets_seat(number: usize) -> Envelope {
    command_that_reads([Query::one::<UnreadCount>(seat(number).key())], move |ctx| {
        reply(&ctx.get::<UnreadCount>(seat(number).key())?.map(|seat| seat.unread))
    })
}

/// Each command sees what those before it in the batch wrote, and the store keeps the last.
#[tokio::test]
async fn get_sees_earlier_writes_of_the_commit_batch() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    opened.store.submit(puts_seat(1, 10)).await.unwrap();
    let batch = vec![
        gets_seat(1),
        puts_seat(1, 11),
        gets_seat(1),
        deletes_seat(1),
        gets_seat(1),
        puts_seat(1, 12),
        puts_seat(2, 20),
        gets_seat(2),
        deletes_seat(2),
        gets_seat(1),
    ];
    let answers = submit_batch(&test_store, &opened.store, batch).await;
    let seen = [0, 2, 4, 7, 9].map(|at| done::<Option<u64>>(&answers[at]));
    assert_eq!(seen, [Some(10), Some(11), None, Some(20), Some(12)]);
    assert_eq!(opened.store.get::<UnreadCount>(seat(1).key()).await.unwrap().unwrap().unread, 12);
    assert_eq!(opened.store.get::<UnreadCount>(seat(2).key()).await.unwrap(), None);
    opened.close();
}

fn adds_one(number: usize) -> Envelope {
    command(move |ctx| {
        let unread = ctx.get::<UnreadCount>(seat(number).key())?.map_or(0, |seat| seat.unread) + 1;
        ctx.put(&UnreadCount { unread, ..seat(number) });
        // A command sees its own writes, too.
        reply(&ctx.get::<UnreadCount>(seat(number).key())?.map(|seat| seat.unread))
    })
}

/// A read and a write of one command are one step, in a commit batch and across batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn read_modify_write_never_loses_an_update() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let answers = submit_batch(&test_store, &opened.store, (0..100).map(|_| adds_one(1)).collect()).await;
    let counts: Vec<u64> = answers.iter().map(|answer| done::<Option<u64>>(answer).unwrap()).collect();
    assert_eq!(counts, (1..=100).collect::<Vec<_>>());
    let adding: Vec<_> = (0..400)
        .map(|_| {
            let store = std::sync::Arc::clone(&opened.store);
            tokio::spawn(async move { done::<Option<u64>>(&store.submit(adds_one(1)).await).unwrap() })
        })
        .collect();
    let mut counts = Vec::new();
    for added in adding {
        counts.push(added.await.unwrap());
    }
    counts.sort_unstable();
    assert_eq!(counts, (101..=500).collect::<Vec<_>>());
    opened.close();
}

fn presence(number: usize, until: i64) -> Presence {
    let ActorInRoom { tenant_id, room_id, actor_id } = guest(number);
    Presence {
        tenant_id,
        room_id,
        actor_id,
        status: Status::Idle,
        last_heartbeat_at: BEGIN,
        ttl_ms: until,
        expires_at: BEGIN.plus_ms(until),
        is_active: true,
        created_at: BEGIN,
        updated_at: BEGIN,
    }
}

fn puts_presence(presence: Presence) -> Envelope {
    command(move |ctx| {
        ctx.put(&presence);
        reply(&())
    })
}

fn due(limit: usize, at: Timestamp) -> RecordQuery {
    RecordQuery::all::<Presence>("active_until", limit).only("active_until", Comparison::AtMost, at)
}

fn names(ctx: &CommandContext<'_>, find: RecordQuery) -> Result<Vec<String>, CommandError> {
    Ok(ctx.find::<Presence>(find)?.iter().map(|presence| presence.actor_id.to_string()).collect())
}

fn finds_due(limit: usize) -> Envelope {
    let due = due(limit, BEGIN.plus_ms(100));
    command_that_reads([Query::Many(due.clone())], move |ctx| reply(&names(ctx, due.clone())?))
}

async fn given(store: &Store, present: impl IntoIterator<Item = Presence>) {
    for presence in present {
        store.submit(puts_presence(presence)).await.unwrap();
    }
}

/// A query within a commit batch is merged with what the batch has written, by the same conditions and
/// order.
#[tokio::test]
async fn find_sees_earlier_writes_of_the_commit_batch() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    given(&opened.store, [presence(1, 10), presence(2, 20), presence(3, 30), presence(4, 500)]).await;
    let batch = vec![
        puts_presence(presence(2, 600)),
        puts_presence(presence(4, 15)),
        puts_presence(Presence { is_active: false, ..presence(3, 30) }),
        puts_presence(presence(5, 5)),
        command(|ctx| {
            ctx.delete::<Presence>(guest(1).key());
            reply(&())
        }),
        finds_due(10),
        command(|ctx| {
            let before = names(ctx, due(10, BEGIN.plus_ms(100)))?;
            ctx.put(&presence(6, 1));
            reply(&(before, names(ctx, due(10, BEGIN.plus_ms(100)))?))
        }),
    ];
    let answers = submit_batch(&test_store, &opened.store, batch).await;
    assert_eq!(done::<Vec<String>>(&answers[5]), ["guest-5", "guest-4"]);
    let (before, after) = done::<(Vec<String>, Vec<String>)>(&answers[6]);
    assert_eq!((before.len(), after), (2, ["guest-6", "guest-5", "guest-4"].map(str::to_owned).to_vec()));
    let stored: Vec<Presence> = opened.store.find(due(10, BEGIN.plus_ms(100))).await.unwrap();
    assert_eq!(stored.len(), 3);
    assert_eq!(opened.store.recent_events().head(), Sequence::START);
    opened.close();
}

/// `CommandContext::find` returns as many records as the limit allows, also when an earlier command of the
/// batch removed some of those that the database found.
#[tokio::test]
async fn find_with_a_limit_replaces_records_removed_in_the_commit_batch() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    given(&opened.store, (1..=4).map(|number| presence(number, number as i64))).await;
    let batch = vec![puts_presence(presence(1, 900)), finds_due(2)];
    let answers = submit_batch(&test_store, &opened.store, batch).await;
    assert_eq!(done::<Vec<String>>(&answers[1]), ["guest-2", "guest-3"]);
    opened.close();
}
