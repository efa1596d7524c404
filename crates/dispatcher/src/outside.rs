//! The way out: runs the errands of commands over HTTP.

use std::{pin::Pin, sync::Arc, time::Duration};

use agentcafe_domain::{
    errand::{Errand, Outcome},
    secret::Secret,
};
use agentcafe_engine::errands::ErrandRunner;
use reqwest::{Client, Url, redirect::Policy};

use crate::{payment, webhook::courier::Courier};

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
pub struct Outside {
    /// None if no payment provider is configured.
    client: Option<Client>,
    provider: PaymentProvider,
    courier: Arc<Courier>,
}

impl Outside {
    /// A way out.
    ///
    /// # Errors
    /// When no HTTP client can be made: TLS has no roots of trust.
    pub fn new(provider: PaymentProvider, courier: Arc<Courier>) -> Result<Self, reqwest::Error> {
        let make = |_| Client::builder().redirect(Policy::none()).build();
        let client = provider.url.as_ref().map(make).transpose()?;
        Ok(Self { client, provider, courier })
    }
}

impl ErrandRunner for Outside {
    fn run(&self, errand: Errand) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(async move {
            match errand {
                Errand::Charge(charge) => {
                    Outcome::Charged(payment::charge(self.client.as_ref(), &self.provider, &charge).await)
                }
                Errand::Redeliver(redelivery) => {
                    Outcome::Redelivered(self.courier.redeliver(&redelivery).await)
                }
            }
        })
    }
}
