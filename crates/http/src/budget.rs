//! A budget of bytes that are being sent: of the process, and of each client. Clients that read slowly cannot fill the memory,
//! and none can spend the budget of all others.

use std::collections::HashMap;
use std::sync::LazyLock;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::client::Client;

/// A budget, in KiB.
pub(crate) struct Budget {
    of_all: u32,
    of_client: u32,
    spent: LazyLock<Mutex<Spent>>,
    freed: Notify,
}

#[derive(Default)]
struct Spent {
    total: u32,
    by_client: HashMap<Client, u32>,
}

/// What a client has of a budget, until it is dropped.
pub(crate) struct Share {
    budget: &'static Budget,
    client: Client,
    kib: u32,
}

impl Budget {
    /// A budget of so many KiB for all clients together, and for each of them.
    pub(crate) const fn new(of_all: u32, of_client: u32) -> Self {
        Self { of_all, of_client, spent: LazyLock::new(Mutex::default), freed: Notify::const_new() }
    }

    /// A share of so many bytes, at most all that a client may have; none while that is spent.
    pub(crate) fn take(&'static self, client: &Client, bytes: u64) -> Option<Share> {
        let kib = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX).min(self.of_client);
        let mut spent = self.spent.lock();
        let total = spent.total + kib;
        let of_client = spent.by_client.get(client).copied().unwrap_or_default() + kib;
        if total > self.of_all || of_client > self.of_client {
            return None;
        }
        spent.total = total;
        spent.by_client.insert(client.clone(), of_client);
        Some(Share { budget: self, client: client.clone(), kib })
    }

    /// Waits for a share: until clients have read what is sent to them, or were disconnected because they did not.
    pub(crate) async fn wait(&'static self, client: &Client, bytes: u64) -> Share {
        loop {
            let freed = self.freed.notified();
            if let Some(share) = self.take(client, bytes) {
                return share;
            }
            freed.await;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut spent = self.budget.spent.lock();
        spent.total -= self.kib;
        if let Some(of_client) = spent.by_client.get_mut(&self.client) {
            *of_client -= self.kib;
            if *of_client == 0 {
                spent.by_client.remove(&self.client);
            }
        }
        drop(spent);
        self.budget.freed.notify_waiters();
    }
}
