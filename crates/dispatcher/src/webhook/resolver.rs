//! Resolves the host names of targets to addresses that webhooks may be sent to.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::webhooks::target::{AddressClass, TargetError, WebhookRules};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::limiter::{ConcurrencyLimiter, TenantLimiter};

/// The most concurrent lookups, without those that are slow, and of these.
const MAX_LOOKUPS: usize = 32;
const MAX_SLOW_LOOKUPS: usize = 256;
/// The same for one tenant.
const MAX_TENANT_LOOKUPS: usize = 8;
const MAX_TENANT_SLOW_LOOKUPS: usize = 128;
/// How long a lookup may take: longer than a resolver needs to pass over a name server that is down. A thread cannot be stopped, so
/// the lookup continues in its place among the slow ones.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// The most names that are known to be slow. Past it, all of them are forgotten.
const MAX_SLOW_NAMES: usize = 10_000;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Found = Result<Vec<SocketAddr>, Arc<io::Error>>;
type Lookup = Shared<BoxFuture<'static, Found>>;

/// An error that several requests share, as one of its own: with the code of the operating system, which says what it lacks.
fn unshared(error: Arc<io::Error>) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::other(error), io::Error::from_raw_os_error)
}

/// The resolver of the system, which blocks.
fn system(host: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((host, 0).to_socket_addrs()?.collect())
}

tokio::task_local! {
    /// The lookups of the tenant whose delivery this task makes.
    static LOOKUPS: Arc<TenantLookups>;
}

/// Resolves names on threads of its own: the system's resolver may block for long, which must not delay database reads on the
/// shared pool of threads. Names whose lookups hang delay no other names: each has at most one lookup, among the slow ones.
pub(super) struct Resolver {
    rules: WebhookRules,
    /// The lookups of attempts outside [`TenantLookups::scope`].
    others: Arc<TenantLookups>,
}

/// The lookups of all tenants.
pub(super) struct Lookups {
    resolve: fn(&str) -> io::Result<Vec<SocketAddr>>,
    limiter: Arc<ConcurrencyLimiter>,
    /// The names whose last lookup was slow.
    slow: Mutex<HashSet<String>>,
}

/// The lookups of a tenant, which delay those of no other.
pub(super) struct TenantLookups {
    all: Arc<Lookups>,
    limiter: TenantLimiter,
    running: Mutex<HashMap<String, Lookup>>,
}

impl Resolver {
    pub(super) fn new(rules: WebhookRules, lookups: &Arc<Lookups>) -> Self {
        Self { rules, others: TenantLookups::new(lookups) }
    }
}

impl Lookups {
    /// Lookups with the resolver of the system.
    pub(super) fn new() -> Arc<Self> {
        Self::with(system)
    }

    fn with(resolve: fn(&str) -> io::Result<Vec<SocketAddr>>) -> Arc<Self> {
        let limiter = Arc::new(ConcurrencyLimiter::new(MAX_LOOKUPS, MAX_SLOW_LOOKUPS));
        Arc::new(Self { resolve, limiter, slow: Mutex::default() })
    }
}

impl TenantLookups {
    /// A tenant's part of all lookups.
    pub(super) fn new(all: &Arc<Lookups>) -> Arc<Self> {
        let of_all = Arc::clone(&all.limiter);
        let limiter = TenantLimiter::new(MAX_TENANT_LOOKUPS, MAX_TENANT_SLOW_LOOKUPS, of_all);
        Arc::new(Self { all: Arc::clone(all), limiter, running: Mutex::default() })
    }

    /// Runs a delivery, whose lookups are these.
    pub(super) async fn scope<T>(self: &Arc<Self>, delivery: impl Future<Output = T>) -> T {
        LOOKUPS.scope(Arc::clone(self), delivery).await
    }

    /// The lookup of a name: the one that is running, or a new one.
    fn find(self: &Arc<Self>, host: String) -> Lookup {
        let mut running = self.running.lock();
        if let Some(lookup) = running.get(&host) {
            return lookup.clone();
        }
        let (lookups, name) = (Arc::clone(self), host.clone());
        // A task, so that it ends even if nobody waits for it any more.
        let task = tokio::spawn(async move {
            let found = lookups.run(&name).await.map_err(Arc::new);
            lookups.running.lock().remove(&name);
            found
        });
        let lookup =
            task.map(|found| found.unwrap_or_else(|error| Err(Arc::new(error.into())))).boxed().shared();
        running.insert(host, lookup.clone());
        lookup
    }

    /// Makes a lookup when there is a permit for it.
    async fn run(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        let was_slow = self.all.slow.lock().contains(host);
        let (found, is_slow) = self.limiter.attempt(was_slow, on_thread(self.all.resolve, host)).await;
        let mut slow = self.all.slow.lock();
        if !is_slow {
            slow.remove(host);
        } else {
            if slow.len() >= MAX_SLOW_NAMES {
                slow.clear();
            }
            slow.insert(host.to_owned());
        }
        found
    }
}

async fn on_thread(
    resolve: fn(&str) -> io::Result<Vec<SocketAddr>>,
    host: &str,
) -> io::Result<Vec<SocketAddr>> {
    let (sender, found) = oneshot::channel();
    let host = host.to_owned();
    std::thread::Builder::new().name("lookup".to_owned()).spawn(move || {
        // The task may have ended with the process.
        let _ = sender.send(resolve(&host));
    })?;
    found.await.unwrap_or_else(|_| Err(io::Error::other("the lookup panicked")))
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
        let lookups = LOOKUPS.try_with(Arc::clone).unwrap_or_else(|_| Arc::clone(&self.others));
        let (rules, lookup) = (self.rules, lookups.find(name.as_str().to_owned()));
        Box::pin(async move {
            let found = timeout(LOOKUP_TIMEOUT, lookup).await?.map_err(unshared)?;
            let addresses: Addrs = Box::new(allowed(found.into_iter(), rules)?.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that hang are resolved after 5 s, the others at once.
    fn some_hang(host: &str) -> io::Result<Vec<SocketAddr>> {
        if host.ends_with(".hang.test") {
            let (_open, never) = std::sync::mpsc::channel::<()>();
            let _ = never.recv_timeout(Duration::from_secs(5));
        }
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
    }

    /// Kind: shared permits. The names of a tenant's dead targets, more than have permits, delay no name of another.
    #[tokio::test]
    async fn resolver_names_of_a_tenant_that_hang_delay_no_name_of_another() {
        let all = Lookups::with(some_hang);
        let (storm, calm) = (TenantLookups::new(&all), TenantLookups::new(&all));
        let names = 0..2 * MAX_SLOW_LOOKUPS;
        let _hanging: Vec<Lookup> = names.map(|number| storm.find(format!("{number}.hang.test"))).collect();
        // After the first one, all permits that the storm can have are taken.
        let _ = storm.find("0.hang.test".to_owned()).await;
        let found = timeout(Duration::from_secs(4), calm.find("ok.test".to_owned())).await;
        assert_eq!(found.expect("it waits for those of another tenant").unwrap().len(), 1);
    }

    /// A target whose name hangs delays no other of the same tenant.
    #[tokio::test]
    async fn resolver_names_that_hang_delay_no_other_name() {
        let lookups = TenantLookups::new(&Lookups::with(some_hang));
        let hang = || (0..2 * MAX_TENANT_LOOKUPS).map(|number| lookups.find(format!("{number}.hang.test")));
        let hanging: Vec<Lookup> = hang().collect();
        let found = timeout(Duration::from_secs(4), lookups.find("ok.test".to_owned())).await;
        assert_eq!(found.expect("it waits for slow lookups").unwrap().len(), 1);
        // Repeated while the first one hangs, a lookup starts no second thread.
        assert!(lookups.find("0.hang.test".to_owned()).ptr_eq(&hanging[0]));
        for lookup in hanging {
            assert!(lookup.await.is_ok());
        }
        assert!(lookups.running.lock().is_empty());
        assert_eq!(lookups.all.slow.lock().len(), 2 * MAX_TENANT_LOOKUPS);
        // From the second time on, they take no place of fast ones at all.
        let _hanging: Vec<Lookup> = hang().collect();
        tokio::task::yield_now().await;
        let found = timeout(Duration::from_secs(4), lookups.find("ok.test".to_owned())).await;
        assert!(found.is_ok(), "a name that was slow is among the fast ones");
    }

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
