//! Sends one event to one target: signs the request, and reports the result.

use std::error::Error;
use std::fs::File;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use agentcafe_domain::kernel::{Clock, Secret};
use agentcafe_domain::webhooks::admission::delivery_id;
use agentcafe_domain::webhooks::delivery::{DeliverySource, EventRef, SendResult};
use agentcafe_domain::webhooks::replay::Redelivery;
use agentcafe_domain::webhooks::schedule;
use agentcafe_domain::webhooks::target::{self, TargetError, WebhookRules};
use bytes::Bytes;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, header};
use rustix::io::Errno;
use tokio::time::timeout;
use uuid::Uuid;

use super::resolver::{Lookups, Resolver};
use crate::reconnecting_client::ReconnectingClient;
use crate::signature;

/// How much of a response's body is read, so that its connection can be reused, in bytes.
const MAX_BODY_BYTES: usize = 16 << 10;
/// How long the body of a response may take; its content does not matter.
const BODY_TIMEOUT: Duration = Duration::from_millis(100);
/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The most idle connections to one target.
const MAX_IDLE_PER_HOST: usize = 8;

/// What is to be delivered.
pub(super) struct DeliveryRequest<'a> {
    pub(super) subscription_id: Uuid,
    pub(super) target_url: &'a Secret,
    pub(super) secret: &'a Secret,
    pub(super) timeout: Duration,
    pub(super) sent: &'a EventRef,
    pub(super) body: Bytes,
    pub(super) source: DeliverySource,
}

/// This machine lacks what a connection needs, such as file descriptors. It is no failure of the target.
#[derive(Debug, thiserror::Error)]
#[error("the server has no resources for a connection at the moment")]
pub(super) struct LocalShortage;

/// Why there is no response.
enum SendError {
    /// The attempt failed, with the error as subscribers see it.
    Failed(String),
    /// As [`LocalShortage`].
    Shortage,
}

/// Sends webhooks.
pub struct WebhookSender {
    /// Made for the first delivery, because loading root certificates takes time.
    client: OnceLock<ReconnectingClient>,
    rules: WebhookRules,
    clock: Arc<dyn Clock>,
    pub(super) lookups: Arc<Lookups>,
}

impl WebhookSender {
    /// A sender to the targets that `rules` allow.
    pub fn new(rules: WebhookRules, clock: Arc<dyn Clock>) -> Self {
        Self { client: OnceLock::new(), rules, clock, lookups: Lookups::new() }
    }

    /// The client that all deliveries share.
    ///
    /// # Errors
    /// When none can be made: TLS has no root certificates.
    fn client(&self) -> Result<&ReconnectingClient, reqwest::Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let resolver = Arc::new(Resolver::new(self.rules, &self.lookups));
        let made = ReconnectingClient::new(move || {
            Client::builder()
                .redirect(Policy::none())
                .no_proxy()
                .dns_resolver(Arc::clone(&resolver))
                .pool_idle_timeout(IDLE_TIMEOUT)
                .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
                .user_agent(concat!("agentcafe/", env!("CARGO_PKG_VERSION")))
        })?;
        Ok(self.client.get_or_init(|| made))
    }

    /// Sends an event from the dead-letter queue again.
    pub(crate) async fn redeliver(&self, redelivery: &Redelivery) -> SendResult {
        let request = DeliveryRequest {
            subscription_id: redelivery.subscription_id,
            target_url: &redelivery.target_url,
            secret: &redelivery.secret,
            timeout: Duration::from_millis(redelivery.timeout_ms),
            sent: &redelivery.sent,
            body: redelivery.body.clone().into(),
            source: DeliverySource::DlqReplay,
        };
        match self.deliver(&request).await {
            Ok((result, _)) => result,
            Err(shortage) => {
                SendResult { status_code: None, error: Some(shortage.to_string()), duration_ms: 0 }
            }
        }
    }

    /// Makes one attempt. With its result comes the delay that the receiver's `Retry-After` requests, in milliseconds.
    ///
    /// # Errors
    /// [`LocalShortage`]: there was no attempt.
    pub(super) async fn deliver(
        &self,
        request: &DeliveryRequest<'_>,
    ) -> Result<(SendResult, Option<u64>), LocalShortage> {
        let began = self.clock.stopwatch();
        let response = self.send(request).await;
        let took = self.clock.stopwatch().saturating_sub(began);
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match response {
            Ok(response) => {
                let status = response.status();
                let retry_after = response.headers().get(header::RETRY_AFTER);
                let retry_after = retry_after.and_then(|value| value.to_str().ok());
                let retry_after_ms =
                    retry_after.and_then(|text| schedule::retry_after_ms(text, self.clock.wall()));
                let error = (!status.is_success()).then(|| format!("HTTP {}", status.as_u16()));
                let _ = timeout(BODY_TIMEOUT, read_body(response, MAX_BODY_BYTES)).await;
                let status_code = Some(status.as_u16());
                Ok((SendResult { status_code, error, duration_ms }, retry_after_ms))
            }
            Err(SendError::Failed(error)) => {
                Ok((SendResult { status_code: None, error: Some(error), duration_ms }, None))
            }
            Err(SendError::Shortage) => {
                tracing::debug!("{LocalShortage}");
                Err(LocalShortage)
            }
        }
    }

    async fn send(&self, delivery: &DeliveryRequest<'_>) -> Result<Response, SendError> {
        // The rules may be stricter than when the subscription was created.
        let url = target::check(delivery.target_url.expose(), self.rules)
            .map_err(|error| SendError::Failed(error.to_string()))?;
        let client = self.client().map_err(explain)?;
        let request = self.signed(client.post(url), delivery).build().map_err(explain)?;
        match timeout(delivery.timeout, client.execute(request)).await {
            Ok(response) => response.map_err(|error| explain(error.without_url())),
            Err(_) => Err(SendError::Failed("timeout".to_owned())),
        }
    }

    fn signed(&self, request: RequestBuilder, delivery: &DeliveryRequest<'_>) -> RequestBuilder {
        let (id, sent) = (delivery_id(delivery.sent.event_id, delivery.subscription_id), delivery.sent);
        let seconds = self.clock.wall().as_millis().div_euclid(1_000);
        let body = &delivery.body;
        request
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-agentcafe-signature", signature::of_body(delivery.secret, body))
            .header("x-agentcafe-event-id", sent.event_id.to_string())
            .header("x-agentcafe-event-type", sent.event_type.as_str())
            .header("x-agentcafe-subscription-id", delivery.subscription_id.to_string())
            .header("x-agentcafe-delivery-source", delivery.source.as_str())
            .header("webhook-signature", signature::standard(delivery.secret, &id, seconds, body))
            .header("webhook-timestamp", seconds)
            .header("webhook-id", id)
            .body(delivery.body.clone())
    }
}

/// Reads the body of a response, but not past `max_bytes`: of a longer one, only the beginning.
pub(crate) async fn read_body(mut response: Response, max_bytes: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() + chunk.len() > max_bytes {
            break;
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The error as subscribers see it: without details of our network. `error` has no URL, which may contain a key.
fn explain(error: reqwest::Error) -> SendError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<TargetError>() {
            return SendError::Failed(refused.to_string());
        }
        if inner.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error).is_some_and(is_shortage) {
            return SendError::Shortage;
        }
        cause = inner.source();
    }
    // Root certificates and names are read from files, and such errors do not say why that failed.
    if File::open("/dev/null").is_err_and(|error| error.raw_os_error().is_some_and(is_shortage)) {
        return SendError::Shortage;
    }
    tracing::debug!(%error, "a webhook was not answered");
    let text = if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "the target cannot be reached"
    } else {
        "the target gave no valid answer"
    };
    SendError::Failed(text.to_owned())
}

/// Whether an error of the operating system says that this machine lacks file descriptors, ports or memory.
fn is_shortage(code: i32) -> bool {
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL]
        .iter()
        .any(|shortage| shortage.raw_os_error() == code)
}
