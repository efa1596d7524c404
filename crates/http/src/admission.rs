//! Which connections a process accepts: as many as it may open files, and of each client address a bounded number.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::client_address::network_of;

/// The most open connections of a process; further ones wait in the backlog of the kernel.
const MAX_CONNECTIONS: usize = 32_768;
/// The fewest descriptors that are kept for the store, webhooks and log files.
const MIN_RESERVED_FILES: usize = 32;
const MAX_RESERVED_FILES: usize = 4_096;

/// The limits of connections, which all servers of a process share.
#[derive(Clone)]
pub struct Admission(Arc<Shared>);

struct Shared {
    connections: Arc<Semaphore>,
    /// Fewer than connections, so that other requests are answered while all of these are taken.
    streams: Arc<Semaphore>,
    max_per_address: usize,
    trusted_proxies: Vec<IpNet>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Admission {
    /// Limits for a process that may open so many files. `max_per_address` is for each client address, or each /64 network of
    /// IPv6, but not for proxies; 0: no limit.
    pub fn new(open_files: u64, max_per_address: usize, trusted_proxies: Vec<IpNet>) -> Self {
        let files = usize::try_from(open_files).unwrap_or(usize::MAX);
        let reserved = (files / 4).clamp(MIN_RESERVED_FILES, MAX_RESERVED_FILES);
        let connections = files.saturating_sub(reserved).clamp(1, MAX_CONNECTIONS);
        Self(Arc::new(Shared {
            connections: Arc::new(Semaphore::new(connections)),
            streams: Arc::new(Semaphore::new(connections - connections / 8)),
            max_per_address,
            trusted_proxies,
            open: Mutex::default(),
        }))
    }

    /// Waits until one more connection may be open.
    pub(crate) async fn connection(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.0.connections).acquire_owned().await;
        permit.expect("the semaphore is never closed")
    }

    /// Permits one more stream, if there may be one.
    pub(crate) fn stream(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.streams).try_acquire_owned().ok()
    }

    /// Permits one more connection of an address, if there may be one.
    pub(crate) fn admit(&self, address: IpAddr) -> Option<AddressPermit> {
        let address = address.to_canonical();
        let is_proxy = self.0.trusted_proxies.iter().any(|network| network.contains(&address));
        let network = network_of(address);
        if !is_proxy && self.0.max_per_address > 0 {
            let mut open = self.0.open.lock();
            let count = open.entry(network).or_default();
            if *count >= self.0.max_per_address {
                return None;
            }
            *count += 1;
            return Some(AddressPermit(Some((Arc::clone(&self.0), network))));
        }
        Some(AddressPermit(None))
    }
}

/// An open connection of an address; none if it is not counted.
pub(crate) struct AddressPermit(Option<(Arc<Shared>, IpAddr)>);

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let Some((shared, network)) = &self.0 else { return };
        if let Entry::Occupied(mut count) = shared.open.lock().entry(*network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Others do not count: neither other addresses nor proxies. An IPv6 client has a whole /64 network.
    #[test]
    fn admission_counts_connections_per_address() {
        let admission = Admission::new(1_024, 1, vec!["10.0.0.0/8".parse().unwrap()]);
        let permit = |address: &str| admission.admit(address.parse().unwrap());
        let first = permit("192.0.2.1");
        assert!(first.is_some() && permit("192.0.2.1").is_none() && permit("::ffff:192.0.2.1").is_none());
        drop(first);
        let held = [
            permit("192.0.2.1"),
            permit("192.0.2.2"),
            permit("10.1.1.1"),
            permit("10.1.1.1"),
            permit("2001:db8::1"),
        ];
        assert!(held.iter().all(Option::is_some));
        assert!(permit("2001:db8::2").is_none() && permit("2001:db8:0:1::2").is_some());
        drop(held);
        assert!(admission.0.open.lock().is_empty());
    }

    /// Of few files, some are kept for the server itself, and some connections for other requests than streams.
    #[test]
    fn admission_keeps_descriptors_and_connections_back() {
        for (files, connections, streams) in [(256, 192, 168), (64, 32, 28), (1 << 20, 32_768, 28_672)] {
            let Admission(shared) = Admission::new(files, 0, Vec::new());
            let permits = [&shared.connections, &shared.streams].map(|permits| permits.available_permits());
            assert_eq!(permits, [connections, streams], "{files}");
        }
    }
}
