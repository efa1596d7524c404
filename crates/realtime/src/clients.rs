//! Who the clients are. The service has no database: the API says whose a key or a ticket is, and which keys still count.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agentcafe_client::{ApiClient, Method, Query, RequestError};
use agentcafe_domain::kernel::{Clock, Code, DomainError, IdSource, OperationError};
use agentcafe_domain::keys::tickets::{KeyIdentity, StreamUrl};
use agentcafe_domain::keys::token::{SecretHash, Token as KeyToken};
use agentcafe_domain::keys::{KeyHolder, Principal};
use agentcafe_eventlog::OpenKeys;
use agentcafe_http::{Authenticator, CallerFuture, Credentials, Token};
use futures_util::FutureExt;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

const OWN_KEY: &str = "/v1/keys/self";
const LIVE_KEYS: &str = "/v1/keys/live";
const REDEEM: &str = "/v1/tickets/redeem";
/// How long an answer about a token holds, and how often it is asked which keys of open streams count. A stream that a known token
/// opens ends within twice this after its key was revoked.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How long streams of keys stay open while the API cannot be asked about them.
const MAX_UNKNOWN: Duration = Duration::from_secs(60);
/// How long the API may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The most tokens that are remembered. When there are more, all are asked about again.
const MAX_TOKENS: usize = 10_000;
/// The most requests about tokens at once.
const MAX_REQUESTS: usize = 8;
/// The most keys in one request.
const KEYS_PER_REQUEST: usize = 100;

/// Finds out who the clients are.
pub(crate) struct Clients {
    api: ApiClient,
    shared: Token,
    /// Whether the service itself needs no token to read the API. Only then may clients come without one, as at the API.
    is_source_open: bool,
    /// Whether the API refused the last request without a token.
    is_closed: AtomicBool,
    clock: Arc<dyn Clock>,
    ids: Arc<Mutex<Box<dyn IdSource>>>,
    known: Mutex<HashMap<TokenId, KnownToken>>,
    requests: Semaphore,
    pub(crate) open_keys: Arc<OpenKeys>,
}

/// The hash of a secret, and the id of its key.
type TokenId = (SecretHash, String);

#[derive(Clone)]
struct KnownToken {
    /// None: the API does not accept the token.
    holder: Option<Arc<KeyHolder>>,
    asked_at: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LiveKeys {
    live_credential_ids: Vec<String>,
}

impl Clients {
    pub(crate) fn new(
        api: ApiClient,
        shared: Token,
        max_open_per_key: usize,
        clock: Arc<dyn Clock>,
        ids: Arc<Mutex<Box<dyn IdSource>>>,
    ) -> Self {
        Self {
            is_source_open: !api.has_token(),
            api,
            shared,
            is_closed: AtomicBool::new(false),
            clock,
            ids,
            known: Mutex::default(),
            requests: Semaphore::new(MAX_REQUESTS),
            open_keys: Arc::new(OpenKeys::new(max_open_per_key)),
        }
    }

    /// Whoever comes without a token, or with one that is no API key.
    fn anonymous(&self) -> Result<Principal, OperationError> {
        if self.is_open() { Ok(Principal::Shared) } else { Err(unauthorized()) }
    }

    async fn holder_of(&self, text: &str, token: KeyToken) -> Result<Principal, OperationError> {
        let id = (token.hash, token.key_id);
        if let Some(known) = self.known(&id) {
            return known;
        }
        let _permit = self.requests.acquire().await.map_err(|_| OperationError::internal())?;
        // Another request may have asked meanwhile.
        if let Some(known) = self.known(&id) {
            return known;
        }
        let asked_at = self.clock.stopwatch();
        let answer = match within_timeout(self.api.get_json_as(OWN_KEY, text)).await {
            Ok(answer) => identity(answer)?.map(Arc::new),
            Err(RequestError::Unauthorized) => None,
            Err(error) => return Err(not_answered(&error)),
        };
        let mut known = self.known.lock();
        if known.len() >= MAX_TOKENS {
            known.clear();
        }
        known.insert(id, KnownToken { holder: answer.clone(), asked_at });
        answer.map(Principal::Key).ok_or_else(unauthorized)
    }

    /// What the API has just said about a token.
    fn known(&self, id: &TokenId) -> Option<Result<Principal, OperationError>> {
        let known = self.known.lock().get(id).cloned()?;
        let is_new = self.clock.stopwatch().saturating_sub(known.asked_at) < ASK_EVERY;
        is_new.then(|| known.holder.map(Principal::Key).ok_or_else(unauthorized))
    }

    async fn owner_of(&self, ticket: String, opens: StreamUrl) -> Result<Principal, OperationError> {
        let key = self.ids.lock().fresh(self.clock.now()).to_string();
        let body = json!({ "ticket": ticket, "path": opens.path, "query": opens.query });
        match within_timeout(self.api.send(Method::POST, REDEEM, &key, &body)).await {
            Ok(answer) => {
                let holder = identity(answer)?;
                Ok(holder.map_or(Principal::Shared, |holder| Principal::Key(Arc::new(holder))))
            }
            Err(RequestError::NotFound(_) | RequestError::Rejected(_)) => Err(unauthorized()),
            Err(error) => Err(not_answered(&error)),
        }
    }

    /// Asks the API, until the service stops, which keys of open streams count, and ends the streams of others.
    pub(crate) async fn watch_keys(self: Arc<Self>, stopping: CancellationToken) {
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut answered_at = self.clock.stopwatch();
        while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
            let answered = self.ask_about_open_keys().await;
            if self.is_source_open {
                let answer = within_timeout(self.api.get_json(OWN_KEY, &Query::new())).await;
                match answer {
                    Ok(_) => self.is_closed.store(false, Ordering::Relaxed),
                    Err(RequestError::Unauthorized) => {
                        self.is_closed.store(true, Ordering::Relaxed);
                        self.open_keys.end_without_key();
                    }
                    Err(_) => {}
                }
            }
            let now = self.clock.stopwatch();
            match answered {
                Ok(()) => answered_at = now,
                Err(error) if now.saturating_sub(answered_at) >= MAX_UNKNOWN => {
                    tracing::warn!(%error, "the API does not say which keys count: their streams end");
                    self.open_keys.end(&self.open_keys.ids(), Code::Unavailable);
                }
                Err(_) => {}
            }
        }
    }

    async fn ask_about_open_keys(&self) -> Result<(), RequestError> {
        for ids in self.open_keys.ids().chunks(KEYS_PER_REQUEST) {
            let query = vec![("credentialIds", ids.join(","))];
            let mut answer = within_timeout(self.api.get_json(LIVE_KEYS, &query)).await?;
            let live: LiveKeys = serde_json::from_value(answer["data"].take())
                .map_err(|error| RequestError::Unavailable(error.to_string()))?;
            let ended: Vec<_> =
                ids.iter().filter(|id| !live.live_credential_ids.contains(id)).cloned().collect();
            if !ended.is_empty() {
                let counts = |holder: &Arc<KeyHolder>| !ended.iter().any(|id| **id == *holder.credential_id);
                self.known.lock().retain(|_, known| known.holder.as_ref().is_none_or(counts));
                self.open_keys.end(&ended, Code::Unauthorized);
            }
        }
        Ok(())
    }
}

impl Authenticator for Clients {
    fn authenticate(self: Arc<Self>, credentials: Credentials) -> CallerFuture {
        async move {
            match credentials {
                Credentials::Missing => self.anonymous(),
                Credentials::Token(text) if self.shared.is_shared(&text) => Ok(Principal::Shared),
                Credentials::Token(text) => match KeyToken::parse(&text) {
                    Some(token) => self.holder_of(&text, token).await,
                    None => self.anonymous(),
                },
                Credentials::Ticket(ticket, opens) => self.owner_of(ticket, opens).await,
            }
        }
        .boxed()
    }

    fn is_open(&self) -> bool {
        self.is_source_open && self.shared.required.is_none() && !self.is_closed.load(Ordering::Relaxed)
    }
}

/// The holder of the key in an answer of the API; none if it names no key.
fn identity(mut answer: Value) -> Result<Option<KeyHolder>, OperationError> {
    let unreadable = || OperationError::unavailable("the API's answer about the key cannot be read");
    let identity: KeyIdentity = serde_json::from_value(answer["data"].take()).map_err(|_| unreadable())?;
    let Some((key, credential_id)) = identity.key.zip(identity.credential_id) else { return Ok(None) };
    KeyHolder::of_view(key, &credential_id).map(Some).map_err(|_| unreadable())
}

async fn within_timeout<T>(answer: impl Future<Output = Result<T, RequestError>>) -> Result<T, RequestError> {
    let late = |_| RequestError::Unreachable(format!("no answer within {} s", TIMEOUT.as_secs()));
    timeout(TIMEOUT, answer).await.map_err(late)?
}

fn unauthorized() -> OperationError {
    DomainError::new(Code::Unauthorized).into()
}

fn not_answered(error: &RequestError) -> OperationError {
    tracing::warn!(%error, "the API does not say who a client is");
    OperationError::unavailable("the API does not say who you are; try again")
}
