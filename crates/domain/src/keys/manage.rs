//! Making API keys, and what all changes of them share. Each leaves an entry in the audit trail.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::token::{self, RANDOM_BYTES};
use super::{ApiKey, KeyHolder, KeySecret, KeyUse, Kind, Principal, Scope};
use crate::actors;
use crate::kernel::{
    ActorId, Code, Command, CommandContext, CommandError, CorrelationId, DomainError, Field, Fields,
    IdPatterns, Query, Reply, RoomId, Secret, Success, TenantId, Timestamp,
};
use crate::operators::audit::{self, AuditInput, AuditVerdict};

pub(super) const NAME: Field =
    Field::new("name", "What people call the key.", "Nova's key").up_to(128).in_example();
const KIND: Field =
    Field::new("kind", "A preset of scopes. Either kind or scopes is required.", "agent").in_example();
const SCOPES: Field =
    Field::new("scopes", "What the key allows, instead of a kind.", r#"["act","listen"]"#).up_to(12);
const TENANT_ID: Field = Field::new(
    "tenantId",
    "The tenant of the key; `*`: every tenant, for keys that only follow or administrate. Default: the caller's tenant.",
    "default",
);
const ACTORS: Field = Field::new(
    "actors",
    "The actors that the holder of the key may be: ids, or one prefix that ends in `/`, or `*` for an admin key.",
    r#"["Nova"]"#,
)
.up_to(100)
.in_example();
const ROOMS: Field = Field::new(
    "rooms",
    "The rooms in which the key counts: ids, prefixes that end in `/`, or `*`. Default: `*`, but a guest key names its rooms.",
    r#"["main"]"#,
)
.up_to(100);
pub(super) const EXPIRES_AT: Field = Field::new(
    "expiresAt",
    "Until when the key counts. Default: until it is revoked.",
    "2030-01-01T00:00:00.000Z",
);
/// What a key keeps from when it is made.
pub(super) const FIXED: [Field; 5] = [KIND, SCOPES, TENANT_ID, ACTORS, ROOMS];

/// Who makes or changes a key.
#[derive(Clone, Debug)]
pub enum Issuer {
    /// The holder of the shared token.
    Root,
    /// A person at the machine's command line.
    CommandLine,
    /// The holder of a key, which makes and changes only keys that reach no further.
    Key(Arc<KeyHolder>),
}

impl From<&Principal> for Issuer {
    fn from(principal: &Principal) -> Self {
        match principal {
            Principal::Shared => Self::Root,
            Principal::Key(holder) => Self::Key(Arc::clone(holder)),
        }
    }
}

impl Issuer {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Root => "root",
            Self::CommandLine => "cli",
            Self::Key(holder) => &holder.key.key_id,
        }
    }

    fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Key(holder) => holder.key.tenant_id.as_ref(),
            Self::Root | Self::CommandLine => None,
        }
    }

    /// Checks that the issuer may make or change such a key.
    pub(super) fn check(&self, key: &ApiKey) -> Result<(), DomainError> {
        let Self::Key(holder) = self else { return Ok(()) };
        let own = &holder.key;
        if own.allows(Scope::Admin) && own.covers(key) {
            return Ok(());
        }
        Err(DomainError::new(Code::Forbidden)
            .saying("a key makes and changes only keys that reach no further than itself")
            .with("keyId", own.key_id.as_str()))
    }
}

/// A key as lists and answers show it: its secrets are not part of it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyView {
    /// The key.
    pub key_id: String,
    /// What people call it.
    pub name: Option<String>,
    /// The tenant; `*`: every tenant.
    pub tenant_id: String,
    /// The actors that its holder may be.
    pub actors: IdPatterns,
    /// The rooms in which it counts.
    pub rooms: IdPatterns,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// How many of its secrets count or will expire: two while it is rotated.
    pub secrets: usize,
    /// Until when it counts.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub disabled_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The id of the key that made it; `root` for the shared token, `cli` for the command line.
    pub created_by: String,
}

impl ApiKeyView {
    /// Stands for every tenant.
    pub(super) const ANY_TENANT: &str = "*";

    /// The view of a key.
    pub fn of(key: &ApiKey, last_used: Option<&KeyUse>, now: Timestamp) -> Self {
        let key = key.clone();
        Self {
            secrets: key.secrets.iter().filter(|secret| secret.is_live(now)).count(),
            tenant_id: key
                .tenant_id
                .map_or_else(|| Self::ANY_TENANT.to_owned(), |tenant| tenant.as_str().to_owned()),
            key_id: key.key_id,
            name: key.name,
            actors: key.actors,
            rooms: key.rooms,
            scopes: key.scopes,
            expires_at: key.expires_at,
            disabled_at: key.disabled_at,
            last_used_at: last_used.map(|used| used.last_used_at),
            created_at: key.created_at,
            created_by: key.created_by,
        }
    }
}

/// The answer to a command that made or changed a key.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WriteKeyResponse {
    /// The key.
    key: ApiKeyView,
    /// The text of the key, which is shown this once. Null in replays, and where no secret was made.
    token: Option<String>,
    correlation_id: CorrelationId,
}

impl WriteKeyResponse {
    pub(super) fn reply(
        ctx: &CommandContext<'_>,
        success: Success,
        key: &ApiKey,
        token: Option<&Secret>,
    ) -> Reply {
        let answer = |token: Option<&Secret>| Self {
            key: ApiKeyView::of(key, None, ctx.now),
            token: token.map(|token| token.expose().to_owned()),
            correlation_id: ctx.correlation_id.clone(),
        };
        match token {
            Some(_) => Reply::shown_once(success, &answer(token), &answer(None)),
            None => Reply::new(success, &answer(None)),
        }
    }
}

/// Adds what was done with a key to the audit trail of its tenant. `by` is the name of who did it.
pub(super) fn audit(ctx: &mut CommandContext<'_>, by: &str, action: &str, key: &ApiKey) {
    let operator = ActorId::parse(by).expect("the name of an issuer is an id");
    let metadata: Map<String, Value> = Map::from_iter([("keyId".to_owned(), key.key_id.as_str().into())]);
    let input = AuditInput {
        tenant_id: &key.tenant_id.clone().unwrap_or_default(),
        room_id: &RoomId::main(),
        operator_id: &operator,
        action,
        target_actor_id: None,
        reason: None,
        metadata: &metadata,
    };
    audit::record(ctx, &input, AuditVerdict::Applied, None);
}

/// The key with this id that the issuer may change.
pub(super) fn existing(
    ctx: &CommandContext<'_>,
    issuer: &Issuer,
    key_id: &str,
) -> Result<ApiKey, CommandError> {
    let found = ctx.get::<ApiKey>(ApiKey::key_of(key_id))?;
    let of_tenant = |key: &ApiKey| issuer.tenant().is_none_or(|own| key.tenant_id.as_ref() == Some(own));
    let key = found.filter(of_tenant).ok_or_else(|| not_found(key_id))?;
    issuer.check(&key)?;
    Ok(key)
}

/// The error for a key that does not exist, or not in the caller's tenant.
pub fn not_found(key_id: &str) -> DomainError {
    DomainError::new(Code::NotFound).with("keyId", key_id)
}

/// Makes a key.
pub struct CreateKey {
    issuer: Issuer,
    draft: Result<Draft, DomainError>,
    random: [u8; RANDOM_BYTES],
}

/// What the body says of the key.
#[derive(Clone)]
struct Draft {
    name: Option<String>,
    tenant: Option<TenantId>,
    actors: IdPatterns,
    rooms: IdPatterns,
    scopes: Vec<Scope>,
    expires_at: Option<Timestamp>,
}

impl Draft {
    fn read(fields: &Fields, issuer: &Issuer) -> Result<Self, DomainError> {
        let name = fields.filled_text(NAME)?;
        let kind = fields.text_choice(KIND, &Kind::NAMES)?;
        let scopes = scopes(fields, kind);
        let is_ambiguous = kind.is_some() && fields.has(SCOPES.name) && !fields.is_describing();
        if is_ambiguous {
            return Err(DomainError::invalid(SCOPES.name, "a key has either a kind or scopes, not both"));
        }
        // Read before any of them is refused: the description of the API lists what was read.
        let (tenant, actors) = (fields.trimmed_text(TENANT_ID), fields.texts(ACTORS));
        let (rooms, expires_at) = (fields.texts(ROOMS), fields.timestamp(EXPIRES_AT));
        let scopes = scopes?;
        let tenant = match tenant?.as_deref() {
            None => Some(issuer.tenant().cloned().unwrap_or_default()),
            Some("*")
                if scopes
                    .iter()
                    .all(|scope| [Scope::Follow, Scope::Observe, Scope::Admin].contains(scope)) =>
            {
                None
            }
            Some("*") => {
                return Err(DomainError::invalid(TENANT_ID.name, "a key that acts belongs to one tenant"));
            }
            Some(id) => Some(
                TenantId::parse(id).map_err(|why| DomainError::invalid(TENANT_ID.name, why.to_string()))?,
            ),
        };
        Ok(Self {
            name,
            tenant,
            actors: actors_of(actors?, &scopes)?,
            rooms: rooms_of(rooms?, kind)?,
            scopes,
            expires_at: expires_at?,
        })
    }
}

fn scopes(fields: &Fields, kind: Option<Kind>) -> Result<Vec<Scope>, DomainError> {
    let Some(names) = fields.texts(SCOPES)? else {
        return kind.map(|kind| kind.scopes().to_vec()).ok_or_else(|| KIND.missing());
    };
    let scope = |name: &String| {
        let known = Scope::NAMES.iter().find(|(known, _)| known == name);
        known.map(|(_, scope)| *scope).ok_or_else(|| SCOPES.not_one_of(Code::InvalidEnum, &Scope::NAMES))
    };
    let mut scopes = names.iter().map(scope).collect::<Result<Vec<_>, _>>()?;
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() { Err(SCOPES.missing()) } else { Ok(scopes) }
}

/// The actors of a key: whoever acts is somebody.
fn actors_of(given: Option<Vec<String>>, scopes: &[Scope]) -> Result<IdPatterns, DomainError> {
    let is_admin = scopes.contains(&Scope::Admin);
    let acts = !is_admin
        && scopes.iter().any(|scope| ![Scope::Listen, Scope::Follow, Scope::Observe].contains(scope));
    let given = match given {
        Some(given) => given,
        None if acts => return Err(ACTORS.missing()),
        None if is_admin => return Ok(IdPatterns::any()),
        None => Vec::new(),
    };
    let is_alone = given.len() == 1 || given.iter().all(|id| id != "*" && !id.ends_with('/'));
    if !is_alone || (given == ["*"] && !is_admin) || (given.is_empty() && acts) {
        return Err(ACTORS.must_be("a list of ids, one prefix that ends in /, or * for an admin key"));
    }
    let ids = given.iter().filter_map(|id| ActorId::parse(id).ok());
    if let Some(reserved) = ids.into_iter().find(ActorId::is_reserved) {
        return Err(ACTORS.reserved(&reserved));
    }
    patterns(ACTORS, given)
}

/// The rooms of a key.
fn rooms_of(given: Option<Vec<String>>, kind: Option<Kind>) -> Result<IdPatterns, DomainError> {
    match given {
        Some(given) if !given.is_empty() => patterns(ROOMS, given),
        None if kind != Some(Kind::Guest) => Ok(IdPatterns::any()),
        _ => Err(ROOMS.missing()),
    }
}

fn patterns(field: Field, given: Vec<String>) -> Result<IdPatterns, DomainError> {
    // As ids are compared: in one Unicode form.
    let parsed = given.iter().map(|id| ActorId::parse(id).map(|id| id.to_string()));
    let ids = parsed.collect::<Result<_, _>>();
    ids.map(IdPatterns::new).map_err(|why| DomainError::invalid(field.name, why.to_string()))
}

impl CreateKey {
    /// Reads the body. `random` is what the key is made of.
    pub fn read(fields: &Fields, issuer: Issuer, random: [u8; RANDOM_BYTES]) -> Self {
        Self { draft: Draft::read(fields, &issuer), issuer, random }
    }

    /// The tenant of the key, for its trace.
    pub fn tenant(&self) -> TenantId {
        self.draft.iter().find_map(|draft| draft.tenant.clone()).unwrap_or_default()
    }
}

impl Command for CreateKey {
    fn reads(&self) -> Vec<Query> {
        let Ok(Draft { tenant: Some(tenant), actors, .. }) = &self.draft else { return Vec::new() };
        named_actors(actors).map(|actor| actors::read(tenant, &actor)).collect()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let Draft { name, tenant, actors, rooms, scopes, expires_at } = self.draft.clone()?;
        if let Some(past) = expires_at.filter(|end| *end <= ctx.now) {
            let error = DomainError::out_of_bounds(EXPIRES_AT.name, "a key ends after now", past.to_string());
            return Err(error.with("min", ctx.now.to_string()).into());
        }
        let key_id = token::key_id(&self.random);
        let (text, hash) = token::make(&key_id, &self.random);
        let key = ApiKey {
            key_id,
            name,
            tenant_id: tenant,
            actors,
            rooms,
            scopes,
            secrets: vec![KeySecret { hash, created_at: ctx.now, expires_at: None }],
            expires_at,
            disabled_at: None,
            has_ended: false,
            created_at: ctx.now,
            created_by: self.issuer.name().to_owned(),
        };
        self.issuer.check(&key)?;
        register_actors(ctx, &key)?;
        ctx.put(&key);
        audit(ctx, self.issuer.name(), "key_create", &key);
        Ok(WriteKeyResponse::reply(ctx, Success::Created, &key, Some(&text)))
    }
}

/// Makes the actors of a key known in its tenant, so that nobody else joins under a name that looks like one of them.
fn register_actors(ctx: &mut CommandContext<'_>, key: &ApiKey) -> Result<(), CommandError> {
    let Some(tenant) = &key.tenant_id else { return Ok(()) };
    named_actors(&key.actors).try_for_each(|actor| actors::register(ctx, tenant, &actor, ACTORS.name))
}

/// The actors that a key names by their ids.
fn named_actors(actors: &IdPatterns) -> impl Iterator<Item = ActorId> {
    actors.exact().map(|id| ActorId::parse(id).expect("the actors of a key are ids"))
}

/// Notes when keys were last used.
pub struct NoteKeyUses(pub Vec<KeyUse>);

impl Command for NoteKeyUses {
    fn reads(&self) -> Vec<Query> {
        Vec::new()
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        self.0.iter().for_each(|used| ctx.put(used));
        Ok(Reply::new(Success::Ok, &self.0.len()))
    }
}
