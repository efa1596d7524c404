//! Whom a message reaches: the actors that the names in its text mean.

use super::mentions_in;
use crate::actors;
use crate::inbox;
use crate::kernel::{ActorId, ActorInRoom, CommandContext, CommandError, Query, RecordQuery};
use crate::presence::Presence;

/// The most actors of a room among which a name is looked for that no actor has exactly; those that were there last.
const MAX_CANDIDATES: usize = 200;

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

impl Mentions {
    /// The list, if there is one; else the names in the text.
    pub(super) fn new(given: Option<Vec<ActorId>>, text: &str) -> Self {
        given.map_or_else(|| Self::Named(mentions_in(text)), Self::Given)
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
        let counters = others.clone().map(|actor| inbox::counter(&speaker.with_actor(actor)));
        let known = others
            .filter(|_| matches!(self, Self::Named(_)))
            .map(|actor| actors::read(&speaker.tenant_id, actor));
        counters.chain(known).collect()
    }

    /// Whom a message of the speaker reaches. A name means the actor of the tenant who has it exactly, else the one actor of
    /// the room who has it in another case.
    ///
    /// # Errors
    /// [`CommandError::Load`] what [`Mentions::reads`] does not name: for names that no actor has exactly.
    pub(super) fn addressees(
        &self,
        speaker: &ActorInRoom,
        ctx: &CommandContext<'_>,
    ) -> Result<Addressees, CommandError> {
        let (mut mentioned, mut unresolved, mut counters) = (Vec::new(), Vec::new(), Vec::new());
        let names = match self {
            Self::Given(actors) => return Ok(Addressees { mentioned: actors.clone(), unresolved }),
            Self::Named(names) => names,
        };
        for name in names {
            let is_known = *name == speaker.actor_id || actors::is_known(ctx, &speaker.tenant_id, name)?;
            let meant = if is_known { None } else { in_other_case(name, speaker, ctx)? };
            if !is_known && meant.is_none() {
                unresolved.push(name.clone());
            }
            counters.extend(meant.iter().map(|actor| inbox::counter(&speaker.with_actor(actor))));
            let meant = meant.unwrap_or_else(|| name.clone());
            if !mentioned.contains(&meant) {
                mentioned.push(meant);
            }
        }
        ctx.load(counters)?;
        Ok(Addressees { mentioned, unresolved })
    }
}

/// The one actor of the room who has this name in another case.
fn in_other_case(
    name: &ActorId,
    speaker: &ActorInRoom,
    ctx: &CommandContext<'_>,
) -> Result<Option<ActorId>, CommandError> {
    let candidates = RecordQuery::all::<Presence>("updated_at", MAX_CANDIDATES)
        .newest_first()
        .is("tenant_id", &speaker.tenant_id)
        .is("room_id", &speaker.room_id);
    let name = name.as_str().to_lowercase();
    let candidates = ctx.find::<Presence>(candidates)?.into_iter().map(|presence| presence.actor_id);
    let mut matching = candidates.filter(|actor| actor.as_str().to_lowercase() == name);
    Ok(matching.next().filter(|_| matching.next().is_none()))
}
