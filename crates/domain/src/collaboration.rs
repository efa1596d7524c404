//! The collaboration score: how much those in a room have done together, from their events.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Serialize;

use crate::kernel::{ActorId, EventType};

/// The types of events that count.
pub const COUNTED: [EventType; 5] = [
    EventType::ConversationMessagePosted,
    EventType::TaskAssigned,
    EventType::TaskCompleted,
    EventType::SharedObjectCreated,
    EventType::SharedObjectUpdated,
];

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

/// What the score says in a word.
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
    /// Counts an event, if its type is one of [`COUNTED`].
    pub fn count(&mut self, kind: EventType, actor: ActorId) {
        let counter = match kind {
            EventType::TaskCompleted => &mut self.metrics.tasks_completed,
            EventType::TaskAssigned => &mut self.metrics.coordination_actions,
            EventType::SharedObjectCreated | EventType::SharedObjectUpdated => &mut self.metrics.object_edits,
            EventType::ConversationMessagePosted => &mut self.metrics.conversation_turns,
            EventType::AgentEntered
            | EventType::AgentLeft
            | EventType::StatusChanged
            | EventType::PresenceHeartbeat
            | EventType::ActorMoved
            | EventType::MentionCreated
            | EventType::BubblePosted
            | EventType::OrderChanged
            | EventType::IntentPlanned
            | EventType::IntentCompleted
            | EventType::SnapshotCreated
            | EventType::RoomContextPinned
            | EventType::OperatorOverrideApplied
            | EventType::TaskCreated
            | EventType::TaskUpdated
            | EventType::TaskProgressUpdated
            | EventType::TaskHandoff
            | EventType::RoomCreated
            | EventType::RoomUpdated
            | EventType::TableSessionCreated
            | EventType::TableSessionUpdated
            | EventType::TableSessionEnded => return,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(events: &[(EventType, u64)], actors: u64) -> Collaboration {
        let mut tally = CollaborationCounter::default();
        let kinds = events.iter().flat_map(|(kind, times)| (0..*times).map(|_| *kind));
        for (number, kind) in (0..).zip(kinds) {
            tally.count(kind, ActorId::parse(&format!("a{}", number % actors)).unwrap());
        }
        tally.collaboration()
    }

    /// The formula, its bounds and the grades.
    #[test]
    fn a_score_follows_the_formula() {
        use EventType::*;
        let turns = |count| (ConversationMessagePosted, count);
        let cases: [(&[(EventType, u64)], u64, f64, CollaborationGrade); 12] = [
            (&[], 1, 0.0, CollaborationGrade::Early),
            (&[turns(1)], 1, 0.5, CollaborationGrade::Early),
            (&[turns(40)], 1, 20.0, CollaborationGrade::Early),
            (&[turns(400)], 1, 20.0, CollaborationGrade::Early),
            (&[turns(40)], 5, 36.0, CollaborationGrade::Fair),
            (&[(TaskCompleted, 1), (TaskAssigned, 1)], 1, 40.0, CollaborationGrade::Fair),
            (&[(TaskCompleted, 1), (SharedObjectCreated, 1)], 1, 33.0, CollaborationGrade::Early),
            (&[(TaskCompleted, 2)], 1, 60.0, CollaborationGrade::Good),
            (&[(SharedObjectUpdated, 20), turns(39)], 1, 79.5, CollaborationGrade::Good),
            (&[(SharedObjectUpdated, 20), turns(40)], 1, 80.0, CollaborationGrade::Excellent),
            (&[(TaskCompleted, 9)], 3, 100.0, CollaborationGrade::Excellent),
            (
                &[(AgentEntered, 5), (TaskCreated, 5), (PresenceHeartbeat, 50)],
                7,
                0.0,
                CollaborationGrade::Early,
            ),
        ];
        for (events, actors, score, grade) in cases {
            let got = tally(events, actors);
            assert_eq!((got.score, got.grade), (score, grade), "{events:?}");
        }
        let got =
            tally(&[(TaskAssigned, 2), (SharedObjectCreated, 1), (SharedObjectUpdated, 1), turns(3)], 2);
        let want = CollaborationMetrics {
            tasks_completed: 0,
            coordination_actions: 2,
            object_edits: 2,
            conversation_turns: 3,
            contributors: 2,
        };
        assert_eq!(got.metrics, want);
    }

    #[test]
    fn what_counts_is_listed() {
        for kind in EventType::ALL {
            let counts = tally(&[(*kind, 1)], 1).metrics.contributors == 1;
            assert_eq!(counts, COUNTED.contains(kind), "{kind:?}");
        }
    }
}
