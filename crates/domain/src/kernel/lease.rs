//! Leases: of the nodes that share a database, one at a time does work that must not run twice.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::kernel::command::{Command, CommandContext, CommandError, Reply, Success};
use crate::kernel::error::{Code, DomainError};
use crate::kernel::record::{Key, Query, record};
use crate::kernel::time::Timestamp;

/// A lease: its holder, and its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// The work that it guards.
    pub name: String,
    /// The node that holds it; none once it was released.
    pub holder: Option<Uuid>,
    /// When it ends, unless it is renewed before.
    pub until: Timestamp,
}

impl Lease {
    /// The key of the lease of this name.
    pub fn key_of(name: &str) -> Key {
        vec![name.into()]
    }

    /// Whether a node may acquire it: no other node holds it, or its time has run out.
    pub fn is_free(&self, node: Uuid, now: Timestamp) -> bool {
        self.holder.is_none_or(|holder| holder == node) || self.until <= now
    }
}

record!(Lease in "leases": [name] until);

/// A node's claim to a lease: commands that carry it are refused once another node has acquired the lease (a fencing token).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseToken {
    /// The lease.
    pub name: &'static str,
    /// The node.
    pub holder: Uuid,
}

impl LeaseToken {
    /// What [`LeaseToken::check`] reads.
    pub fn read(self) -> Query {
        Query::one::<Lease>(Lease::key_of(self.name))
    }

    /// Checks that no other node has acquired the lease: a node that lost it without noticing writes nothing more.
    ///
    /// # Errors
    /// Another node holds the lease.
    pub fn check(self, ctx: &CommandContext<'_>) -> Result<(), CommandError> {
        let lease: Option<Lease> = ctx.get(Lease::key_of(self.name))?;
        match lease.and_then(|lease| lease.holder) {
            Some(holder) if holder != self.holder => Err(lost(self.name).into()),
            _ => Ok(()),
        }
    }
}

fn lost(name: &str) -> DomainError {
    DomainError::new(Code::Conflict).saying(format!("another node holds the lease {name}"))
}

/// Acquires a lease if it is free, or renews it. Answers whether it is held now.
pub struct AcquireLease {
    /// The lease, and the node that acquires it.
    pub token: LeaseToken,
    /// How long it is held unless renewed, in milliseconds.
    pub ttl_ms: i64,
}

impl Command for AcquireLease {
    fn reads(&self) -> Vec<Query> {
        vec![self.token.read()]
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let LeaseToken { name, holder } = self.token;
        let lease: Option<Lease> = ctx.get(Lease::key_of(name))?;
        let is_free = lease.is_none_or(|lease| lease.is_free(holder, ctx.now));
        if is_free {
            let until = ctx.now.plus_ms(self.ttl_ms);
            ctx.put(&Lease { name: name.to_owned(), holder: Some(holder), until });
        }
        Ok(Reply::new(Success::Ok, &is_free))
    }
}

/// Releases a lease, so that another node need not wait until it runs out.
pub struct ReleaseLease {
    /// The lease, and the node that held it.
    pub token: LeaseToken,
}

impl Command for ReleaseLease {
    fn reads(&self) -> Vec<Query> {
        vec![self.token.read()]
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let LeaseToken { name, holder } = self.token;
        let lease: Option<Lease> = ctx.get(Lease::key_of(name))?;
        let is_own = lease.is_some_and(|lease| lease.holder == Some(holder));
        if is_own {
            ctx.put(&Lease { name: name.to_owned(), holder: None, until: ctx.now });
        }
        Ok(Reply::new(Success::Ok, &is_own))
    }
}
