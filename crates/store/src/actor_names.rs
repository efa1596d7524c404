//! Makes the names of the actors that a store knows already: those of an earlier version, or of an import.

use std::collections::HashMap;

use agentcafe_domain::actors::ActorName;
use agentcafe_domain::kernel::{ActorId, Key, Record, TenantId};

/// The migration that makes the table; it fills it, too.
pub(crate) const MIGRATION: &str = "0005_actor_names";
/// The actors that a store knows, each with its tenant.
pub(crate) const KNOWN_ACTORS: &str =
    "SELECT tenant_id, actor_id FROM presence UNION SELECT tenant_id, actor_id FROM profiles ORDER BY 1, 2";

/// Names, of which those that look the same are one.
#[derive(Default)]
pub(crate) struct ActorNames(HashMap<Key, ActorName>);

impl ActorNames {
    /// Adds an actor. What is no id is left out: such a record cannot be read at all.
    pub(crate) fn add(&mut self, tenant: &str, actor: &str) {
        let (Ok(tenant), Ok(actor)) = (TenantId::stored(tenant), ActorId::stored(actor)) else { return };
        let name = ActorName::new(tenant, actor);
        match self.0.get_mut(&name.key()) {
            Some(known) => known.actor_ids.extend(name.actor_ids),
            None => drop(self.0.insert(name.key(), name)),
        }
    }

    /// The names.
    pub(crate) fn into_records(self) -> impl Iterator<Item = ActorName> {
        self.0.into_values()
    }
}
