//! API keys: who may do what, in which tenant, as which actors, in which rooms.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::{
    Authority, Binding, Code, DomainError, IdPatterns, InvalidId, Key, Owner, RequestAuthor, RoomId,
    TenantId, Timestamp, hex, record,
};

pub mod change;
pub mod last_admin;
pub mod manage;
pub mod revoke;
pub mod tickets;
pub mod token;

use manage::ApiKeyView;
use token::{SecretHash, Token};

/// What a key allows. Every operation needs one scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Speak, move, order, show presence, keep a profile.
    Act,
    /// Read rooms, events, presences, tasks and objects.
    Listen,
    /// Read and acknowledge the own inbox.
    Inbox,
    /// Create and change tasks and shared objects.
    Work,
    /// Keep snapshots of an agent and of rooms.
    Remember,
    /// Keep rules that react to events.
    React,
    /// Keep webhook subscriptions.
    Hook,
    /// Own rooms and private tables.
    Host,
    /// Act as an operator where a permission record allows it.
    Operate,
    /// Follow all events of a tenant.
    Follow,
    /// Read health and metrics whole.
    Observe,
    /// Everything in the tenant, and its keys.
    Admin,
}

impl Scope {
    /// Its name.
    pub fn name(self) -> &'static str {
        let (name, _) = Self::NAMES[self as usize];
        name
    }

    /// The names of the scopes.
    pub const NAMES: [(&str, Self); 12] = [
        ("act", Self::Act),
        ("listen", Self::Listen),
        ("inbox", Self::Inbox),
        ("work", Self::Work),
        ("remember", Self::Remember),
        ("react", Self::React),
        ("hook", Self::Hook),
        ("host", Self::Host),
        ("operate", Self::Operate),
        ("follow", Self::Follow),
        ("observe", Self::Observe),
        ("admin", Self::Admin),
    ];
}

/// Scopes that are often given together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An agent that talks, works and listens.
    Agent,
    /// An agent that talks in the rooms it is given.
    Guest,
    /// One that only reads.
    Viewer,
    /// An agent that also keeps order.
    Operator,
    /// A program that follows all events of a tenant.
    Service,
    /// Who manages a tenant.
    Admin,
}

impl Kind {
    /// The names of the kinds.
    pub const NAMES: [(&str, Self); 6] = [
        ("agent", Self::Agent),
        ("guest", Self::Guest),
        ("viewer", Self::Viewer),
        ("operator", Self::Operator),
        ("service", Self::Service),
        ("admin", Self::Admin),
    ];

    /// The scopes of the kind.
    pub const fn scopes(self) -> &'static [Scope] {
        use Scope::{Act, Admin, Follow, Hook, Inbox, Listen, Observe, Operate, React, Remember, Work};
        match self {
            Self::Agent => &[Act, Listen, Inbox, Work, Remember, React, Hook],
            Self::Guest => &[Act, Listen, Inbox],
            Self::Viewer => &[Listen],
            Self::Operator => &[Act, Listen, Inbox, Work, Remember, React, Hook, Operate],
            Self::Service => &[Follow, Observe],
            Self::Admin => &[Admin],
        }
    }
}

/// What stands between the id of a key and the mark of one of its secrets.
const CREDENTIAL_SEPARATOR: char = '.';
/// How much of a secret's hash marks it, in bytes.
const MARK_BYTES: usize = 6;

/// One secret of a key: only its hash is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeySecret {
    /// The hash of the secret.
    pub hash: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it counts; none: as long as the key does.
    pub expires_at: Option<Timestamp>,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// The key's id, the middle part of its text.
    pub key_id: String,
    /// What people call it.
    pub name: Option<String>,
    /// The tenant; none: every tenant.
    pub tenant_id: Option<TenantId>,
    /// The actors that its holder may be.
    pub actors: IdPatterns,
    /// The rooms that its holder may act and read in.
    pub rooms: IdPatterns,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// The secrets that count: two while the key is rotated.
    pub secrets: Vec<KeySecret>,
    /// Until when it counts.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub disabled_at: Option<Timestamp>,
    /// Whether it has expired, and what was set up with it was disabled.
    #[serde(default)]
    pub has_ended: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// The id of the key that made it; `root` for the shared token, `cli` for the command line.
    pub created_by: String,
}

impl KeySecret {
    /// Whether it counts, if its key does.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

impl ApiKey {
    /// The record key of a key.
    pub fn key_of(key_id: &str) -> Key {
        vec![key_id.into()]
    }

    /// Whether it allows this.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }

    /// Whether it counts at all: it is neither revoked nor expired.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.disabled_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// When it expires, unless it has ended before.
    pub fn pending_expiry(&self) -> Option<Timestamp> {
        self.expires_at.filter(|_| self.disabled_at.is_none() && !self.has_ended)
    }

    /// Whether the token is one of its secrets, and counts now. Hashes are compared, so that the time it takes says nothing
    /// about a secret.
    pub fn accepts(&self, token: &Token, now: Timestamp) -> bool {
        let mut live = self.secrets.iter().filter(|secret| secret.is_live(now));
        self.is_live(now) && live.any(|secret| secret.hash == token.hash)
    }

    /// The id of what a holder came in with: the key, and which of its secrets.
    pub fn credential_id(&self, secret: &KeySecret) -> String {
        format!("{}{CREDENTIAL_SEPARATOR}{}", self.key_id, hex(&secret.hash.as_ref()[..MARK_BYTES]))
    }

    /// The key's part of the id of a credential.
    pub fn key_id_of(credential_id: &str) -> &str {
        credential_id.split(CREDENTIAL_SEPARATOR).next().unwrap_or_default()
    }

    /// Whether this credential of it counts: it was not rotated away, and the key counts.
    pub fn is_credential_live(&self, credential_id: &str, now: Timestamp) -> bool {
        let mut live = self.secrets.iter().filter(|secret| secret.is_live(now));
        self.is_live(now) && live.any(|secret| self.credential_id(secret) == credential_id)
    }

    /// The owner of what is made with it.
    pub fn owner(&self) -> Owner {
        Owner::of(&self.actors, &self.key_id)
    }

    /// Whether a key reaches no further than this one: a key makes and changes only such keys.
    pub fn covers(&self, other: &Self) -> bool {
        (self.tenant_id.is_none() || self.tenant_id == other.tenant_id)
            && self.actors.cover(&other.actors)
            && self.rooms.cover(&other.rooms)
            && other.scopes.iter().all(|scope| self.allows(*scope))
            && self.expires_at.is_none_or(|end| other.expires_at.is_some_and(|other| other <= end))
    }
}

record!(ApiKey in "api_keys" as key: [key_id]
    tenant_id = key.tenant_id.as_ref(), created_at, pending_expiry = key.pending_expiry());

/// Who calls, as authentication found out.
#[derive(Clone, Debug)]
pub enum Principal {
    /// A holder of the shared token, or anybody where no key is needed: whoever the request says.
    Shared,
    /// The holder of a key.
    Key(Arc<KeyHolder>),
}

/// The holder of a key, and what it is bound to.
#[derive(Debug)]
pub struct KeyHolder {
    /// The key.
    pub key: ApiKey,
    /// The id of what it came in with.
    pub credential_id: Arc<str>,
    binding: Arc<Binding>,
}

impl KeyHolder {
    /// The holder of a key of another server, as that shows it: without secrets.
    ///
    /// # Errors
    /// The tenant of the key is no id.
    pub fn of_view(view: ApiKeyView, credential_id: &str) -> Result<Self, InvalidId> {
        let is_any = view.tenant_id == ApiKeyView::ANY_TENANT;
        let tenant_id = if is_any { None } else { Some(TenantId::stored(&view.tenant_id)?) };
        let key = ApiKey {
            key_id: view.key_id,
            name: view.name,
            tenant_id,
            actors: view.actors,
            rooms: view.rooms,
            scopes: view.scopes,
            secrets: Vec::new(),
            expires_at: view.expires_at,
            disabled_at: view.disabled_at,
            has_ended: false,
            created_at: view.created_at,
            created_by: view.created_by,
        };
        Ok(Self::new(key, credential_id))
    }

    /// The holder of a key who came in with this credential.
    pub fn new(key: ApiKey, credential_id: &str) -> Self {
        let binding = Arc::new(Binding {
            key_id: Arc::from(key.key_id.as_str()),
            tenant: key.tenant_id.clone(),
            actors: Arc::new(key.actors.clone()),
            rooms: key.rooms.clone(),
            authority: authority(&key),
        });
        Self { key, credential_id: credential_id.into(), binding }
    }
}

fn authority(key: &ApiKey) -> Authority {
    match key {
        key if key.scopes.contains(&Scope::Admin) => Authority::Admin,
        key if key.allows(Scope::Operate) => Authority::Operator,
        _ => Authority::Actor,
    }
}

impl Principal {
    /// Checks that the caller may do what needs all these scopes.
    ///
    /// # Errors
    /// `ERR_FORBIDDEN {scope, allowed}`: the first scope that the key lacks, and those that it has.
    pub fn check(&self, scopes: &[Scope]) -> Result<(), DomainError> {
        let Self::Key(holder) = self else { return Ok(()) };
        let Some(lacking) = scopes.iter().find(|scope| !holder.key.allows(**scope)) else { return Ok(()) };
        Err(DomainError::new(Code::Forbidden)
            .saying(format!("the key does not allow this: it needs the scope {}", lacking.name()))
            .with("scope", lacking.name())
            .with("allowed", holder.key.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>()))
    }

    /// Checks that the caller may read what happens: of one room, or of all rooms of its tenant.
    ///
    /// # Errors
    /// As [`Principal::check`].
    pub fn check_listens(&self, is_of_one_room: bool) -> Result<(), DomainError> {
        let follows = self.check(&[Scope::Follow]);
        match is_of_one_room {
            true if follows.is_err() => self.check(&[Scope::Listen]),
            true => Ok(()),
            false => {
                let advice = "the events of all rooms need the scope follow: name one room as roomId";
                follows.map_err(|error| error.saying(advice))
            }
        }
    }

    /// What the caller is bound to; none: nothing.
    pub fn binding(&self) -> Option<&Arc<Binding>> {
        match self {
            Self::Shared => None,
            Self::Key(holder) => Some(&holder.binding),
        }
    }

    /// The caller's key; none without one.
    pub fn key_id(&self) -> Option<String> {
        self.binding().map(|binding| binding.key_id.to_string())
    }

    /// The actors that the holder of the caller's key may be; none without one.
    pub fn actors(&self) -> IdPatterns {
        self.binding().map(|binding| IdPatterns::clone(&binding.actors)).unwrap_or_default()
    }

    /// The id of what the caller came in with; none without a key.
    pub fn credential_id(&self) -> Option<&Arc<str>> {
        match self {
            Self::Shared => None,
            Self::Key(holder) => Some(&holder.credential_id),
        }
    }

    /// How far its rights go: without a key, as far as those of an admin.
    pub fn authority(&self) -> Authority {
        self.binding().map_or(Authority::Admin, |binding| binding.authority)
    }

    /// By whose key the events of a request come about; none without a key.
    pub fn author(&self) -> Option<RequestAuthor> {
        let binding = self.binding()?;
        Some(RequestAuthor { key_id: Arc::clone(&binding.key_id), actors: Arc::clone(&binding.actors) })
    }

    /// The owner of what the caller makes, and of its idempotency keys. None: everybody who shares a token.
    pub fn owner(&self) -> Option<Owner> {
        self.binding().map(|binding| Owner::from(binding.as_ref()))
    }

    /// The owner to whose records the caller is restricted. None for those who manage a tenant, or share a token.
    pub fn restricted_to(&self) -> Option<Owner> {
        match self {
            Self::Key(holder) if !holder.key.allows(Scope::Admin) => self.owner(),
            Self::Key(_) | Self::Shared => None,
        }
    }

    /// Whether a record of this owner exists for the caller. What belongs to no single room exists only for keys of all rooms.
    pub fn owns(&self, owner: Option<&Owner>, tenant: &TenantId, room: Option<&RoomId>) -> bool {
        let Some(binding) = self.binding() else { return true };
        let is_own = self.restricted_to().is_none_or(|own| owner == Some(&own));
        is_own && binding.reaches(tenant, room) && (room.is_some() || binding.rooms.is_any())
    }

    /// Whether there are rooms of its tenant that do not exist for the caller.
    pub fn is_bound_to_rooms(&self) -> bool {
        self.binding().is_some_and(|binding| !binding.rooms.is_any())
    }

    /// Whether what belongs to a room of a tenant exists for the caller.
    pub fn reaches(&self, tenant: &TenantId, room: Option<&RoomId>) -> bool {
        self.binding().is_none_or(|binding| binding.reaches(tenant, room))
    }
}

/// When a key was last used: apart from the key, which nodes cache until it changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyUse {
    /// The key.
    pub key_id: String,
    /// When it was last used, to the minute.
    pub last_used_at: Timestamp,
}

record!(KeyUse in "api_key_uses": [key_id]);
