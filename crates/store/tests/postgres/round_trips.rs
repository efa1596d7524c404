//! A turn waits for its database as often with one command as with many.

use agentcafe_domain::{conversation::Say, kernel::fields::Fields};
use agentcafe_store::{Envelope, Failure};
use serde_json::json;

use crate::{
    commands::{actor, envelope, keyed, together},
    place::StoreLocation,
};

/// Somebody says something to two others, in one of the rooms, under a key.
fn say(place: &StoreLocation, number: usize) -> Envelope {
    let (room, speaker) = (format!("room-{}", number % 7), format!("speaker-{number}"));
    let text = format!("{number} for @listener-{} and @Kai", number % 50);
    let body = json!({ "roomId": room, "actorId": speaker, "text": text });
    let fields = Fields::of_body(body.as_object().cloned().unwrap());
    let say = Say::read(&fields, &place.rules).unwrap();
    keyed(envelope(say), &actor(&room, &speaker), &format!("key-{number}"), &text)
}

/// The issue: "round trips per turn are constant". A say, as the API makes it, with what it reads, its events, its records, its
/// inbox items, its key and its trace: 1 or 200 of them in a turn, for the first time or again, take two round trips, one that
/// begins and reads and one that writes and commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_takes_as_many_round_trips_with_many_commands() {
    let place = StoreLocation::new();
    let opened = place.open();
    // Statements are prepared when a connection meets them first.
    let both: Vec<Envelope> = [0, 1, 0].map(|number| say(&place, number)).into();
    together(&place, &opened.store, both).await;
    let mut next = 2;
    for count in [1, 20, 200, 1, 200] {
        let envelopes: Vec<Envelope> = (next..next + count).map(|number| say(&place, number)).collect();
        // The next ones know the keys of half of these.
        next += count.div_ceil(2);
        let answers = together(&place, &opened.store, envelopes).await;
        assert!(answers.iter().all(|answer| !matches!(answer, Err(Failure::Internal(_)))), "{answers:?}");
        let batch = place.batches().into_iter().rfind(|batch| batch.commands == count && batch.events > 0);
        let batch = batch.expect("a turn that wrote");
        assert!(batch.committed && batch.events >= count / 2, "{batch:?}");
        assert_eq!(batch.round_trips, 2, "{count} commands");
    }
    opened.close();
}
