//! What a person is shown of a stream: events, and news about the connection when it changes.

use agentcafe_client::{Api, Arrived, BadAddress, EventStream, Failure, News, Query, Start, Stream};
use agentcafe_domain::kernel::ids::Sequence;
use anyhow::{anyhow, bail};

use super::{
    event::{Event, telling_types},
    harmless::harmless,
};
use crate::{
    cli::TailOptions,
    config::{AGENTCAFE_TOKEN, AGENTCAFE_URL, Sources},
};

const TIMELINE: &str = "/v1/timeline";

/// What came in at once: news about the connection, then events in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What a person should know about the connection.
    pub(super) notices: Vec<String>,
    /// What happened.
    pub(super) events: Vec<Event>,
}

/// The events of a server, without end.
pub(super) struct Feed {
    stream: Stream,
    scope: Query,
    all_types: bool,
    has_token: bool,
    /// How many events are shown that happened before the first connection.
    last: u16,
    /// Whether the beginning was shown: before, every failure is final.
    began: bool,
    /// Whether it was told that the connection is lost.
    lost: bool,
}

impl Feed {
    /// The server of the options and the settings.
    ///
    /// # Errors
    /// When the address or the token cannot be used.
    pub(super) fn of(options: &TailOptions, sources: &Sources) -> anyhow::Result<Self> {
        let url = match &options.url {
            Some(url) => url.clone(),
            None => sources.value(&AGENTCAFE_URL)?.into(),
        };
        let token = sources.optional(&AGENTCAFE_TOKEN)?;
        let api = Api::new(&url, token.as_deref()).map_err(|error| match error {
            BadAddress::NoServer => {
                anyhow!(
                    "the server's address (--url) must look like http://host:port, not {:?}",
                    harmless(&url)
                )
            }
            BadAddress::Token => anyhow!("AGENTCAFE_TOKEN cannot be sent"),
            other => anyhow!(other),
        })?;
        let scope = [("tenantId", &options.tenant), ("roomId", &options.room)];
        let scope: Query = scope.into_iter().filter_map(|(name, id)| Some((name, id.clone()?))).collect();
        let start = options.since.map_or(Start::Latest, |since| Start::After(Sequence(since)));
        let following = EventStream { scope: scope.clone(), anew: Start::Latest, ..EventStream::all(start) };
        let last = if options.since.is_some() { 0 } else { options.last };
        let stream = Stream::new(api, following);
        let (all_types, has_token) = (options.all, token.is_some());
        Ok(Self { stream, scope, all_types, has_token, last, began: false, lost: false })
    }

    /// Waits for news; never gives an empty batch.
    ///
    /// # Errors
    /// When the very first attempt fails, or the server refuses for good.
    pub(super) async fn next(&mut self) -> anyhow::Result<Batch> {
        loop {
            let mut batch = Batch::default();
            match self.stream.next().await {
                News::Events(events) => batch.take(&events),
                News::ScannedTo(_) => {}
                News::Connected { after, .. } => self.connected(after, &mut batch).await?,
                News::Gap(from, to) => {
                    batch.notices.push(format!("the server left out what happened between {from} and {to}"))
                }
                News::OtherLog { .. } => batch
                    .notices
                    .push("the server has another log than before; starting at its newest event".to_owned()),
                News::Lost(failure) => self.fail(failure, &mut batch)?,
            }
            if !batch.events.is_empty() || !batch.notices.is_empty() {
                return Ok(batch);
            }
        }
    }

    /// The first connection shows what happened just before it; others are told if they were lost.
    async fn connected(&mut self, after: Sequence, batch: &mut Batch) -> anyhow::Result<()> {
        if !self.began && self.last > 0 {
            match self.latest(after).await {
                Ok(events) if events.is_empty() => {
                    batch.notices.push("nothing has happened here yet".to_owned());
                }
                Ok(events) => batch.events = events,
                Err(failure) => return self.fail(failure, batch),
            }
        }
        self.began = true;
        if std::mem::take(&mut self.lost) {
            batch.notices.push("connected again".to_owned());
        }
        Ok(())
    }

    /// The last events up to a sequence, oldest first.
    async fn latest(&mut self, up_to: Sequence) -> Result<Vec<Event>, Failure> {
        let mut query = self.scope.clone();
        query.extend([
            ("order", "desc".to_owned()),
            ("cursor", up_to.next().to_string()),
            ("limit", self.last.to_string()),
        ]);
        if !self.all_types {
            query.push(("types", telling_types().collect::<Vec<_>>().join(",")));
        }
        let mut body = self.stream.api().get_json(TIMELINE, &query).await?;
        let events = serde_json::from_value::<Vec<Event>>(body["data"]["events"].take());
        let mut events = events.map_err(|error| Failure::Refused(format!("{TIMELINE}: {error}")))?;
        events.reverse();
        Ok(events)
    }

    /// Tells once that the connection is lost, and why. The next attempt is made after a pause.
    fn fail(&mut self, failure: Failure, batch: &mut Batch) -> anyhow::Result<()> {
        let server = self.stream.api().name();
        let why = harmless(&failure.to_string()).into_owned();
        match failure {
            Failure::Unauthorized if self.has_token => {
                bail!("{server} does not accept the token in AGENTCAFE_TOKEN")
            }
            Failure::Unauthorized => {
                bail!("{server} wants a token: set AGENTCAFE_TOKEN to what the server has as API_AUTH_TOKEN")
            }
            Failure::NoStream(_) => bail!("{server}: {why}: is it an AgentCafe server?"),
            Failure::Refused(_) => bail!("{server} refuses: {why}"),
            Failure::Unreachable(_) if !self.began => bail!(
                "cannot reach a server at {server} ({why}); start one with `agentcafe serve`, or name another with --url"
            ),
            Failure::Unavailable(_) if !self.began => bail!("{server} is not available: {why}"),
            Failure::Unreachable(_) | Failure::Unavailable(_) => {
                if !std::mem::replace(&mut self.lost, true) {
                    batch.notices.push(format!("the connection to {server} is lost ({why}); trying again"));
                }
            }
        }
        Ok(())
    }
}

impl Batch {
    fn take(&mut self, events: &[Arrived]) {
        for arrived in events {
            match serde_json::from_slice(&arrived.json) {
                Ok(event) => self.events.push(event),
                Err(_) => self.notices.push(format!("event {} cannot be read", arrived.sequence)),
            }
        }
    }
}
