//! A room with the themes of its actors: the answer of a replay.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use super::RoomSnapshot;
use super::actors::ActorEntry;
use super::conversations::{ChatEntry, MessageEntry};
use crate::kernel::ActorId;
use crate::rooms::theme::Theme;

/// The appearance of actors, from their profiles.
pub type Themes = HashMap<ActorId, Theme>;

/// An entry of an actor, with the actor's theme.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "{T}WithTheme")]
pub struct WithTheme<T> {
    /// What it is.
    #[serde(flatten)]
    pub entry: T,
    /// The theme of its actor; null if it has none.
    pub theme: Option<Theme>,
}

/// A [`RoomSnapshot`] with themes.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThemedSnapshot {
    /// The room.
    #[serde(flatten)]
    pub room: RoomSnapshot<WithTheme<ActorEntry>, WithTheme<ChatEntry>, WithTheme<MessageEntry>>,
    /// The themes of the speakers.
    pub conversation_context: ConversationContext,
}

/// The themes of the speakers.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConversationContext {
    /// The theme of every actor in the actors, the chat or the messages; null for one without a theme.
    pub actor_themes: BTreeMap<ActorId, Option<Theme>>,
}

impl RoomSnapshot {
    /// All actors that are shown with a theme.
    pub fn shown_actors(&self) -> BTreeSet<ActorId> {
        let actors = self.actors.iter().map(|entry| &entry.actor_id);
        let speakers = self.chat.iter().map(|entry| &entry.actor_id);
        let authors = self.messages.iter().map(|entry| &entry.actor_id);
        actors.chain(speakers).chain(authors).cloned().collect()
    }

    /// The room with the themes of its actors.
    pub fn themed(self, themes: &Themes) -> ThemedSnapshot {
        let theme = |actor: ActorId| {
            let theme = themes.get(&actor).cloned();
            (actor, theme)
        };
        let conversation_context =
            ConversationContext { actor_themes: self.shown_actors().into_iter().map(theme).collect() };
        let room = RoomSnapshot {
            tenant_id: self.tenant_id,
            room_id: self.room_id,
            actors: all_themed(self.actors, themes, |entry| &entry.actor_id),
            pinned_context: self.pinned_context,
            chat: all_themed(self.chat, themes, |entry| &entry.actor_id),
            local_memory: self.local_memory,
            messages: all_themed(self.messages, themes, |entry| &entry.actor_id),
            threads: self.threads,
            tasks: self.tasks,
            shared_objects: self.shared_objects,
            orders: self.orders,
            last_event_at: self.last_event_at,
            last_event_id: self.last_event_id,
        };
        ThemedSnapshot { room, conversation_context }
    }
}

fn all_themed<T>(entries: Vec<T>, themes: &Themes, actor: fn(&T) -> &ActorId) -> Vec<WithTheme<T>> {
    let themed = |entry: T| WithTheme { theme: themes.get(actor(&entry)).cloned(), entry };
    entries.into_iter().map(themed).collect()
}
