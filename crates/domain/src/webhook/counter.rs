//! Numbers that are given in turn: to changes of subscriptions, to deliveries, to what could not be delivered.

use serde::{Deserialize, Serialize};

use crate::{
    command::{Halt, Moment},
    record::{Cell, Key, Query, Record, Table},
};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Changes of subscriptions.
    Revisions,
    /// Deliveries.
    Deliveries,
    /// What could not be delivered.
    DeadLetters,
}

impl Counted {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Revisions => "revisions",
            Self::Deliveries => "deliveries",
            Self::DeadLetters => "dead_letters",
        }
    }
}

/// How far has been counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    name: String,
    /// The last number given.
    pub last: u64,
    /// Of what could not be delivered: how many are not resolved.
    pub open: u64,
}

impl Counter {
    /// The key of a counter.
    pub fn key_of(counted: Counted) -> Key {
        vec![counted.as_str().into()]
    }

    /// What [`Counter::load`] reads.
    pub fn read(counted: Counted) -> Query {
        Query::one::<Self>(Self::key_of(counted))
    }

    /// The counter as it stands; at 0 if nothing was counted yet.
    ///
    /// # Errors
    /// [`Halt::Needs`] if it was not loaded.
    pub fn load(moment: &Moment<'_>, counted: Counted) -> Result<Self, Halt> {
        let found = moment.get(Self::key_of(counted))?;
        Ok(found.unwrap_or_else(|| Self { name: counted.as_str().to_owned(), last: 0, open: 0 }))
    }

    /// Gives the next number.
    pub fn advance(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

/// The number of the next change of a subscription.
///
/// # Errors
/// [`Halt::Needs`] if the counter was not loaded.
pub(super) fn next_revision(moment: &mut Moment<'_>) -> Result<u64, Halt> {
    let mut counter = Counter::load(moment, Counted::Revisions)?;
    let revision = counter.advance();
    moment.put(&counter);
    Ok(revision)
}

impl Record for Counter {
    const TABLE: &'static Table = &Table { name: "webhook_counters", key: &["name"], columns: &[] };

    fn key(&self) -> Key {
        vec![self.name.as_str().into()]
    }

    fn columns(&self) -> Vec<Cell> {
        Vec::new()
    }
}
