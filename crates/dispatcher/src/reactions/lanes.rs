//! The positions of the lanes: how far the reactions of each tenant are behind.

use std::collections::{BTreeMap, HashMap};

use agentcafe_domain::kernel::{FollowerCursor, Sequence, TenantId};
use agentcafe_engine::followers::Progress;
use agentcafe_store::Failure;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The most lanes at a time; the router waits while there are as many.
const MAX_LANES: usize = 1_024;
/// After how many events without a reaction the position is saved.
const SAVE_EVERY: u64 = 1_000;

/// The lanes of all tenants that have events to be processed.
pub(super) struct Lanes {
    pub(super) progress: Progress,
    positions: Mutex<Positions>,
    save_due: Notify,
    has_room: Notify,
}

struct Positions {
    /// Every event up to here belongs to a lane or was processed.
    routed: Sequence,
    lanes: HashMap<TenantId, LanePosition>,
    /// `routed` when it was last saved.
    saved: Sequence,
}

struct LanePosition {
    /// The events of the tenant up to here were processed.
    cursor: Sequence,
    /// The last event of the tenant.
    last: Sequence,
    /// `cursor` when saving it was last due.
    saved: Sequence,
}

impl LanePosition {
    fn new(cursor: Sequence, last: Sequence) -> Self {
        Self { cursor, last, saved: cursor }
    }
}

impl Positions {
    /// Up to where the events of all tenants were processed. Until it ends, a lane counts as not done with its last event.
    fn processed(&self) -> Sequence {
        let of_lane = |lane: &LanePosition| lane.cursor.min(Sequence(lane.last.0.saturating_sub(1)));
        self.lanes.values().map(of_lane).fold(self.routed, Sequence::min)
    }
}

impl Lanes {
    /// The lanes after a start: those that were behind when the position was saved.
    pub(super) fn new(progress: Progress, saved: FollowerCursor) -> Self {
        let FollowerCursor { cursor: routed, lanes, .. } = saved;
        let lanes = lanes.into_iter().map(|(tenant, cursor)| (tenant, LanePosition::new(cursor, routed)));
        let positions = Mutex::new(Positions { routed, lanes: lanes.collect(), saved: routed });
        Self { progress, positions, save_due: Notify::new(), has_room: Notify::new() }
    }

    /// The tenants with a lane.
    pub(super) fn tenants(&self) -> Vec<TenantId> {
        self.positions.lock().lanes.keys().cloned().collect()
    }

    /// Whether there is one lane at most.
    pub(super) fn is_single(&self) -> bool {
        self.positions.lock().lanes.len() <= 1
    }

    /// Waits until there may be one more lane.
    pub(super) async fn wait_for_room(&self) {
        while self.positions.lock().lanes.len() >= MAX_LANES {
            self.has_room.notified().await;
        }
    }

    /// Adds an event to the lane of its tenant. Returns whether the lane is new, and must be started.
    pub(super) fn add(&self, tenant: &TenantId, event: Sequence) -> bool {
        let mut positions = self.positions.lock();
        if let Some(lane) = positions.lanes.get_mut(tenant) {
            lane.last = event;
            return false;
        }
        let before = Sequence(event.0.saturating_sub(1));
        positions.lanes.insert(tenant.clone(), LanePosition::new(before, event));
        true
    }

    /// Records that every event up to here belongs to a lane, or to a tenant without rules.
    pub(super) fn advance(&self, routed: Sequence) {
        let mut positions = self.positions.lock();
        positions.routed = routed;
        if routed.0 - positions.saved.0 >= SAVE_EVERY {
            self.save_due.notify_one();
        }
        self.progress.reach(positions.processed());
    }

    /// The position of a lane, and its last event.
    pub(super) fn position(&self, tenant: &TenantId) -> (Sequence, Sequence) {
        let positions = self.positions.lock();
        let of_lane = |lane: &LanePosition| (lane.cursor, lane.last);
        positions.lanes.get(tenant).map_or((positions.routed, positions.routed), of_lane)
    }

    /// Records that a lane has processed its events up to `cursor`; `has_reacted`: some of them with reactions.
    pub(super) fn reach(&self, tenant: &TenantId, cursor: Sequence, has_reacted: bool) {
        let mut positions = self.positions.lock();
        if let Some(lane) = positions.lanes.get_mut(tenant) {
            lane.cursor = cursor;
            if has_reacted || cursor.0 - lane.saved.0 >= SAVE_EVERY {
                lane.saved = cursor;
                self.save_due.notify_one();
            }
        }
        self.progress.reach(positions.processed());
    }

    /// Ends a lane if it has processed all its events. Returns whether it has.
    pub(super) fn finish(&self, tenant: &TenantId) -> bool {
        let mut positions = self.positions.lock();
        let is_done = positions.lanes.get(tenant).is_none_or(|lane| lane.cursor >= lane.last);
        if is_done {
            positions.lanes.remove(tenant);
            self.has_room.notify_one();
            self.progress.reach(positions.processed());
        }
        is_done
    }

    /// Waits until the position is to be saved.
    pub(super) async fn wait_until_due(&self) {
        self.save_due.notified().await;
    }

    /// Saves the position.
    ///
    /// # Errors
    /// The store cannot be written right now.
    pub(super) async fn save(&self) -> Result<(), Failure> {
        let (routed, lanes) = {
            let positions = self.positions.lock();
            let cursors = positions.lanes.iter().map(|(tenant, lane)| (tenant.clone(), lane.cursor));
            (positions.routed, cursors.collect::<BTreeMap<_, _>>())
        };
        self.progress.save(routed, lanes).await?;
        self.positions.lock().saved = routed;
        Ok(())
    }
}
