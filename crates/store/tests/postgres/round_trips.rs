//! A commit batch takes as many round trips with one command as with many.

use agentcafe_domain::conversation::Say;
use agentcafe_domain::kernel::Fields;
use agentcafe_store::{Envelope, Failure};
use serde_json::json;

use crate::commands::{actor, envelope, submit_batch, with_key};
use crate::test_store::TestStore;

/// The actors of these tests.
const SPEAKERS: usize = 500;

/// A say with mentions of two others, in one of the rooms, with an idempotency key.
fn say(test_store: &TestStore, key: &str, number: usize) -> Envelope {
    let (room, speaker) = (format!("room-{}", number % 7), format!("speaker-{number}"));
    let [one, other] = [1, 2].map(|after| (number + after) % SPEAKERS);
    let text = format!("{number} for @speaker-{one} and @speaker-{other}");
    let body = json!({ "roomId": room, "actorId": speaker, "text": text });
    let fields = Fields::of_body(body.as_object().cloned().unwrap());
    let say = Say::read(&fields, &test_store.rules).unwrap();
    with_key(envelope(say), &actor(&room, &speaker), &format!("{key}-{number}"), &text)
}

/// A say as the API submits it, with its reads, events, records, inbox items, key and trace: 1 or 200 of
/// them by known actors in a commit batch, for the first time or again, take two round trips: one begins and reads, one
/// writes and commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commit_batch_takes_two_round_trips_for_any_number_of_commands() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    // The first command of an actor in a room reads more, and a connection prepares a statement at its first use.
    for numbers in [0..200, 200..400, 400..SPEAKERS, 499..500] {
        let first = numbers.map(|number| say(&test_store, "first", number)).collect();
        submit_batch(&test_store, &opened.store, first).await;
    }
    test_store.clock.advance(1_000);
    let mut next = 0;
    for count in [1, 20, 200, 1, 200] {
        let envelopes: Vec<Envelope> =
            (next..next + count).map(|number| say(&test_store, "key", number)).collect();
        // Half of the next keys are replays of these.
        next += count.div_ceil(2);
        let answers = submit_batch(&test_store, &opened.store, envelopes).await;
        assert!(answers.iter().all(|answer| !matches!(answer, Err(Failure::Internal(_)))), "{answers:?}");
        let batch =
            test_store.batches().into_iter().rfind(|batch| batch.commands == count && batch.events > 0);
        let batch = batch.expect("a batch that wrote");
        assert!(batch.committed && batch.events >= count / 2, "{batch:?}");
        assert_eq!(batch.round_trips, 2, "{count} commands");
    }
    opened.close();
}
