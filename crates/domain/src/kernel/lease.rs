//! Leases: of the nodes that share a database, one at a time does what must not be done twice at once.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::kernel::{
    command::{Command, CommandContext, CommandError, Reply, Success},
    error::{Code, DomainError},
    record::{Cell, Key, Query, Record, Table},
    time::Timestamp,
};

/// Who holds a lease, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// What it is for.
    pub name: String,
    /// The node that holds it; none once it was given back.
    pub holder: Option<Uuid>,
    /// When it ends, unless it is renewed before.
    pub until: Timestamp,
}

impl Lease {
    /// The key of the lease of this name.
    pub fn key_of(name: &str) -> Key {
        vec![name.into()]
    }

    /// Whether a node may take it: nobody else holds it, or who did has let it run out.
    pub fn is_free(&self, node: Uuid, now: Timestamp) -> bool {
        self.holder.is_none_or(|holder| holder == node) || self.until <= now
    }
}

impl Record for Lease {
    const TABLE: &'static Table = &Table { name: "leases", key: &["name"], columns: &["until"] };

    fn key(&self) -> Key {
        Self::key_of(&self.name)
    }

    fn columns(&self) -> Vec<Cell> {
        vec![self.until.into()]
    }
}

/// A node's hold on a lease, as what it writes shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseToken {
    /// The lease.
    pub name: &'static str,
    /// The node.
    pub holder: Uuid,
}

impl LeaseToken {
    /// What [`LeaseToken::check`] needs to know.
    pub fn read(self) -> Query {
        Query::one::<Lease>(Lease::key_of(self.name))
    }

    /// Makes sure that no other node has taken over: who lost its lease without noticing writes nothing more.
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

/// Takes a lease if it is free, or renews it. Answers whether it is held now.
pub struct Claim {
    /// The lease, and who wants it.
    pub hold: LeaseToken,
    /// For how long, in milliseconds.
    pub ttl_ms: i64,
}

impl Command for Claim {
    fn reads(&self) -> Vec<Query> {
        vec![self.hold.read()]
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let LeaseToken { name, holder } = self.hold;
        let lease: Option<Lease> = ctx.get(Lease::key_of(name))?;
        let is_free = lease.is_none_or(|lease| lease.is_free(holder, ctx.now));
        if is_free {
            let until = ctx.now.plus_ms(self.ttl_ms);
            ctx.put(&Lease { name: name.to_owned(), holder: Some(holder), until });
        }
        Ok(Reply::new(Success::Ok, &is_free))
    }
}

/// Gives a lease back, so that another node need not wait until it runs out.
pub struct GiveBack {
    /// The lease, and who held it.
    pub hold: LeaseToken,
}

impl Command for GiveBack {
    fn reads(&self) -> Vec<Query> {
        vec![self.hold.read()]
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let LeaseToken { name, holder } = self.hold;
        let lease: Option<Lease> = ctx.get(Lease::key_of(name))?;
        let is_own = lease.is_some_and(|lease| lease.holder == Some(holder));
        if is_own {
            ctx.put(&Lease { name: name.to_owned(), holder: None, until: ctx.now });
        }
        Ok(Reply::new(Success::Ok, &is_own))
    }
}
