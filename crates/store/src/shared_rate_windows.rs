//! What moderation remembers, shared by the nodes of one database: asked for before a turn, told after it was committed.

use std::{collections::HashSet, pin::Pin};

use agentcafe_domain::{
    kernel::actor::ActorInRoom,
    moderation::{ModerationRules, RecentActivity},
};

use crate::commit::{Context, Job};

/// An answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where nodes tell each other what moderation remembers. It may be away: then each node goes on with what it knows.
pub trait SharedRateWindows: Send + Sync {
    /// What is remembered of actors, in their order; none if it cannot be asked for.
    fn load<'a>(&'a self, actors: &'a [ActorInRoom]) -> Later<'a, Option<Vec<Vec<RecentActivity>>>>;

    /// Tells what is to be remembered.
    fn save(&self, activity: Vec<(ActorInRoom, RecentActivity)>) -> Later<'_, ()>;
}

impl Context {
    /// Learns what other nodes know of those who are about to act.
    pub(crate) async fn learn(&mut self, jobs: &[Job]) {
        let rules: &ModerationRules = self.rules.get();
        let Some(shared) = self.shared.as_ref().filter(|_| rules.is_on()) else { return };
        let actors: HashSet<ActorInRoom> =
            jobs.iter().filter_map(|job| job.envelope.command.guarded_actor()).collect();
        if actors.is_empty() {
            return;
        }
        let actors: Vec<ActorInRoom> = actors.into_iter().collect();
        let Some(pasts) = shared.load(&actors).await else { return };
        for (actor, activity) in actors.iter().zip(pasts) {
            self.windows.merge(actor, activity, rules);
        }
    }

    /// Tells other nodes what is to be remembered.
    pub(crate) async fn tell(&self, activity: Vec<(ActorInRoom, RecentActivity)>) {
        if let Some(shared) = self.shared.as_ref().filter(|_| !activity.is_empty()) {
            shared.save(activity).await;
        }
    }
}
