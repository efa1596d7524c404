//! Carries one event to one target: signs it, sends it, and says how that went.

use std::error::Error;
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
use tokio::time::timeout;
use uuid::Uuid;

use super::resolver::Resolver;
use super::signature;

/// How much of an answer's body is read, so that its connection can be used again, in bytes.
const MAX_DRAINED_BYTES: usize = 16 << 10;
/// How long an answer's body is waited for: whether it comes does not matter.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(100);
/// How long an idle connection is kept.
const KEEP_IDLE: Duration = Duration::from_secs(60);
/// How many idle connections to one target are kept.
const MAX_IDLE_PER_HOST: usize = 8;

/// What is to be delivered.
pub(super) struct DeliveryRequest<'a> {
    pub(super) subscription_id: Uuid,
    pub(super) target_url: &'a str,
    pub(super) secret: &'a Secret,
    pub(super) timeout: Duration,
    pub(super) sent: &'a EventRef,
    pub(super) body: Bytes,
    pub(super) source: DeliverySource,
}

/// How an attempt went.
pub(super) struct Answered {
    pub(super) attempted: SendResult,
    /// What the receiver says when to come again.
    pub(super) retry_after_ms: Option<u64>,
}

/// Delivers webhooks.
pub struct WebhookSender {
    /// Made for the first delivery: a café without webhooks does not pay for the roots of trust.
    client: OnceLock<Client>,
    rules: WebhookRules,
    clock: Arc<dyn Clock>,
}

impl WebhookSender {
    /// A courier that goes where `rules` allow.
    pub fn new(rules: WebhookRules, clock: Arc<dyn Clock>) -> Self {
        Self { client: OnceLock::new(), rules, clock }
    }

    /// The client that all deliveries share.
    ///
    /// # Errors
    /// When none can be made: TLS has no roots of trust.
    fn client(&self) -> Result<&Client, reqwest::Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Resolver::new(self.rules)))
            .pool_idle_timeout(KEEP_IDLE)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .user_agent(concat!("agentcafe/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(self.client.get_or_init(|| made))
    }

    /// Sends once more what could not be delivered.
    pub(crate) async fn redeliver(&self, what: &Redelivery) -> SendResult {
        let request = DeliveryRequest {
            subscription_id: what.subscription_id,
            target_url: &what.target_url,
            secret: &what.secret,
            timeout: Duration::from_millis(what.timeout_ms),
            sent: &what.sent,
            body: what.body.clone().into(),
            source: DeliverySource::DlqReplay,
        };
        self.deliver(&request).await.attempted
    }

    /// Makes one attempt.
    pub(super) async fn deliver(&self, request: &DeliveryRequest<'_>) -> Answered {
        let began = self.clock.stopwatch();
        let answer = self.send(request).await;
        let took = self.clock.stopwatch().saturating_sub(began);
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let (status_code, error, retry_after_ms) = match answer {
            Ok(response) => {
                let status = response.status();
                let retry_after = response.headers().get(header::RETRY_AFTER);
                let retry_after = retry_after.and_then(|value| value.to_str().ok());
                let retry_after_ms =
                    retry_after.and_then(|text| schedule::retry_after_ms(text, self.clock.now()));
                let error = (!status.is_success()).then(|| format!("HTTP {}", status.as_u16()));
                let _ = timeout(DRAIN_TIMEOUT, drain(response)).await;
                (Some(status.as_u16()), error, retry_after_ms)
            }
            Err(error) => (None, Some(error), None),
        };
        Answered { attempted: SendResult { status_code, error, duration_ms }, retry_after_ms }
    }

    async fn send(&self, delivery: &DeliveryRequest<'_>) -> Result<Response, String> {
        // The rules may be stricter than when the subscription was made.
        let url = target::check(delivery.target_url, self.rules).map_err(|refused| refused.to_string())?;
        let client = self.client().map_err(explain)?;
        let request = self.signed(client.post(url), delivery);
        match timeout(delivery.timeout, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(explain(error.without_url())),
            Err(_) => Err("timeout".to_owned()),
        }
    }

    fn signed(&self, request: RequestBuilder, delivery: &DeliveryRequest<'_>) -> RequestBuilder {
        let (id, sent) = (delivery_id(delivery.sent.event_id, delivery.subscription_id), delivery.sent);
        let seconds = self.clock.now().as_millis().div_euclid(1_000);
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

/// Reads what is left of a short answer.
async fn drain(mut response: Response) {
    let mut bytes = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes += chunk.len();
        if bytes > MAX_DRAINED_BYTES {
            return;
        }
    }
}

/// What went wrong, in terms that say nothing about our network. The error is without its URL, which may hold a key.
fn explain(error: reqwest::Error) -> String {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<TargetError>() {
            return refused.to_string();
        }
        cause = inner.source();
    }
    tracing::debug!(%error, "a webhook was not answered");
    let text = if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "the target cannot be reached"
    } else {
        "the target gave no valid answer"
    };
    text.to_owned()
}
