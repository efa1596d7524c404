//! Resolves the names of targets, and gives out only addresses that webhooks may go to.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use agentcafe_domain::webhooks::target::{AddressClass, TargetError, WebhookRules};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{Semaphore, oneshot};

/// The most names that are resolved at once.
const MAX_LOOKUPS: usize = 32;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Resolves names on threads of its own: the system's resolver blocks for as long as it likes, and those who read from the
/// database must not wait for it.
pub(super) struct Resolver {
    rules: WebhookRules,
    places: Arc<Semaphore>,
}

impl Resolver {
    pub(super) fn new(rules: WebhookRules) -> Self {
        Self { rules, places: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }
}

/// Those addresses that webhooks may go to.
fn allowed(found: impl Iterator<Item = SocketAddr>, rules: WebhookRules) -> Result<Vec<SocketAddr>, Failed> {
    let found: Vec<_> = found.collect();
    let allowed: Vec<_> =
        found.iter().filter(|address| AddressClass::of(address.ip()).is_allowed(rules)).copied().collect();
    if allowed.is_empty() && !found.is_empty() { Err(TargetError::Address.into()) } else { Ok(allowed) }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, places) = (self.rules, Arc::clone(&self.places));
        Box::pin(async move {
            let place = places.acquire_owned().await?;
            let (answer, answered) = oneshot::channel();
            let host = name.as_str().to_owned();
            std::thread::Builder::new().name("lookup".to_owned()).spawn(move || {
                let _place = place;
                // Nobody may wait any more: then there is nobody to tell.
                let _ = answer.send((host.as_str(), 0).to_socket_addrs());
            })?;
            let found = answered.await??;
            let addresses: Addrs = Box::new(allowed(found, rules)?.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RULINGS B14: what a name resolves to is checked each time; a name that stands for both is used where it is allowed.
    #[test]
    fn only_allowed_addresses_are_given_out() {
        let cases: [(&[&str], bool, Option<&[&str]>); 6] = [
            (&["8.8.8.8:0", "127.0.0.1:0"], false, Some(&["8.8.8.8:0"])),
            (&["8.8.8.8:0", "127.0.0.1:0"], true, Some(&["8.8.8.8:0", "127.0.0.1:0"])),
            (&["10.0.0.1:0", "[::1]:0"], false, None),
            (&["169.254.169.254:0"], true, None),
            (&["[::ffff:169.254.169.254]:0", "[::1]:0"], true, Some(&["[::1]:0"])),
            (&[], false, Some(&[])),
        ];
        let parse =
            |texts: &[&str]| -> Vec<SocketAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        for (found, allow_private_targets, want) in cases {
            let got = allowed(parse(found).into_iter(), WebhookRules { allow_private_targets }).ok();
            assert_eq!(got, want.map(parse), "{found:?} {allow_private_targets}");
        }
    }
}
