//! Who calls: the holders of a key of every kind, of the shared token, and of no key that counts.

use agentcafe_testkit::{Client, Method, Value, fresh_key, json};

use super::Want;
use super::world::{KAI_SECRET, RIVAL_SECRET, VAULT_SECRET};

/// What a holder's key is bound to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    /// Nova, in the room `lab` of `acme`.
    ActorAndRoom,
    /// Nova, in every room of `acme`.
    Actor,
    /// Nobody, in the room `lab` of `acme`.
    Room,
    /// Nobody, in every room of `acme`.
    Rooms,
    /// Every actor and room of `acme`.
    Tenant,
    /// Nothing.
    Nothing,
    /// It is no key that counts.
    Stranger,
}

/// Who calls, and with which client.
pub(super) struct Holder {
    /// How failures name it.
    pub(super) name: &'static str,
    /// The scopes of its key.
    pub(super) scopes: &'static [&'static str],
    /// Sends the key.
    pub(super) client: Client,
    /// What the key is bound to.
    pub(super) bound: Bound,
}

impl Holder {
    /// Whether it must be refused whatever it asks for.
    pub(super) fn is_stranger(&self) -> bool {
        self.bound == Bound::Stranger
    }

    /// Whether it may name an actor at all.
    pub(super) fn names_actors(&self) -> bool {
        ![Bound::Room, Bound::Rooms].contains(&self.bound)
    }

    /// Whether its key fills in every field that it needs.
    pub(super) fn fills_in(&self) -> bool {
        [Bound::ActorAndRoom, Bound::Room, Bound::Rooms].contains(&self.bound)
    }

    /// Whether its key is bound to a room.
    pub(super) fn is_in_one_room(&self) -> bool {
        [Bound::ActorAndRoom, Bound::Room].contains(&self.bound)
    }

    /// Whether its key is bound to an actor, or to none.
    pub(super) fn is_not_everybody(&self) -> bool {
        [Bound::ActorAndRoom, Bound::Actor, Bound::Room, Bound::Rooms].contains(&self.bound)
    }

    /// What must come of a field with a value of another.
    pub(super) fn want_of(&self, field: &'static str, is_free_for_operators: bool) -> Want {
        match field {
            "tenantId" if self.bound != Bound::Nothing => Want::NotBound(field),
            "tenantId" => Want::Unbound,
            "roomId" if self.is_in_one_room() => Want::NotBound(field),
            "roomId" => Want::Unbound,
            _ if is_free_for_operators && self.scopes.contains(&"operate") => Want::Reached,
            _ if self.is_not_everybody() => Want::NotBound(field),
            _ => Want::Unbound,
        }
    }

    /// Whether an answer to it with this status may hold a secret.
    pub(super) fn may_see(&self, secret: &str, status: u16) -> bool {
        let is_reached = status < 300;
        match secret {
            RIVAL_SECRET => is_reached && self.bound == Bound::Nothing,
            VAULT_SECRET => is_reached && !self.is_in_one_room() && !self.is_stranger(),
            KAI_SECRET => is_reached && [Bound::Tenant, Bound::Nothing].contains(&self.bound),
            _ => false,
        }
    }
}

const AGENT: &[&str] = &["act", "listen", "inbox", "work", "remember", "react", "hook"];
const OPERATOR: &[&str] = &["act", "listen", "inbox", "work", "remember", "react", "hook", "operate"];

/// One holder of each kind. `nobody` sends no key.
pub(super) async fn holders(nobody: &Client, root: &Client) -> Vec<Holder> {
    let key = async |name, scopes, bound, body: Value| {
        let body = crate::merged(json!({"tenantId": "acme", "kind": name}), &body);
        let made = root.make_key(body).await;
        (Holder { name, scopes, client: made.client, bound }, made.id)
    };
    let nova = json!({"actors": ["Nova"], "rooms": ["lab"]});
    let (expired, id) = key("agent", AGENT, Bound::Stranger, nova.clone()).await;
    let end = json!({"expiresAt": "2020-01-01T00:00:00.000Z"});
    let ended = root.request(Method::PATCH, &format!("/v1/keys/{id}")).key(&fresh_key()).json(&end);
    let _ = ended.send().await.data();
    let (revoked, id) = key("agent", AGENT, Bound::Stranger, nova.clone()).await;
    let ended = root.request(Method::DELETE, &format!("/v1/keys/{id}"));
    let _ = ended.key(&fresh_key()).send().await.data();
    let shared =
        |name, client: &Client, bound| Holder { name, scopes: &["admin"], client: client.clone(), bound };
    vec![
        shared("nobody", nobody, Bound::Stranger),
        Holder { name: "expired", ..expired },
        Holder { name: "revoked", ..revoked },
        key("agent", AGENT, Bound::ActorAndRoom, nova.clone()).await.0,
        Holder {
            name: "agent of all rooms",
            ..key("agent", AGENT, Bound::Actor, json!({"actors": ["Nova"]})).await.0
        },
        key("guest", &["act", "listen", "inbox"], Bound::ActorAndRoom, nova.clone()).await.0,
        key("viewer", &["listen"], Bound::Room, json!({"rooms": ["lab"]})).await.0,
        key("operator", OPERATOR, Bound::ActorAndRoom, nova).await.0,
        key("service", &["follow", "observe"], Bound::Rooms, json!({})).await.0,
        key("admin", &["admin"], Bound::Tenant, json!({})).await.0,
        shared("shared token", root, Bound::Nothing),
    ]
}
