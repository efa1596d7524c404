//! Charges the payment provider. Every attempt of a request has the same payment id, so that nobody pays twice.

use std::time::Duration;

use agentcafe_domain::kernel::{Secret, Usd};
use agentcafe_domain::tables::payment::{ChargeRequest, ChargeResponse};
use reqwest::redirect::Policy;
use reqwest::{Client, Url, header};
use serde_json::{Value, json};

use crate::reconnecting_client::ReconnectingClient;
use crate::signature;
use crate::webhook::sender::read_body;

/// The longest response of a provider that is read, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 << 10;
/// The longest text of a provider that is stored or passed on, in characters.
const MAX_TEXT_CHARS: usize = 256;

/// How to reach the payment provider.
#[derive(Clone, Debug)]
pub struct PaymentProvider {
    /// Its URL; without one, every payment fails.
    pub url: Option<Url>,
    /// How long a response may take.
    pub timeout: Duration,
    /// The secret that requests are signed with.
    pub secret: Option<Secret>,
}

/// A client of the payment provider.
pub(crate) struct PaymentClient {
    http: Option<(ReconnectingClient, Url)>,
    provider: PaymentProvider,
}

impl PaymentClient {
    pub(crate) fn new(provider: PaymentProvider) -> Result<Self, reqwest::Error> {
        let http = match &provider.url {
            Some(url) => {
                let client = ReconnectingClient::new(|| Client::builder().redirect(Policy::none()))?;
                Some((client, url.clone()))
            }
            None => None,
        };
        Ok(Self { http, provider })
    }

    /// Charges a payment.
    pub(crate) async fn charge(&self, charge: &ChargeRequest) -> ChargeResponse {
        let Some((client, url)) = &self.http else {
            return unreachable("no payment provider is configured");
        };
        match self.send(client, url, charge).await {
            Ok((status, body)) => {
                let secrets = charge.proof.iter().chain(&self.provider.secret).collect();
                verdict(status, &body, charge.amount, secrets)
            }
            Err(error) => {
                tracing::warn!(error = %error.without_url(), "the payment provider could not be reached");
                unreachable("the payment provider could not be reached")
            }
        }
    }

    /// The status and the JSON of the response; null if it is no JSON.
    async fn send(
        &self,
        client: &ReconnectingClient,
        url: &Url,
        charge: &ChargeRequest,
    ) -> Result<(u16, Value), reqwest::Error> {
        let body = json!({
            "paymentId": charge.payment_id,
            "tenantId": charge.tenant_id,
            "roomId": charge.room_id,
            "ownerActorId": charge.owner_actor_id,
            "paymentProof": charge.proof.as_ref().map(Secret::expose),
            "paymentRef": charge.reference,
            "amountUsd": charge.amount,
        })
        .to_string();
        let mut request = client
            .post(url.clone())
            .timeout(self.provider.timeout)
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-request-id", &charge.request_id)
            .header("idempotency-key", charge.payment_id.to_string());
        if let Some(secret) = &self.provider.secret {
            request = request.header("x-agentcafe-signature", signature::of_body(secret, body.as_bytes()));
        }
        let response = client.execute(request.body(body).build()?).await?;
        let status = response.status().as_u16();
        let bytes = read_body(response, MAX_RESPONSE_BYTES).await?;
        Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }
}

fn unreachable(cause: &str) -> ChargeResponse {
    ChargeResponse::Unreachable { cause: cause.to_owned() }
}

/// The amount that was charged: the requested one, unless the body has another. `None` if that is not an amount.
fn charged(body: &Value, requested: Usd) -> Option<Usd> {
    match body.get("amountUsd") {
        None | Some(Value::Null) => Some(requested),
        Some(Value::String(text)) => text.trim().parse().ok().and_then(Usd::from_dollars),
        Some(amount) => amount.as_f64().and_then(Usd::from_dollars),
    }
}

/// The meaning of a response: paid only if the status is 2xx and `paid`, or else `ok`, is `true`. Texts that contain a secret
/// are dropped.
fn verdict(status: u16, body: &Value, requested: Usd, secrets: Vec<&Secret>) -> ChargeResponse {
    let text = |name: &str| {
        let text = body.get(name)?.as_str()?;
        let is_safe = !secrets.iter().any(|secret| secret.is_revealed_by(text));
        is_safe.then(|| text.chars().take(MAX_TEXT_CHARS).collect())
    };
    let is_paid = body.get("paid").or_else(|| body.get("ok")) == Some(&Value::Bool(true));
    if !is_paid || !(200..300).contains(&status) {
        return ChargeResponse::Declined { status, message: text("message").or_else(|| text("error")) };
    }
    match charged(body, requested) {
        Some(amount) => {
            ChargeResponse::Paid { provider: text("provider"), reference: text("paymentRef"), amount }
        }
        None => unreachable("the payment provider's amountUsd is no amount"),
    }
}
