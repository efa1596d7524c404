//! A store in a directory of its own, and people who say things in it.

use std::sync::Arc;

use agentcafe_domain::kernel::{
    actor::ActorInRoom,
    command::{Command, CommandContext, CommandError, Reply, Success},
    event::{EventType, Payload},
    ids::{ActorId, CorrelationId, RoomId, Sequence, TenantId},
    record::Query,
    rules::Rules,
};
use agentcafe_engine::clock::{RandomIds, SystemClock};
use agentcafe_store::{
    Answer, Envelope, EventFilter, EventQuery, LoggedEvent, Options, Store, store::Closing,
};
use serde::Serialize;
use tempfile::TempDir;

/// An event that says a text and may mention somebody.
#[derive(Serialize)]
struct Note<'n> {
    text: &'n str,
    #[serde(skip)]
    mentioned: Option<ActorId>,
}

impl Payload for Note<'_> {
    const TYPE: EventType = EventType::BubblePosted;

    fn mentioned(&self) -> Option<&ActorId> {
        self.mentioned.as_ref()
    }
}

/// Another type of event.
#[derive(Serialize)]
struct Order;

impl Payload for Order {
    const TYPE: EventType = EventType::OrderChanged;
}

/// Somebody says a text; every third number of letters also orders something, every fifth mentions Kai.
struct Says {
    actor: ActorInRoom,
    text: String,
}

impl Command for Says {
    fn reads(&self) -> Vec<Query> {
        Vec::new()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let mentioned = self.text.len().is_multiple_of(5).then(|| ActorId::parse("Kai").unwrap());
        let mut event = ctx.append(&self.actor, &Note { text: &self.text, mentioned }, None)?;
        if self.text.len().is_multiple_of(3) {
            event = ctx.append(&self.actor, &Order, None)?;
        }
        Ok(Reply::new(Success::Ok, &event.sequence))
    }
}

/// An open café.
pub(crate) struct Cafe {
    pub(crate) store: Arc<Store>,
    closing: Closing,
    directory: TempDir,
}

impl Cafe {
    /// A new one.
    pub(crate) fn open() -> Self {
        Self::open_in(TempDir::new().unwrap())
    }

    fn open_in(directory: TempDir) -> Self {
        let (store, closing) = Store::open(Options {
            location: agentcafe_store::StoreLocation::Directory(directory.path().to_owned()),
            rules: Rules::default(),
            clock: Arc::new(SystemClock::start()),
            ids: Box::new(RandomIds::new()),
            on_commit: Box::new(|_| ()),
        })
        .unwrap();
        Self { store, closing, directory }
    }

    /// Closes it and opens it again: memory is empty, the log is not.
    pub(crate) fn reopen(self) -> Self {
        assert!(Arc::into_inner(self.store).is_some(), "somebody still holds the store");
        self.closing.wait();
        Self::open_in(self.directory)
    }
}

/// Says something, and tells the place of the last event of it.
pub(crate) async fn say(store: &Store, room: &str, name: &str, text: String) -> Sequence {
    let actor = ActorInRoom {
        tenant_id: TenantId::default(),
        room_id: RoomId::parse(room).unwrap(),
        actor_id: ActorId::parse(name).unwrap(),
    };
    let correlation_id = CorrelationId::parse("test").unwrap();
    let envelope =
        Envelope { command: Arc::new(Says { actor, text }), correlation_id, request: None, outcome: None };
    match store.submit(envelope).await.unwrap() {
        Answer::Done(reply) | Answer::Replayed { reply, .. } => serde_json::from_slice(&reply.data).unwrap(),
    }
}

/// Everything that matches and comes after a place, read from the database.
pub(crate) async fn logged(store: &Store, filter: &EventFilter, after: Sequence) -> Vec<LoggedEvent> {
    let before = Some(store.recent_events().head().next());
    let whole = EventQuery::after(filter.clone(), after, 1_000_000);
    let query = EventQuery { before, max_bytes: usize::MAX, ..whole };
    store.events(query).await.unwrap().events
}

/// Filters of every kind: those that are woken by their room, and those that are woken by everything.
pub(crate) fn filters() -> Vec<EventFilter> {
    let tenant = Some(TenantId::default());
    let room = |name| Some(RoomId::parse(name).unwrap());
    let person = |name| Some(ActorId::parse(name).unwrap());
    let all = EventFilter::default;
    vec![
        all(),
        EventFilter { tenant: tenant.clone(), ..all() },
        EventFilter { tenant: tenant.clone(), room: room("room-1"), ..all() },
        EventFilter { tenant: tenant.clone(), room: room("room-2"), actor: person("actor-1"), ..all() },
        EventFilter { room: room("room-1"), ..all() },
        EventFilter { actor: person("actor-2"), ..all() },
        EventFilter { mentioned: person("Kai"), ..all() },
        EventFilter { tenant, room: room("room-0"), types: Some(vec![EventType::OrderChanged]), ..all() },
        EventFilter { types: Some(vec![EventType::OrderChanged, EventType::AgentLeft]), ..all() },
    ]
}
