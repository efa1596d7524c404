//! Sentences about people: who is there, who goes where, who says what.

use agentcafe_domain::{
    kernel::event::payload::{
        ActorMoved, AgentEntered, AgentLeft, BubblePosted, ConversationMessagePosted, IntentCompleted,
        IntentPlanned, MentionCreated, OrderChanged, PresenceHeartbeat, ReactionRef, StatusChanged,
    },
    presence::{
        Status,
        position::{Direction, Leg},
    },
};

use super::Phrase;

pub(super) fn entered(who: Phrase, entered: &AgentEntered) -> Phrase {
    match entered.position {
        Some(position) => who.plain("enters").dim(format!(" at ({}, {})", position.x, position.y)),
        None => who.plain("enters"),
    }
}

pub(super) fn left(who: Phrase, left: &AgentLeft) -> Phrase {
    if !left.forced {
        return who.plain("leaves");
    }
    let made = who.plain("is made to leave");
    match &left.operator_id {
        Some(operator) => made.plain(" by ").actor(operator),
        None => made,
    }
}

pub(super) fn status_changed(who: Phrase, changed: &StatusChanged) -> Phrase {
    let was = changed.from_status.map(|from| format!("was {}, ", status(from))).unwrap_or_default();
    who.dim(format!("is {} now ({was}{})", status(changed.to_status), changed.reason))
}

pub(super) fn heartbeat(who: Phrase, heartbeat: &PresenceHeartbeat) -> Phrase {
    who.dim(format!("is there ({})", status(heartbeat.status)))
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Thinking => "thinking",
        Status::Idle => "idle",
        Status::Busy => "busy",
        Status::Inactive => "inactive",
    }
}

pub(super) fn moved(who: Phrase, moved: &ActorMoved) -> Phrase {
    let walks = format!("walks {}", arrow(&moved.leg));
    match (&moved.target_label, &moved.intent, &moved.reaction) {
        // A part of a walk whose end is told too.
        (Some(target), _, None) => who.dim(format!("{walks} to {target}")),
        (None, Some(intent), None) => who.plain(walks).dim(format!(" ({intent})")),
        (_, _, reaction) => who.plain(walks).and(because(reaction.as_ref())),
    }
}

fn arrow(leg: &Leg) -> String {
    let arrow = match leg.direction {
        Direction::N => '↑',
        Direction::S => '↓',
        Direction::E => '→',
        Direction::W => '←',
    };
    format!("{arrow} {}", leg.steps)
}

fn because(reaction: Option<&ReactionRef>) -> Phrase {
    let phrase = Phrase::default();
    if reaction.is_some() { phrase.dim(" (as a reaction)") } else { phrase }
}

pub(super) fn said(who: Phrase, posted: &ConversationMessagePosted) -> Phrase {
    let message = &posted.conversation;
    let is_first = message.parent_message_id.is_none()
        && message.reply_to_message_id.is_none()
        && message.thread_id == message.message_id;
    let says = if is_first { who.plain("says: ") } else { who.dim("↳ ").plain("replies: ") };
    says.plain(&message.text).and(because(posted.reaction.as_ref()))
}

pub(super) fn bubble(who: Phrase, posted: &BubblePosted) -> Phrase {
    who.plain("says: ").plain(&posted.bubble.text)
}

pub(super) fn mentioned(speaker: &str, mention: &MentionCreated) -> Phrase {
    Phrase::about(&mention.mentioned_actor_id).dim("is mentioned by ").actor(speaker)
}

pub(super) fn ordered(who: Phrase, order: &OrderChanged) -> Phrase {
    who.plain(format!("orders {} ({})", order.item_id, order.size)).and(because(order.reaction.as_ref()))
}

pub(super) fn set_off(who: Phrase, planned: &IntentPlanned) -> Phrase {
    if planned.path.is_empty() {
        return who.dim(format!("is at {} already", planned.label));
    }
    let path: Vec<String> = planned.path.iter().map(arrow).collect();
    who.dim(format!("sets off for {} ({})", planned.label, path.join(", ")))
}

pub(super) fn arrived(who: Phrase, completed: &IntentCompleted) -> Phrase {
    let walks = who.plain(format!("walks to {}", completed.label));
    if completed.outcome == "seated" { walks.plain(" and sits down") } else { walks }
}
