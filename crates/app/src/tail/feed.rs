//! The event stream as `tail` shows it: events of any type, and notices when the connection changes.

use agentcafe_client::{
    AddressError, ApiClient, EventStream, Query, ReceivedEvent, RequestError, Start, StreamOptions,
    StreamUpdate,
};
use agentcafe_domain::kernel::{EventType, Sequence};
use anyhow::{anyhow, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::sanitize::sanitize;
use crate::cli::TailOptions;
use crate::config::{AGENTCAFE_TOKEN, AGENTCAFE_URL, Sources};

const TIMELINE: &str = "/v1/timeline";

/// The types that only show presence; they are hidden without `--all`.
const PRESENCE: [EventType; 2] = [EventType::StatusChanged, EventType::PresenceHeartbeat];

/// An event of any type, also of one that is unknown to this version.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    /// The tenant.
    pub(super) tenant_id: String,
    /// The room.
    pub(super) room_id: String,
    /// The actor.
    pub(super) actor_id: String,
    /// The type.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The time, in RFC 3339 and UTC.
    pub(super) timestamp: String,
    /// The payload of the type.
    pub(super) payload: Map<String, Value>,
}

impl Event {
    /// The payload as its type; none if it is not valid.
    pub(super) fn payload<P: DeserializeOwned>(&self) -> Option<P> {
        P::deserialize(Value::Object(self.payload.clone())).ok()
    }

    /// Whether it is shown without `--all`.
    pub(super) fn is_shown_by_default(&self) -> bool {
        !PRESENCE.iter().any(|kind| kind.as_str() == self.kind)
    }
}

/// The names of the types that are shown without `--all`.
fn default_types() -> impl Iterator<Item = &'static str> {
    EventType::ALL.iter().filter(|kind| !PRESENCE.contains(kind)).map(|kind| kind.as_str())
}

/// One update: notices about the connection, then events in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// About the connection.
    pub(super) notices: Vec<String>,
    /// The events.
    pub(super) events: Vec<Event>,
}

/// An endless stream of events and notices.
pub(super) struct Feed {
    stream: EventStream,
    scope: Query,
    all_types: bool,
    has_token: bool,
    /// How many events before the first connection are shown.
    last: u16,
    /// Whether the first connection was made. Until then, every failure is final.
    was_connected: bool,
    /// Whether the notice that the connection is lost was shown.
    is_lost: bool,
}

impl Feed {
    /// A stream of the server in the options or the settings.
    ///
    /// # Errors
    /// When the address or the token cannot be used.
    pub(super) fn new(options: &TailOptions, sources: &Sources) -> anyhow::Result<Self> {
        let url = match &options.url {
            Some(url) => url.clone(),
            None => sources.value(&AGENTCAFE_URL)?.into(),
        };
        let token = sources.optional(&AGENTCAFE_TOKEN)?;
        let api = ApiClient::new(&url, token.as_deref()).map_err(|error| match error {
            AddressError::InvalidUrl => {
                anyhow!(
                    "the server's address (--url) must look like http://host:port, not {:?}",
                    sanitize(&url)
                )
            }
            AddressError::Token => anyhow!("AGENTCAFE_TOKEN cannot be sent"),
            other => anyhow!(other),
        })?;
        let scope = [("tenantId", &options.tenant), ("roomId", &options.room)];
        let scope: Query = scope.into_iter().filter_map(|(name, id)| Some((name, id.clone()?))).collect();
        let start = options.since.map_or(Start::Latest, |since| Start::After(Sequence(since)));
        let stream_options =
            StreamOptions { scope: scope.clone(), restart: Start::Latest, ..StreamOptions::all(start) };
        let last = if options.since.is_some() { 0 } else { options.last };
        let stream = EventStream::new(api, stream_options);
        let (all_types, has_token) = (options.all, token.is_some());
        Ok(Self { stream, scope, all_types, has_token, last, was_connected: false, is_lost: false })
    }

    /// Waits for the next batch, which is not empty.
    ///
    /// # Errors
    /// When the first attempt to connect fails, or the server rejects the request.
    pub(super) async fn next(&mut self) -> anyhow::Result<Batch> {
        loop {
            let mut batch = Batch::default();
            match self.stream.next().await {
                StreamUpdate::Events(events) => batch.add(&events),
                StreamUpdate::ScannedTo(_) => {}
                StreamUpdate::Connected { after, .. } => self.connected(after, &mut batch).await?,
                StreamUpdate::Gap { from, to, is_damaged } => {
                    let why = if is_damaged { ", which are damaged" } else { "" };
                    batch.notices.push(format!("the server skipped the events after {from} up to {to}{why}"))
                }
                StreamUpdate::LogReplaced { .. } => batch
                    .notices
                    .push("the server has another log than before; starting at its newest event".to_owned()),
                StreamUpdate::Disconnected(error) => self.disconnected(error, &mut batch)?,
            }
            if !batch.events.is_empty() || !batch.notices.is_empty() {
                return Ok(batch);
            }
        }
    }

    /// The first connection shows the last events before it; a later one shows a notice.
    async fn connected(&mut self, after: Sequence, batch: &mut Batch) -> anyhow::Result<()> {
        if !self.was_connected && self.last > 0 {
            match self.last_events(after).await {
                Ok(events) if events.is_empty() => {
                    batch.notices.push("nothing has happened here yet".to_owned());
                }
                Ok(events) => batch.events = events,
                Err(error) => return self.disconnected(error, batch),
            }
        }
        self.was_connected = true;
        if std::mem::take(&mut self.is_lost) {
            batch.notices.push("connected again".to_owned());
        }
        Ok(())
    }

    /// The last events up to a sequence, oldest first.
    async fn last_events(&mut self, up_to: Sequence) -> Result<Vec<Event>, RequestError> {
        let mut query = self.scope.clone();
        query.extend([
            ("order", "desc".to_owned()),
            ("cursor", up_to.next().to_string()),
            ("limit", self.last.to_string()),
        ]);
        if !self.all_types {
            query.push(("types", default_types().collect::<Vec<_>>().join(",")));
        }
        let mut body = self.stream.api().get_json(TIMELINE, &query).await?;
        let events = serde_json::from_value::<Vec<Event>>(body["data"]["events"].take());
        let mut events = events.map_err(|error| RequestError::Rejected(format!("{TIMELINE}: {error}")))?;
        events.reverse();
        Ok(events)
    }

    /// Adds a notice, once, that the connection is lost. The stream reconnects after a delay.
    fn disconnected(&mut self, error: RequestError, batch: &mut Batch) -> anyhow::Result<()> {
        let server = self.stream.api().address();
        let why = sanitize(&error.to_string()).into_owned();
        match error {
            RequestError::Unauthorized if self.has_token => {
                bail!("{server} does not accept the token in AGENTCAFE_TOKEN")
            }
            RequestError::Unauthorized => {
                bail!("{server} wants a token: set AGENTCAFE_TOKEN to what the server has as API_AUTH_TOKEN")
            }
            RequestError::NoEventStream(_) | RequestError::NotFound(_) => {
                bail!("{server}: {why}: is it an AgentCafe server?")
            }
            RequestError::DamagedEvents { .. } => bail!("{server} cannot show its newest events: {why}"),
            RequestError::Rejected(_) => bail!("{server} refuses: {why}"),
            RequestError::Unreachable(_) if !self.was_connected => bail!(
                "cannot reach a server at {server} ({why}); start one with `agentcafe serve`, or name another with --url"
            ),
            RequestError::Unavailable(_) if !self.was_connected => bail!("{server} is not available: {why}"),
            RequestError::Unreachable(_) | RequestError::Unavailable(_) => {
                if !std::mem::replace(&mut self.is_lost, true) {
                    batch.notices.push(format!("the connection to {server} is lost ({why}); trying again"));
                }
            }
        }
        Ok(())
    }
}

impl Batch {
    fn add(&mut self, events: &[ReceivedEvent]) {
        for received in events {
            match serde_json::from_slice(&received.json) {
                Ok(event) => self.events.push(event),
                Err(_) => self.notices.push(format!("event {} cannot be read", received.sequence)),
            }
        }
    }
}
