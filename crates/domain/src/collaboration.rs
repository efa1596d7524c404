//! The collaboration score: how much those in a room have done together, from their events.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Serialize;

use crate::kernel::{ActorId, EventType};
use crate::projection::effects::{Contribution, EventEffects};

/// The types of events that count.
pub fn counted_types() -> Vec<EventType> {
    EventType::ALL.iter().copied().filter(|kind| EventEffects::of(*kind).counts_as.is_some()).collect()
}

/// Turns of a conversation beyond this many add nothing.
const MAX_TURNS: u64 = 40;
const BEST: f64 = 100.0;

/// Counts events, in any order.
#[derive(Clone, Debug, Default)]
pub struct CollaborationCounter {
    metrics: CollaborationMetrics,
    contributors: HashSet<ActorId>,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CollaborationMetrics {
    /// Tasks that were finished.
    pub tasks_completed: u64,
    /// Tasks that got another assignee.
    pub coordination_actions: u64,
    /// Shared objects that were created or changed.
    pub object_edits: u64,
    /// Messages.
    pub conversation_turns: u64,
    /// How many actors did all this.
    pub contributors: u64,
}

/// The score as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CollaborationGrade {
    /// 80 and more.
    Excellent,
    /// 60 and more.
    Good,
    /// 35 and more.
    Fair,
    /// Less.
    Early,
}

/// The score and what it is made of.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Collaboration {
    /// 0 to 100.
    pub score: f64,
    /// What that means.
    pub grade: CollaborationGrade,
    /// What was counted.
    pub metrics: CollaborationMetrics,
}

impl CollaborationCounter {
    /// Counts an event, if its type counts.
    pub fn count(&mut self, kind: EventType, actor: ActorId) {
        let metrics = &mut self.metrics;
        let counter = match EventEffects::of(kind).counts_as {
            Some(Contribution::CompletedTask) => &mut metrics.tasks_completed,
            Some(Contribution::Coordination) => &mut metrics.coordination_actions,
            Some(Contribution::ObjectEdit) => &mut metrics.object_edits,
            Some(Contribution::ConversationTurn) => &mut metrics.conversation_turns,
            None => return,
        };
        *counter += 1;
        self.contributors.insert(actor);
    }

    /// The score of what was counted.
    pub fn collaboration(&self) -> Collaboration {
        let metrics = CollaborationMetrics { contributors: self.contributors.len() as u64, ..self.metrics };
        let score = metrics.score();
        Collaboration { score, grade: CollaborationGrade::of(score), metrics }
    }
}

impl CollaborationMetrics {
    fn score(&self) -> f64 {
        let raw = 30.0 * self.tasks_completed as f64
            + 10.0 * self.coordination_actions as f64
            + 3.0 * self.object_edits as f64
            + 0.5 * self.conversation_turns.min(MAX_TURNS) as f64
            + 4.0 * self.contributors.saturating_sub(1) as f64;
        (raw.min(BEST) * 100.0).round() / 100.0
    }
}

impl CollaborationGrade {
    fn of(score: f64) -> Self {
        if score >= 80.0 {
            Self::Excellent
        } else if score >= 60.0 {
            Self::Good
        } else if score >= 35.0 {
            Self::Fair
        } else {
            Self::Early
        }
    }
}
