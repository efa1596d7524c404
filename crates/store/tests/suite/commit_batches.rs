//! Commit batches: sequences without gaps in commit order, and commands that do not affect each other.

use std::sync::Arc;

use agentcafe_domain::kernel::{Code, DomainError, Event, Sequence};
use agentcafe_store::{EventFilter, EventQuery, Failure, Store};

use crate::commands::{Decided, NOTE_TYPES, actor, append_note, append_texts, command, done, submit_batch};
use crate::test_store::TestStore;

/// Every event of the log, parsed.
pub(crate) async fn whole_log(store: &Store) -> Vec<Event> {
    let (mut log, mut after) = (Vec::new(), Sequence::START);
    while after < store.recent_events().head() {
        let page = store.events(EventQuery::after(EventFilter::default(), after, 1_000)).await.unwrap();
        log.extend(page.events.iter().map(|event| serde_json::from_slice(&event.json).unwrap()));
        after = page.scanned_to;
    }
    log
}

/// The `text` of every event of the log.
pub(crate) async fn all_texts(store: &Store) -> Vec<String> {
    let text = |event: Event| event.payload["text"].as_str().unwrap().to_owned();
    whole_log(store).await.into_iter().map(text).collect()
}

/// A speaker's commands, one after the other, each with one to three events. Returns their texts by sequence.
async fn speak(store: Arc<Store>, speaker: usize) -> Vec<(Sequence, String)> {
    let nova = actor("main", &format!("speaker-{speaker}"));
    let mut said: Vec<(Sequence, String)> = Vec::new();
    for round in 0..10 {
        let texts: Vec<String> =
            (0..=(speaker + round) % 3).map(|at| format!("{speaker}/{round}/{at}")).collect();
        let words: Vec<&str> = texts.iter().map(String::as_str).collect();
        let sequences: Vec<Sequence> = done(&store.submit(append_texts(&nova, &words)).await);
        assert!(
            sequences.windows(2).all(|pair| pair[1] == pair[0].next()),
            "the events of a command are consecutive"
        );
        assert!(
            said.last().is_none_or(|(last, _)| *last < sequences[0]),
            "a later command got an earlier sequence"
        );
        assert!(
            store.recent_events().head() >= sequences[sequences.len() - 1],
            "an answered event can be read"
        );
        said.extend(sequences.into_iter().zip(texts));
    }
    said
}

/// Sequence order is commit order, without gaps, under hundreds of concurrent commands.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sequences_have_no_gaps_and_follow_the_commits() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let speakers: Vec<_> =
        (0..300).map(|speaker| tokio::spawn(speak(Arc::clone(&opened.store), speaker))).collect();
    let mut said = Vec::new();
    for speaker in speakers {
        said.extend(speaker.await.unwrap());
    }
    said.sort();
    let sequences: Vec<u64> = said.iter().map(|(sequence, _)| sequence.0).collect();
    assert!(sequences.iter().copied().eq(1..=said.len() as u64), "there are gaps");
    for (event, (sequence, text)) in whole_log(&opened.store).await.iter().zip(&said) {
        assert_eq!((event.sequence, event.payload["text"].as_str()), (*sequence, Some(text.as_str())));
    }
    assert_eq!(opened.store.recent_events().head(), Sequence(said.len() as u64));
    let batches = test_store.batches();
    assert!(batches.iter().all(|batch| batch.committed));
    assert!(batches.len() < 3_000, "{} batches for 3000 commands: nothing was grouped", batches.len());
    opened.close();
}

fn is_refused(decided: &Decided, code: Code) -> bool {
    matches!(decided, Err(Failure::Refused(error)) if error.code == code)
}

/// A refusal affects no other command of the batch, and leaves nothing behind.
#[tokio::test]
async fn refused_command_does_not_affect_its_commit_batch() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let nova = actor("main", "Nova");
    let late = nova.clone();
    let refuses_at_once = command(|_| Err(DomainError::new(Code::Forbidden).into()));
    let refuses_after_writing = command(move |ctx| {
        append_note(ctx, &late, NOTE_TYPES[0], "never", None)?;
        Err(DomainError::new(Code::Conflict).into())
    });
    let envelopes = vec![
        append_texts(&nova, &["a"]),
        refuses_at_once,
        append_texts(&nova, &["b", "c"]),
        refuses_after_writing,
        append_texts(&nova, &["d"]),
    ];
    let answers = submit_batch(&test_store, &opened.store, envelopes).await;
    assert_eq!(done::<Vec<u64>>(&answers[0]), [1]);
    assert!(is_refused(&answers[1], Code::Forbidden), "{:?}", answers[1]);
    assert_eq!(done::<Vec<u64>>(&answers[2]), [2, 3]);
    assert!(is_refused(&answers[3], Code::Conflict), "{:?}", answers[3]);
    assert_eq!(done::<Vec<u64>>(&answers[4]), [4]);
    assert_eq!(all_texts(&opened.store).await, ["a", "b", "c", "d"]);
    assert_eq!(opened.store.recent_events().head(), Sequence(4));
    opened.close();
}

/// A commit batch takes as many commands as it holds; the next ones take the rest, in order.
#[tokio::test]
async fn commit_batch_holds_a_limited_number_of_commands() {
    let test_store = TestStore::new();
    let opened = test_store.open();
    let nova = actor("main", "Nova");
    let paused = crate::commands::PausedWriter::pause(&opened.store).await;
    let texts: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
    let all = futures_util::future::join_all(
        texts.iter().map(|text| opened.store.submit(append_texts(&nova, &[text]))),
    );
    let (answers, ()) = tokio::join!(all, paused.resume());
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(all_texts(&opened.store).await, texts);
    let largest = test_store.batches().iter().map(|batch| batch.commands).max();
    assert!((2..1_000).contains(&largest.unwrap()), "the largest batch had {largest:?} commands");
    opened.close();
}
