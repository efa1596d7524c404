//! The way out: runs the errands of commands over HTTP.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{CallResult, ExternalCall, Secret};
use agentcafe_domain::tables::payment::ChargeRequest;
use agentcafe_domain::webhooks::replay::Redelivery;
use agentcafe_engine::external_calls::ExternalCallRunner;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::payment;
use crate::webhook::sender::WebhookSender;

/// Where the payment provider is, and how it is asked.
#[derive(Clone, Debug)]
pub struct PaymentProvider {
    /// Its address; none: every payment fails.
    pub url: Option<Url>,
    /// How long an answer may take.
    pub timeout: Duration,
    /// What requests to it are signed with.
    pub secret: Option<Secret>,
}

/// Runs errands.
pub struct ExternalClient {
    /// None if no payment provider is configured.
    client: Option<Client>,
    provider: PaymentProvider,
    sender: Arc<WebhookSender>,
}

impl ExternalClient {
    /// A way out.
    ///
    /// # Errors
    /// When no HTTP client can be made: TLS has no roots of trust.
    pub fn new(provider: PaymentProvider, sender: Arc<WebhookSender>) -> Result<Self, reqwest::Error> {
        let make = |_| Client::builder().redirect(Policy::none()).build();
        let client = provider.url.as_ref().map(make).transpose()?;
        Ok(Self { client, provider, sender })
    }
}

impl ExternalCallRunner for ExternalClient {
    fn run(&self, call: ExternalCall) -> Pin<Box<dyn Future<Output = Option<CallResult>> + Send + '_>> {
        Box::pin(async move {
            let call = match call.request::<ChargeRequest>() {
                Ok(charge) => {
                    let response = payment::charge(self.client.as_ref(), &self.provider, &charge).await;
                    return Some(CallResult::new::<ChargeRequest>(response));
                }
                Err(call) => call,
            };
            let redelivery = call.request::<Redelivery>().ok()?;
            Some(CallResult::new::<Redelivery>(self.sender.redeliver(&redelivery).await))
        })
    }
}
