//! Keeps the index of messages and words up to date: a durable follower of the log whose cursor is in the index, written together
//! with the documents.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{Key, Record, Sequence};
use agentcafe_domain::objects::SharedObject;
use agentcafe_domain::rooms::Room;
use agentcafe_domain::search::{self, Change, Document, INDEXED_TYPES, RecordId, Searchable};
use agentcafe_domain::tasks::Task;
use agentcafe_eventlog::{EventFilter, EventPage, Follower, LoggedEvent, MessageBodies, ReadError};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::followers::Progress;
use crate::lease::{LeaseGuard, while_held};

/// The name of the follower, and of its lease.
pub const FOLLOWER: &str = "search_index";
/// The most events in a batch, and the most bytes of their JSON.
const MAX_BATCH_EVENTS: usize = 1_000;
const MAX_BATCH_BYTES: usize = 1 << 20;
/// How long events are collected for a batch.
const COLLECT: Duration = Duration::from_millis(100);
/// The longest pause between two batches of a backlog.
const MAX_PAUSE: Duration = Duration::from_millis(200);
/// After how many events that change no document the cursor is stored.
const MAX_UNSTORED: u64 = 1_000;
/// The pause after a failure.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Keeps the index up to date, on one node at a time, until the engine stops.
pub async fn run(engine: Arc<Engine>) {
    let index = |lease: LeaseGuard| index(Arc::clone(&engine), lease.ending);
    while_held(Arc::clone(&engine), FOLLOWER, index).await;
}

async fn index(engine: Arc<Engine>, ending: CancellationToken) {
    let progress = Progress::without_cursor(&engine, FOLLOWER, &ending);
    let indexer = Indexer { engine, progress, ending };
    while !indexer.ending.is_cancelled() {
        if let Err(error) = indexer.resume().await {
            indexer.progress.begin();
            indexer.progress.fail(&error);
            indexer.pause(RETRY_AFTER).await;
        }
    }
}

struct Indexer {
    engine: Arc<Engine>,
    progress: Progress,
    ending: CancellationToken,
}

impl Indexer {
    /// Indexes events from the cursor of the index on, until the lease ends or the index must be opened again.
    async fn resume(&self) -> Result<(), String> {
        let store = &self.engine.store;
        let mut stored = store.resume_index().await.map_err(|error| error.to_string())?;
        self.progress.continue_at(stored);
        let filter = EventFilter { types: Some(INDEXED_TYPES.into()), ..EventFilter::default() };
        let bodies = Some(Arc::clone(store) as Arc<dyn MessageBodies>);
        let mut follower = Follower::new(Arc::clone(store), filter, stored).with_bodies(bodies);
        while self.wait_for_more(&mut follower).await {
            let began = self.engine.clock.stopwatch();
            let page = self.read(&mut follower).await?;
            let (is_cut, reached) = (page.cut.is_some(), follower.scanned_to());
            let documents = self.documents(page.events).await.map_err(|error| error.to_string())?;
            if !documents.is_empty() || reached.0 - stored.0 >= MAX_UNSTORED {
                let written = store.write_index(stored, documents, reached).await;
                if !written.map_err(|error| error.to_string())? {
                    return Ok(());
                }
                stored = reached;
            }
            self.progress.reach(reached);
            // Events are collected for a batch; and half of the time is left to others.
            let took = self.engine.clock.stopwatch().saturating_sub(began);
            self.pause(if is_cut { took.min(MAX_PAUSE) } else { COLLECT }).await;
        }
        Ok(())
    }

    /// Waits for an event. False if the lease has ended, or the index must be opened again.
    async fn wait_for_more(&self, follower: &mut Follower) -> bool {
        let waiting = tokio::select! {
            () = self.ending.cancelled() => false,
            () = self.engine.store.index_lost() => false,
            () = follower.wait_for_more() => true,
        };
        if waiting {
            self.progress.begin();
        }
        waiting
    }

    async fn pause(&self, pause: Duration) {
        self.ending.run_until_cancelled(sleep(pause)).await;
    }

    /// The next events. Damaged ones are in no index.
    async fn read(&self, follower: &mut Follower) -> Result<EventPage, String> {
        match follower.read_within(MAX_BATCH_EVENTS, MAX_BATCH_BYTES).await {
            Err(ReadError::DamagedEvents(damaged)) => {
                tracing::error!(%damaged, "these events are not indexed");
                Ok(EventPage::empty(damaged.to))
            }
            page => page.map_err(|error| error.to_string()),
        }
    }

    /// The documents that events changed.
    async fn documents(&self, events: Vec<LoggedEvent>) -> Result<Vec<Document>, ReadError> {
        let parse = move || {
            let change =
                |event: &LoggedEvent| Some((event.sequence, search::change(event.kind, &event.json)?));
            events.iter().filter_map(change).collect::<Vec<_>>()
        };
        let changes = tokio::task::spawn_blocking(parse).await.map_err(|_| ReadError::Unavailable)?;
        let (mut documents, mut records) = (Vec::with_capacity(changes.len()), HashMap::new());
        for (sequence, change) in changes {
            match change {
                Change::Message(document) => documents.push(document),
                Change::Record(record) => drop(records.insert(record, sequence)),
            }
        }
        let (mut rooms, mut tasks, mut objects) = (Vec::new(), Vec::new(), Vec::new());
        for (record, sequence) in records {
            match record {
                RecordId::Room(tenant, room) => {
                    rooms.push((vec![(&tenant).into(), (&room).into()], sequence))
                }
                RecordId::Task(task) => tasks.push((Task::key_of(task), sequence)),
                RecordId::Object(object) => objects.push((SharedObject::key_of(object), sequence)),
            }
        }
        documents.extend(self.records::<Room>(rooms).await?);
        documents.extend(self.records::<Task>(tasks).await?);
        documents.extend(self.records::<SharedObject>(objects).await?);
        documents.sort_by_key(|document| document.entry.sequence);
        Ok(documents)
    }

    /// The documents of records as they are now. A later change has an event of its own.
    async fn records<R: Record + Searchable>(
        &self,
        changed: Vec<(Key, Sequence)>,
    ) -> Result<Vec<Document>, ReadError> {
        if changed.is_empty() {
            return Ok(Vec::new());
        }
        let (keys, sequences): (Vec<_>, Vec<_>) = changed.into_iter().unzip();
        let records = self.engine.store.get_all::<R>(keys).await?;
        let documents = records.iter().zip(sequences);
        Ok(documents.filter_map(|(record, sequence)| Some(record.as_ref()?.document(sequence))).collect())
    }
}
