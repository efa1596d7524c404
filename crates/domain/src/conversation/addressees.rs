//! Whom a message reaches: the actors that the names in its text mean.

use std::collections::HashSet;

use super::mentions_in;
use crate::actor_command::{Addressee, AddresseeState};
use crate::actors;
use crate::inbox;
use crate::kernel::{ActorId, ActorInRoom, CommandContext, CommandError, Query, RecordQuery};
use crate::permissions::{self, Capability, Permission};
use crate::presence::{self, Presence, Status};

/// The most actors of a room among which a name is looked for that no actor has exactly; those that were there last.
const MAX_CANDIDATES: usize = 200;
/// The most actors that `@here` and `@room` mean: those that were there last.
const MAX_GROUP: usize = 100;
/// Means the actors that are present in the room.
const HERE: &str = "here";
/// Means the actors that ever were in the room.
const ROOM: &str = "room";

/// The actors that a message mentions, as its speaker wrote them: each once.
#[derive(Clone, Debug)]
pub(super) enum Mentions {
    /// A list, which is taken as it is.
    Given(Vec<ActorId>),
    /// The names in the text.
    Named(Vec<ActorId>),
}

/// Whom a message reaches.
pub(super) struct Addressees {
    /// The mentioned actors, in order.
    pub(super) mentioned: Vec<ActorId>,
    /// Those of them that are not known.
    pub(super) unresolved: Vec<ActorId>,
}

impl Addressees {
    /// Whether those that the message reaches are there, the speaker aside.
    ///
    /// # Errors
    /// [`CommandError::Load`] their presence.
    pub(super) fn states(
        &self,
        speaker: &ActorInRoom,
        ctx: &CommandContext<'_>,
    ) -> Result<Vec<Addressee>, CommandError> {
        let others = self.mentioned.iter().filter(|actor| **actor != speaker.actor_id);
        let reached = others.filter(|actor| !self.unresolved.contains(actor));
        let state = |actor: &ActorId| -> Result<_, CommandError> {
            let presence = ctx.get::<Presence>(speaker.with_actor(actor).key())?;
            let state = match presence.filter(|presence| presence.is_active) {
                None => AddresseeState::Away,
                Some(Presence { status: Status::Idle, .. }) => AddresseeState::Waiting,
                Some(_) => AddresseeState::Present,
            };
            Ok(Addressee { actor_id: actor.clone(), state })
        };
        reached.map(state).collect()
    }
}

impl Mentions {
    /// The list, if there is one; else the names in the text and in the body.
    pub(super) fn new(given: Option<Vec<ActorId>>, text: &str, body: &str) -> Self {
        given.map_or_else(|| Self::Named(named_in(text, body)), Self::Given)
    }

    /// The same without those beyond a number.
    pub(super) fn at_most(mut self, max: usize) -> Self {
        let (Self::Given(actors) | Self::Named(actors)) = &mut self;
        actors.truncate(max);
        self
    }

    pub(super) fn count(&self) -> usize {
        let (Self::Given(actors) | Self::Named(actors)) = self;
        actors.len()
    }

    /// What [`Mentions::addressees`] reads of most messages, and the delivery to the inboxes.
    pub(super) fn reads(&self, speaker: &ActorInRoom) -> Vec<Query> {
        let (Self::Given(actors) | Self::Named(actors)) = self;
        let others = actors.iter().filter(|actor| **actor != speaker.actor_id);
        let reached = others.clone().flat_map(|actor| reads_of(&speaker.with_actor(actor)));
        let known = others
            .filter(|_| matches!(self, Self::Named(_)))
            .map(|actor| actors::read(&speaker.tenant_id, actor));
        reached.chain(known).collect()
    }

    /// Whom a message of the speaker reaches. A name means the actor of the tenant who has it exactly, else the one actor of
    /// the room who has it in another case, else, for a speaker that may mention everybody, the group of that name.
    ///
    /// # Errors
    /// [`CommandError::Load`] what [`Mentions::reads`] does not name: for names that no actor has exactly.
    pub(super) fn addressees(
        &self,
        speaker: &ActorInRoom,
        ctx: &CommandContext<'_>,
    ) -> Result<Addressees, CommandError> {
        let (mut mentioned, mut unresolved, mut reads) = (Vec::new(), Vec::new(), Vec::new());
        let names = match self {
            Self::Given(actors) => return Ok(Addressees { mentioned: actors.clone(), unresolved }),
            Self::Named(names) => names,
        };
        for name in names {
            let is_known = *name == speaker.actor_id || actors::is_known(ctx, &speaker.tenant_id, name)?;
            let meant = if is_known { Vec::new() } else { others_meant_by(name, speaker, ctx)? };
            reads.extend(meant.iter().flat_map(|actor| reads_of(&speaker.with_actor(actor))));
            if !is_known && meant.is_empty() {
                unresolved.push(name.clone());
            }
            let meant = if meant.is_empty() { vec![name.clone()] } else { meant };
            for actor in meant {
                if !mentioned.contains(&actor) {
                    mentioned.push(actor);
                }
            }
        }
        ctx.load(reads)?;
        Ok(Addressees { mentioned, unresolved })
    }
}

/// What is read of an actor that a message reaches.
fn reads_of(actor: &ActorInRoom) -> [Query; 2] {
    [inbox::counter(actor), presence::read(actor)]
}

/// The names in the text, then those that only the body has.
fn named_in(text: &str, body: &str) -> Vec<ActorId> {
    let mut names = mentions_in(text);
    let known: HashSet<ActorId> = names.iter().cloned().collect();
    names.extend(mentions_in(body).into_iter().filter(|name| !known.contains(name)));
    names
}

/// The actors that a name means which no actor has exactly.
fn others_meant_by(
    name: &ActorId,
    speaker: &ActorInRoom,
    ctx: &CommandContext<'_>,
) -> Result<Vec<ActorId>, CommandError> {
    let candidates = RecordQuery::all::<Presence>("updated_at", MAX_CANDIDATES)
        .newest_first()
        .is("tenant_id", &speaker.tenant_id)
        .is("room_id", &speaker.room_id);
    let mut candidates = ctx.find::<Presence>(candidates)?;
    let lower = name.as_str().to_lowercase();
    let mut matching =
        candidates.iter().filter(|presence| presence.actor_id.as_str().to_lowercase() == lower);
    if let Some(found) = matching.next() {
        let actor = matching.next().is_none().then(|| found.actor_id.clone());
        return Ok(actor.into_iter().collect());
    }
    let is_group = [HERE, ROOM].contains(&name.as_str());
    let permission = if is_group { ctx.get::<Permission>(speaker.key())? } else { None };
    if !is_group || !permissions::allows(permission.as_ref(), Capability::MentionRoom) {
        return Ok(Vec::new());
    }
    candidates.retain(|presence| {
        presence.actor_id != speaker.actor_id && (presence.is_active || name.as_str() == ROOM)
    });
    Ok(candidates.into_iter().take(MAX_GROUP).map(|presence| presence.actor_id).collect())
}
