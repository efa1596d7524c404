//! What there is to reach: two tenants, two rooms, two actors, and one record of each kind in each of them.

use std::collections::HashMap;
use std::time::Duration;

use agentcafe_testkit::{Client, Method, Value, eventually, fresh_key, json};

use super::Want;
use super::holders::{Bound, Holder};
use crate::key_table::Row;
use crate::merged;

/// Stands in everything of the room `vault`.
pub(super) const VAULT_SECRET: &str = "secret-of-the-vault";
/// Stands in everything of the tenant `rival`.
pub(super) const RIVAL_SECRET: &str = "secret-of-the-rival";
/// Stands in what is Kai's alone.
pub(super) const KAI_SECRET: &str = "secret-of-kai";
/// All of them.
pub(super) const SECRETS: [&str; 3] = [VAULT_SECRET, RIVAL_SECRET, KAI_SECRET];

/// Whose record an id in the path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// Nova's, in `lab` of `acme`.
    Own,
    /// Kai's, in the same room.
    OtherActor,
    /// Nova's, in `vault`.
    OtherRoom,
    /// Nova's, in `lab` of `rival`.
    OtherTenant,
}

const PLACES: [Place; 4] = [Place::Own, Place::OtherActor, Place::OtherRoom, Place::OtherTenant];

impl Place {
    fn ids(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Own => ("acme", "lab", "Nova"),
            Self::OtherActor => ("acme", "lab", "Kai"),
            Self::OtherRoom => ("acme", "vault", "Nova"),
            Self::OtherTenant => ("rival", "lab", "Nova"),
        }
    }

    fn secret(self) -> &'static str {
        match self {
            Self::Own => "nothing-secret",
            Self::OtherActor => KAI_SECRET,
            Self::OtherRoom => VAULT_SECRET,
            Self::OtherTenant => RIVAL_SECRET,
        }
    }

    /// What stands in a record that others may read, too.
    fn text(self) -> &'static str {
        if self == Self::OtherActor { "a word of Kai" } else { self.secret() }
    }
}

/// The records, by their place and by the path that names them.
pub(super) struct World {
    makers: HashMap<Place, Client>,
    ids: HashMap<(Place, &'static str), String>,
}

const INBOX: &str = "/v1/inbox/";
const TASKS: &str = "/v1/tasks/";
const OBJECTS: &str = "/v1/objects/";
const ROOMS: &str = "/v1/rooms/";
const SESSIONS: &str = "/v1/table-sessions/";
const PROFILES: &str = "/v1/profiles/";
const RULES: &str = "/v1/reactions/subscriptions/";
const DLQ: &str = "/v1/subscriptions/dlq/";
const WEBHOOKS: &str = "/v1/subscriptions/";
const TRACES: &str = "/v1/traces/";
const KEYS: &str = "/v1/keys/";
const MESSAGES: &str = "/v1/messages/";
const THREADS: &str = "/v1/threads/";
/// The longer before the shorter.
const NAMED: [&str; 13] =
    [INBOX, TASKS, OBJECTS, ROOMS, SESSIONS, PROFILES, RULES, DLQ, WEBHOOKS, TRACES, KEYS, MESSAGES, THREADS];

/// The kind of record that a path names.
fn kind_of(row: &Row) -> Option<&'static str> {
    let path = row.path();
    NAMED.into_iter().find(|prefix| path.starts_with(prefix) && path.contains('{'))
}

impl World {
    /// Makes everything, each record by the actor that owns it.
    pub(super) async fn new(root: &Client) -> Self {
        let mut world = Self { makers: HashMap::new(), ids: HashMap::new() };
        for place in PLACES {
            let (tenant, _, actor) = place.ids();
            let scopes =
                json!(["act", "listen", "inbox", "work", "remember", "react", "hook", "host", "operate"]);
            let body = json!({"tenantId": tenant, "scopes": scopes, "actors": [actor]});
            let maker = root.make_key(body).await;
            world.makers.insert(place, maker.client);
        }
        for place in PLACES {
            world.fill(root, place).await;
        }
        world
    }

    async fn fill(&mut self, root: &Client, place: Place) {
        let (tenant, room, actor) = place.ids();
        let there = json!({"tenantId": tenant, "roomId": room});
        let client = self.makers[&place].clone();
        if place != Place::OtherActor {
            let _ = client
                .act("/v1/rooms", merged(there.clone(), &json!({"displayName": place.secret()})))
                .await
                .data();
            let grant = merged(there.clone(), &json!({"actorId": actor, "canModerate": true}));
            let _ = root.act("/v1/permissions", grant).await.data();
            let _ = client
                .act("/v1/rooms/context/pin", merged(there.clone(), &json!({"content": place.secret()})))
                .await
                .data();
            let _ = client
                .act("/v1/snapshots/room", merged(there.clone(), &json!({"state": {"text": place.secret()}})))
                .await
                .data();
        }
        let profile = json!({"tenantId": tenant, "displayName": actor});
        let _ = client.act("/v1/profiles", profile).await.data();
        let _ = client
            .act("/v1/snapshots/agent", merged(there.clone(), &json!({"state": {"text": place.secret()}})))
            .await
            .data();
        let said = merged(
            there.clone(),
            &json!({
                "text": place.text(),
                "mentions": [if actor == "Nova" { "Kai" } else { "Nova" }],
                "messageId": format!("message-of-{place:?}"),
            }),
        );
        let said = client.act("/v1/commands/say", said).await;
        self.ids.insert((place, TRACES), text(&said.data()["correlationId"]));
        for kind in [MESSAGES, THREADS] {
            self.ids.insert((place, kind), format!("message-of-{place:?}"));
        }
        self.ids.insert((place, ROOMS), room.to_owned());
        self.ids.insert((place, PROFILES), actor.to_owned());
        for kind in [TASKS, OBJECTS, SESSIONS, RULES, WEBHOOKS] {
            let id = self.make(kind, place).await;
            self.ids.insert((place, kind), id);
        }
        self.mention(root, place).await;
        self.dead_letter(root, place).await;
        let key = root.make_key(json!({"tenantId": tenant, "kind": "viewer", "name": place.secret()})).await;
        self.ids.insert((place, KEYS), key.id);
    }

    /// Makes a record of its kind, and returns its id.
    async fn make(&self, kind: &str, place: Place) -> String {
        let (tenant, room, actor) = place.ids();
        let there = json!({"tenantId": tenant, "roomId": room});
        let (body, pointer) = match kind {
            TASKS => (json!({"title": place.text()}), "/task/taskId"),
            OBJECTS => (json!({"content": place.text()}), "/object/objectId"),
            SESSIONS => (
                json!({"roomId": format!("booth-of-{place:?}"), "planId": "espresso", "paymentProof": "coffee_paid", "displayName": place.text()}),
                "/session/sessionId",
            ),
            RULES => (
                json!({"targetActorId": actor, "actionType": "say", "actionPayload": {"text": place.secret()}, "enabled": false}),
                "/subscription/id",
            ),
            _ => (
                json!({"targetUrl": format!("http://127.0.0.1:9/{}", place.secret()), "enabled": false}),
                "/subscription/id",
            ),
        };
        let path = kind.trim_end_matches('/');
        let made = self.makers[&place].act(path, merged(there, &body)).await;
        text(made.data().pointer(pointer).expect("an id"))
    }

    /// An inbox item of the place's actor.
    async fn mention(&mut self, root: &Client, place: Place) {
        let (tenant, room, actor) = place.ids();
        let said = json!({"tenantId": tenant, "roomId": room, "actorId": "Lee", "text": place.text(), "mentions": [actor]});
        let _ = root.act("/v1/commands/say", said).await.data();
        let items =
            root.get(&format!("/v1/inbox?tenantId={tenant}&roomId={room}&actorId={actor}&order=desc")).await;
        self.ids.insert((place, INBOX), text(&items.data()["items"][0]["inboxId"]));
    }

    /// An event of the place that a webhook of its actor could not deliver.
    async fn dead_letter(&mut self, root: &Client, place: Place) {
        let (tenant, room, actor) = place.ids();
        let body = json!({"tenantId": tenant, "roomId": room, "targetUrl": format!("http://127.0.0.1:9/{}", place.secret()), "maxRetries": 0, "eventTypes": ["order_changed"]});
        let client = &self.makers[&place];
        let made = client.act("/v1/subscriptions", body).await;
        let id = text(&made.data()["subscription"]["id"]);
        let order = json!({"tenantId": tenant, "roomId": room, "itemId": "tea"});
        let _ = client.act("/v1/commands/order", order).await.data();
        let entry = eventually("the DLQ has the event", Duration::from_secs(60), async || {
            let page = root.get(&format!("/v1/subscriptions/dlq?tenantId={tenant}&limit=500")).await;
            let entries = page.data()["dlq"].as_array().cloned().unwrap_or_default();
            entries.into_iter().find(|entry| entry["subscriptionId"] == id.as_str())
        })
        .await;
        self.ids.insert((place, DLQ), text(&entry["id"]));
        let off = client.request(Method::PATCH, &format!("/v1/subscriptions/{id}"));
        let off =
            off.key(&fresh_key()).json(&json!({"tenantId": tenant, "actorId": actor, "enabled": false}));
        let _ = off.send().await.data();
    }

    /// The path of an operation, whose id names a record of this place. What a request deletes is made anew.
    pub(super) async fn path(&self, row: &Row, place: Place, is_reached: bool) -> String {
        let Some(kind) = kind_of(row) else { return row.path().to_owned() };
        let id = match (row.method(), kind) {
            ("DELETE", RULES | WEBHOOKS) if is_reached => self.make(kind, place).await,
            ("DELETE", PROFILES) if is_reached => {
                let (tenant, _, actor) = place.ids();
                let profile = json!({"tenantId": tenant, "displayName": actor});
                let _ = self.makers[&place].act("/v1/profiles", profile).await.data();
                actor.to_owned()
            }
            _ => self.ids[&(place, kind)].clone(),
        };
        let (before, after) = row.path().split_once('{').expect("it names something");
        format!("{before}{id}{}", after.split_once('}').expect("its end").1)
    }

    /// Whether what a request names is out of the holder's reach although it is its own: a private table has a room of its own, a
    /// trace has an actor, and there is no such ticket.
    pub(super) fn is_out_of_reach(row: &Row, holder: &Holder) -> bool {
        match kind_of(row) {
            Some(SESSIONS) => holder.is_in_one_room(),
            Some(TRACES) => !holder.names_actors(),
            _ => row.route == "POST /v1/tickets/redeem",
        }
    }

    /// What must come of an id of another place; none if there is no such place.
    pub(super) fn want_at(&self, row: &Row, place: Place, holder: &Holder) -> Option<Want> {
        let kind = kind_of(row)?;
        let is_bound = holder.is_not_everybody();
        match place {
            Place::OtherTenant if [PROFILES, ROOMS].contains(&kind) => None,
            Place::OtherTenant => (holder.bound != Bound::Nothing).then_some(Want::NotFound),
            Place::OtherRoom if [INBOX, PROFILES, KEYS, TRACES].contains(&kind) => None,
            Place::OtherRoom if holder.is_in_one_room() => Some(Want::NotFound),
            Place::OtherRoom => Some(Want::Reached).filter(|_| row.method() != "DELETE"),
            // Operators may.
            Place::OtherActor if row.needs == "work" && holder.scopes.contains(&"operate") => None,
            Place::OtherActor if row.is_private && is_bound => Some(Want::Refused),
            Place::OtherActor | Place::Own => None,
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
