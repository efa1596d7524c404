//! An HTTP client that sends a request again when its reused connection gave no response: the server may have closed the connection
//! while it was idle.

use std::cell::Cell;
use std::sync::OnceLock;

use reqwest::{Client, ClientBuilder, Request, RequestBuilder, Response, Url};
use tower::util::MapRequestLayer;

tokio::task_local! {
    /// Whether the request of this task has begun to connect.
    static CONNECTS: Cell<bool>;
}

/// A client for requests that a server may receive twice without harm: an identifier in them makes the second a repetition.
pub(crate) struct ReconnectingClient {
    pooled: Client,
    /// Keeps no connections. Made when it is first needed, because loading root certificates takes time.
    unpooled: OnceLock<Client>,
    builder: Box<dyn Fn() -> ClientBuilder + Send + Sync>,
}

impl ReconnectingClient {
    /// A client whose settings `builder` has.
    ///
    /// # Errors
    /// When none can be made: TLS has no root certificates.
    pub(crate) fn new(
        builder: impl Fn() -> ClientBuilder + Send + Sync + 'static,
    ) -> Result<Self, reqwest::Error> {
        let note_connecting = MapRequestLayer::new(|target| {
            let _ = CONNECTS.try_with(|connects| connects.set(true));
            target
        });
        let pooled = builder().connector_layer(note_connecting).build()?;
        Ok(Self { pooled, unpooled: OnceLock::new(), builder: Box::new(builder) })
    }

    /// A request to post something to `url`.
    pub(crate) fn post(&self, url: Url) -> RequestBuilder {
        self.pooled.post(url)
    }

    /// Sends a request. If a reused connection gives no response, sends it once more over a new one.
    ///
    /// # Errors
    /// When there is no response, in the second try if there are two.
    pub(crate) async fn execute(&self, request: Request) -> Result<Response, reqwest::Error> {
        let repeated = request.try_clone();
        let sending = async {
            let response = self.pooled.execute(request).await;
            (response, CONNECTS.with(Cell::get))
        };
        let (response, has_connected) = CONNECTS.scope(Cell::new(false), sending).await;
        let is_unanswered = response.as_ref().is_err_and(|error| error.is_request() && !error.is_timeout());
        match repeated.filter(|_| is_unanswered && !has_connected) {
            Some(repeated) => self.unpooled()?.execute(repeated).await,
            None => response,
        }
    }

    fn unpooled(&self) -> Result<&Client, reqwest::Error> {
        if let Some(client) = self.unpooled.get() {
            return Ok(client);
        }
        let made = (self.builder)().pool_max_idle_per_host(0).build()?;
        Ok(self.unpooled.get_or_init(|| made))
    }
}
