//! Which rooms are projected: all, or a list.

use agentcafe_client::Query;
use agentcafe_domain::kernel::{RoomId, TenantId};

/// Which rooms are projected; an empty list means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The tenants.
    pub tenants: Vec<TenantId>,
    /// The ids of the rooms.
    pub rooms: Vec<RoomId>,
}

impl Scope {
    /// Whether a room is projected.
    #[must_use]
    pub fn contains(&self, tenant: &TenantId, room: &RoomId) -> bool {
        (self.tenants.is_empty() || self.tenants.contains(tenant))
            && (self.rooms.is_empty() || self.rooms.contains(room))
    }

    /// The query for the API's event stream, which may return more rooms than the scope.
    pub(crate) fn query(&self) -> Query {
        let mut query = Query::new();
        if let [tenant] = &self.tenants[..] {
            query.push(("tenantId", tenant.to_string()));
        }
        if let [room] = &self.rooms[..] {
            query.push(("roomId", room.to_string()));
        }
        query
    }

    /// A name that is the same for the same rooms.
    pub(crate) fn name(&self) -> String {
        fn sorted<T: Ord + ToString>(ids: &[T]) -> Vec<String> {
            let mut names: Vec<String> = ids.iter().map(T::to_string).collect();
            names.sort_unstable();
            names
        }
        format!("tenants {:?}, rooms {:?}", sorted(&self.tenants), sorted(&self.rooms))
    }
}
