//! The collaboration score.

use agentcafe_domain::collaboration::{
    Collaboration, CollaborationCounter, CollaborationGrade, CollaborationMetrics, counted_types,
};
use agentcafe_domain::kernel::{ActorId, EventType};

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
fn collaboration_score_follows_the_formula() {
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
        (&[(AgentEntered, 5), (TaskCreated, 5), (PresenceHeartbeat, 50)], 7, 0.0, CollaborationGrade::Early),
    ];
    for (events, actors, score, grade) in cases {
        let got = tally(events, actors);
        assert_eq!((got.score, got.grade), (score, grade), "{events:?}");
    }
    let got = tally(&[(TaskAssigned, 2), (SharedObjectCreated, 1), (SharedObjectUpdated, 1), turns(3)], 2);
    let want = CollaborationMetrics {
        tasks_completed: 0,
        coordination_actions: 2,
        object_edits: 2,
        conversation_turns: 3,
        contributors: 2,
    };
    assert_eq!(got.metrics, want);
}

/// The types that count.
const COUNTED: [EventType; 5] = [
    EventType::ConversationMessagePosted,
    EventType::TaskAssigned,
    EventType::TaskCompleted,
    EventType::SharedObjectCreated,
    EventType::SharedObjectUpdated,
];

/// Types that look alike, and do not.
const UNCOUNTED: [EventType; 7] = [
    EventType::BubblePosted,
    EventType::MentionCreated,
    EventType::OrderChanged,
    EventType::TaskCreated,
    EventType::TaskHandoff,
    EventType::TaskProgressUpdated,
    EventType::TaskUpdated,
];

#[test]
fn collaboration_counts_the_counted_types_only() {
    for kind in EventType::ALL {
        let counts = tally(&[(*kind, 1)], 1).metrics.contributors == 1;
        assert_eq!(counts, counted_types().contains(kind), "{kind:?}");
        assert!(!COUNTED.contains(kind) || counts, "{kind:?}");
        assert!(!UNCOUNTED.contains(kind) || !counts, "{kind:?}");
    }
}
