//! Makes the external calls of commands over HTTP: charges of the payment provider, and redeliveries of webhooks.

use std::pin::Pin;
use std::sync::Arc;

use agentcafe_domain::kernel::{CallResult, ExternalCall};
use agentcafe_domain::tables::payment::ChargeRequest;
use agentcafe_domain::webhooks::replay::Redelivery;
use agentcafe_engine::external_calls::ExternalCallRunner;

use crate::payment::{PaymentClient, PaymentProvider};
use crate::webhook::sender::WebhookSender;

/// Makes external calls.
pub struct ExternalClient {
    payments: PaymentClient,
    sender: Arc<WebhookSender>,
}

impl ExternalClient {
    /// A client of this payment provider, which redelivers webhooks with `sender`.
    ///
    /// # Errors
    /// When no HTTP client can be made: TLS has no root certificates.
    pub fn new(provider: PaymentProvider, sender: Arc<WebhookSender>) -> Result<Self, reqwest::Error> {
        Ok(Self { payments: PaymentClient::new(provider)?, sender })
    }
}

impl ExternalCallRunner for ExternalClient {
    fn run(&self, call: ExternalCall) -> Pin<Box<dyn Future<Output = Option<CallResult>> + Send + '_>> {
        Box::pin(async move {
            let call = match call.request::<ChargeRequest>() {
                Ok(charge) => {
                    let response = self.payments.charge(&charge).await;
                    return Some(CallResult::new::<ChargeRequest>(response));
                }
                Err(call) => call,
            };
            let redelivery = call.request::<Redelivery>().ok()?;
            Some(CallResult::new::<Redelivery>(self.sender.redeliver(&redelivery).await))
        })
    }
}
