//! Resolves the host names of targets to addresses that webhooks may be sent to.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use agentcafe_domain::webhooks::target::{AddressClass, TargetError, WebhookRules};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{Semaphore, oneshot};

/// The most concurrent lookups.
const MAX_LOOKUPS: usize = 32;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Resolves names on threads of its own: the system's resolver may block for long, which must not delay database reads on the
/// shared pool of threads.
pub(super) struct Resolver {
    rules: WebhookRules,
    permits: Arc<Semaphore>,
}

impl Resolver {
    pub(super) fn new(rules: WebhookRules) -> Self {
        Self { rules, permits: Arc::new(Semaphore::new(MAX_LOOKUPS)) }
    }
}

/// The addresses that webhooks may be sent to.
fn allowed(
    found: impl Iterator<Item = SocketAddr>,
    rules: WebhookRules,
) -> Result<Vec<SocketAddr>, BoxError> {
    let found: Vec<_> = found.collect();
    let allowed: Vec<_> =
        found.iter().filter(|address| AddressClass::of(address.ip()).is_allowed(rules)).copied().collect();
    if allowed.is_empty() && !found.is_empty() { Err(TargetError::Address.into()) } else { Ok(allowed) }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, permits) = (self.rules, Arc::clone(&self.permits));
        Box::pin(async move {
            let permit = permits.acquire_owned().await?;
            let (sender, result) = oneshot::channel();
            let host = name.as_str().to_owned();
            std::thread::Builder::new().name("lookup".to_owned()).spawn(move || {
                let _permit = permit;
                // The request may have been cancelled.
                let _ = sender.send((host.as_str(), 0).to_socket_addrs());
            })?;
            let found = result.await??;
            let addresses: Addrs = Box::new(allowed(found, rules)?.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each lookup is checked. Of a name with allowed and forbidden addresses, the allowed ones are used.
    #[test]
    fn resolver_returns_only_allowed_addresses() {
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
