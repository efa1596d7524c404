//! Moderation's rate windows, shared by the nodes of one database: loaded before a commit batch, saved after it.

use std::collections::HashSet;

use agentcafe_domain::kernel::ActorInRoom;
use agentcafe_domain::moderation::{ModerationRules, RecentActivity};
pub use futures_util::future::BoxFuture;

use crate::commit::{CommitContext, QueuedCommand};

/// Where nodes share the recent activity that moderation limits. While it is unavailable, each node uses its own activity only.
pub trait SharedRateWindows: Send + Sync {
    /// The recent activity of actors, in their order; none if it is unavailable.
    fn load<'a>(&'a self, actors: &'a [ActorInRoom]) -> BoxFuture<'a, Option<Vec<Vec<RecentActivity>>>>;

    /// Adds activity.
    fn save(&self, activity: Vec<(ActorInRoom, RecentActivity)>) -> BoxFuture<'_, ()>;
}

impl CommitContext {
    /// Adds the activity of these commands' actors on other nodes.
    pub(crate) async fn load_shared_windows(&mut self, commands: &[QueuedCommand]) {
        let rules: &ModerationRules = self.rules.get();
        let Some(shared) = self.shared.as_ref().filter(|_| rules.is_on()) else { return };
        let actors: HashSet<ActorInRoom> =
            commands.iter().filter_map(|queued| queued.envelope.command.guarded_actor()).collect();
        if actors.is_empty() {
            return;
        }
        let actors: Vec<ActorInRoom> = actors.into_iter().collect();
        let Some(activities) = shared.load(&actors).await else { return };
        for (actor, activity) in actors.iter().zip(activities) {
            self.windows.merge(actor, activity, rules);
        }
    }

    /// Shares activity with other nodes.
    pub(crate) async fn save_shared_windows(&self, activity: Vec<(ActorInRoom, RecentActivity)>) {
        if let Some(shared) = self.shared.as_ref().filter(|_| !activity.is_empty()) {
            shared.save(activity).await;
        }
    }
}
