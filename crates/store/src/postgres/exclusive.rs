//! Names that one at a time holds, of all nodes: advisory locks, each on a connection of its own, with which it goes.

use agentcafe_eventlog::ReadError;
use deadpool_postgres::Object;

use super::{
    connection::Connection,
    reads::{PostgresReads, logged},
};

/// A name that is held until this is dropped, or the node dies.
pub(crate) struct Held(Option<Object>);

impl Drop for Held {
    fn drop(&mut self) {
        // The lock ends with its session.
        drop(self.0.take().map(Object::take));
    }
}

impl PostgresReads {
    /// Waits until nobody else holds this name, but not for ever.
    pub(crate) async fn hold(&self, name: i64) -> Result<Held, ReadError> {
        let connection = Connection::of(&self.locks, &self.schema).await.map_err(logged)?;
        let asked = connection.in_time(async {
            Ok(connection.query("SELECT pg_advisory_lock($1)", &[&name]).await.map(drop)?)
        });
        let asked = asked.await;
        // Closed also if that failed: it may have the lock, or get it yet.
        let held = Held(Some(connection.client));
        asked.map(|()| held).map_err(logged)
    }
}
