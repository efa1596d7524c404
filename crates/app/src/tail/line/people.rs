//! Sentences about people: who is there, who goes where, who says what.

use agentcafe_domain::conversation::{BubblePosted, ConversationMessagePosted, MentionCreated};
use agentcafe_domain::orders::OrderChanged;
use agentcafe_domain::presence::arrival::{AgentEntered, AgentLeft};
use agentcafe_domain::presence::movement::{ActorMoved, IntentCompleted, IntentPlanned};
use agentcafe_domain::presence::position::{Direction, PathSegment};
use agentcafe_domain::presence::{PresenceHeartbeat, StatusChanged};

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
    let was = changed.from_status.map(|from| format!("was {}, ", from.as_str())).unwrap_or_default();
    who.dim(format!("is {} now ({was}{})", changed.to_status.as_str(), changed.reason))
}

pub(super) fn heartbeat(who: Phrase, heartbeat: &PresenceHeartbeat) -> Phrase {
    who.dim(format!("is there ({})", heartbeat.status.as_str()))
}

pub(super) fn moved(who: Phrase, moved: &ActorMoved, is_reaction: bool) -> Phrase {
    let walks = format!("walks {}", arrow(&moved.leg));
    match (&moved.target_label, &moved.intent) {
        _ if is_reaction => reacting(who.plain(walks), true),
        // A part of a path whose end has a line of its own.
        (Some(target), _) => who.dim(format!("{walks} to {target}")),
        (None, Some(intent)) => who.plain(walks).dim(format!(" ({intent})")),
        (None, None) => who.plain(walks),
    }
}

fn arrow(leg: &PathSegment) -> String {
    let arrow = match leg.direction {
        Direction::N => '↑',
        Direction::S => '↓',
        Direction::E => '→',
        Direction::W => '←',
    };
    format!("{arrow} {}", leg.steps)
}

fn reacting(phrase: Phrase, is_reaction: bool) -> Phrase {
    if is_reaction { phrase.dim(" (as a reaction)") } else { phrase }
}

pub(super) fn said(who: Phrase, posted: &ConversationMessagePosted, is_reaction: bool) -> Phrase {
    let message = &posted.conversation;
    let is_first = message.parent_message_id.is_none()
        && message.reply_to_message_id.is_none()
        && message.thread_id == message.message_id;
    let says = if is_first { who.plain("says: ") } else { who.dim("↳ ").plain("replies: ") };
    reacting(says.plain(&message.text), is_reaction)
}

pub(super) fn bubble(who: Phrase, posted: &BubblePosted) -> Phrase {
    who.plain("says: ").plain(&posted.bubble.text)
}

pub(super) fn mentioned(speaker: &str, mention: &MentionCreated) -> Phrase {
    Phrase::about(&mention.mentioned_actor_id).dim("is mentioned by ").actor(speaker)
}

pub(super) fn ordered(who: Phrase, order: &OrderChanged, is_reaction: bool) -> Phrase {
    reacting(who.plain(format!("orders {} ({})", order.item_id, order.size)), is_reaction)
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
