//! Profiles: how an actor describes itself, and how it is shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::actors;
use crate::kernel::{
    ACTOR_ID, ActorId, Code, Command, CommandContext, CommandError, DomainError, Field, Fields, Key,
    METADATA, Query, Reply, RoomId, Success, TenantId, Timestamp, record, response,
};
use crate::rooms::theme::{Theme, ThemePart};
use crate::work::{names_nothing, set};

const MAX_NAME_CHARS: usize = 200;
const MAX_URL_CHARS: usize = 2_048;
const MAX_BIO_CHARS: usize = 16 * 1_024;
/// The fields of a profile, in the order in which it is checked.
const CHANGEABLE: [Field; 5] = [DISPLAY_NAME, AVATAR_URL, BIO, THEME, METADATA];
const DISPLAY_NAME: Field =
    Field::new("displayName", "The actor's name, for people.", "Nova").up_to(MAX_NAME_CHARS).in_example();
const AVATAR_URL: Field = Field::new(
    "avatarUrl",
    "The actor's picture: an absolute http or https URL.",
    "https://example.com/nova.png",
)
.up_to(MAX_URL_CHARS);
const BIO: Field =
    Field::new("bio", "What the actor says about itself.", "Likes quiet tables.").up_to(MAX_BIO_CHARS);
const THEME: Field = Field::new(
    "theme",
    "The actor's colours: bubbleColor, textColor and accentColor, each #rrggbb, #rrggbbaa or null.",
    r##"{"bubbleColor":"#22668a","textColor":"#ffffff","accentColor":null}"##,
)
.with_members(ThemePart::NAMES);
const ROOM_ID: Field =
    Field::new("roomId", "The room in which the actor is; only the request's trace shows it.", "main");

/// How an actor is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The actor.
    pub actor_id: ActorId,
    /// Its name.
    pub display_name: String,
    /// The URL of its picture.
    pub avatar_url: Option<String>,
    /// Its description of itself.
    pub bio: Option<String>,
    /// Its colours.
    pub theme: Option<Theme>,
    /// Whatever it adds.
    pub metadata: Map<String, Value>,
    /// When there first was a profile.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

record!(Profile in "profiles": [tenant_id, actor_id] updated_at);

/// The owner of the profile.
#[derive(Clone, Debug)]
pub struct ProfileOwner {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The actor.
    pub actor_id: ActorId,
}

impl ProfileOwner {
    /// Reads the path's id; the tenant is in the body, else in the query.
    ///
    /// # Errors
    /// `ERR_VALIDATION {field}` for the tenant, `ERR_NOT_FOUND` for an id that no actor can have.
    pub fn read(actor_id: &str, query: &Fields, fields: &Fields) -> Result<Self, DomainError> {
        let tenant_id = fields.tenant_or_in(query)?;
        let unknown = |_| not_found(&tenant_id, actor_id);
        let actor_id = ActorId::parse(actor_id).map_err(unknown)?;
        Ok(Self { tenant_id, actor_id })
    }

    /// As [`ProfileOwner::read`], for a change: a caller with a key changes only profiles of its own actors.
    ///
    /// # Errors
    /// As [`ProfileOwner::read`]; `ERR_FORBIDDEN {field, allowed}`.
    pub fn own(actor_id: &str, query: &Fields, fields: &Fields) -> Result<Self, DomainError> {
        let Self { tenant_id, actor_id } = Self::read(actor_id, query, fields)?;
        Ok(Self { tenant_id, actor_id: fields.check_actor(ACTOR_ID, actor_id)? })
    }

    /// The key of the profile.
    pub fn key(&self) -> Key {
        vec![(&self.tenant_id).into(), (&self.actor_id).into()]
    }

    /// The error of an actor without a profile.
    pub fn unknown(&self) -> DomainError {
        not_found(&self.tenant_id, self.actor_id.as_str())
    }

    fn find(&self, ctx: &CommandContext<'_>) -> Result<Profile, CommandError> {
        Ok(ctx.get::<Profile>(self.key())?.ok_or_else(|| self.unknown())?)
    }
}

fn not_found(tenant_id: &TenantId, actor_id: &str) -> DomainError {
    DomainError::new(Code::NotFound).with("tenantId", tenant_id.as_str()).with("actorId", actor_id)
}

/// An absolute `http` or `https` URL with a host, kept as it was written.
fn web_address(field: &str, text: String) -> Result<String, DomainError> {
    let is_plain = !text.contains(|c: char| c.is_whitespace() || c.is_control());
    let is_absolute = Url::parse(&text).is_ok_and(|url| {
        let prefix = format!("{}://", url.scheme());
        let names_its_host =
            text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(&prefix));
        matches!(url.scheme(), "http" | "https") && names_its_host && url.has_host()
    });
    if is_plain && is_absolute {
        return Ok(text);
    }
    Err(DomainError::new(Code::InvalidUrl)
        .saying(format!("{field} must be an absolute http or https URL"))
        .with("field", field)
        .with("value", text))
}

/// What is to be written into a profile; what it does not name stays.
#[derive(Clone, Debug, Default, PartialEq)]
struct ProfileChanges {
    display_name: Option<String>,
    avatar_url: Option<Option<String>>,
    bio: Option<Option<String>>,
    theme: Option<Option<Theme>>,
    metadata: Option<Map<String, Value>>,
}

fn avatar_url(fields: &Fields) -> Result<Option<String>, DomainError> {
    fields.trimmed_text(AVATAR_URL)?.map(|text| web_address(AVATAR_URL.name, text)).transpose()
}

fn theme(fields: &Fields) -> Result<Option<Theme>, DomainError> {
    let sent = fields.object(THEME)?;
    sent.as_ref().map_or(Ok(None), Theme::read)
}

impl ProfileChanges {
    /// Reads the fields that are `named`.
    fn read(fields: &Fields, named: impl Fn(&str) -> bool) -> Result<Self, DomainError> {
        let metadata = || Ok(fields.object(METADATA)?.unwrap_or_default());
        let [name, url, about, colors, more] = CHANGEABLE.map(|field| named(field.name));
        Ok(Self {
            display_name: name.then(|| fields.required_string(DISPLAY_NAME)).transpose()?,
            avatar_url: url.then(|| avatar_url(fields)).transpose()?,
            bio: about.then(|| fields.trimmed_text(BIO)).transpose()?,
            theme: colors.then(|| theme(fields)).transpose()?,
            metadata: more.then(metadata).transpose()?,
        })
    }

    /// All fields: what is missing is written as nothing.
    fn whole(fields: &Fields) -> Result<Self, DomainError> {
        Self::read(fields, |_| true)
    }

    /// The fields that the client sent, at least one.
    fn partial(fields: &Fields) -> Result<Self, DomainError> {
        if !CHANGEABLE.iter().any(|field| fields.has(field.name)) {
            return Err(names_nothing(&CHANGEABLE));
        }
        Self::read(fields, |name| fields.has(name))
    }

    fn apply(&self, mut profile: Profile, now: Timestamp) -> Profile {
        set(&mut profile.display_name, &self.display_name);
        set(&mut profile.avatar_url, &self.avatar_url);
        set(&mut profile.bio, &self.bio);
        set(&mut profile.theme, &self.theme);
        set(&mut profile.metadata, &self.metadata);
        profile.updated_at = now;
        profile
    }
}

response! {
    /// The answer to a profile that was written.
    WriteProfileResponse {
        /// The profile.
        profile: Profile,
    }
}

/// `POST /v1/profiles`: an actor's profile is written whole, whether there was one or not.
pub struct UpsertProfile {
    owner: ProfileOwner,
    room_id: Option<RoomId>,
    changes: Result<ProfileChanges, DomainError>,
}

impl UpsertProfile {
    /// Reads the body.
    ///
    /// # Errors
    /// A field that identifies the actor is not valid; the command refuses other fields when it is decided.
    pub fn read(fields: &Fields) -> Result<Self, DomainError> {
        let tenant_id = fields.tenant_or_default()?;
        let actor_id = fields.required_actor(ACTOR_ID)?;
        let room_id = fields.room(ROOM_ID)?;
        Ok(Self {
            owner: ProfileOwner { tenant_id, actor_id },
            room_id,
            changes: ProfileChanges::whole(fields),
        })
    }

    /// The owner of the profile.
    pub fn owner(&self) -> &ProfileOwner {
        &self.owner
    }

    /// The actor's own location; only the trace shows it.
    pub fn room_id(&self) -> Option<&RoomId> {
        self.room_id.as_ref()
    }
}

impl Command for UpsertProfile {
    fn reads(&self) -> Vec<Query> {
        vec![Query::one::<Profile>(self.owner.key())]
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let changes = self.changes.as_ref().map_err(Clone::clone)?;
        let previous: Option<Profile> = ctx.get(self.owner.key())?;
        let ProfileOwner { tenant_id, actor_id } = self.owner.clone();
        if previous.is_none() {
            actors::register(ctx, &tenant_id, &actor_id, ACTOR_ID.name)?;
        }
        let blank = Profile {
            tenant_id,
            actor_id,
            display_name: String::new(),
            avatar_url: None,
            bio: None,
            theme: None,
            metadata: Map::new(),
            created_at: previous.map_or(ctx.now, |previous| previous.created_at),
            updated_at: ctx.now,
        };
        let profile = changes.apply(blank, ctx.now);
        ctx.put(&profile);
        Ok(WriteProfileResponse::reply(ctx, Success::Created, profile))
    }
}

/// `PATCH /v1/profiles/{actorId}`: some of a profile is changed.
pub struct UpdateProfile {
    owner: ProfileOwner,
    changes: Result<ProfileChanges, DomainError>,
}

impl UpdateProfile {
    /// Takes the owner of the profile, and reads the body.
    pub fn read(owner: ProfileOwner, fields: &Fields) -> Self {
        Self { owner, changes: ProfileChanges::partial(fields) }
    }

    /// Names the fields of the body, none of which must be there.
    pub fn describe(fields: &Fields) {
        let _ = fields.tenant_or_default();
        let _ = fields.trimmed_text(DISPLAY_NAME);
        let _ = ProfileChanges::partial(fields);
    }
}

impl Command for UpdateProfile {
    fn reads(&self) -> Vec<Query> {
        vec![Query::one::<Profile>(self.owner.key())]
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let profile = self.owner.find(ctx)?;
        let changes = self.changes.as_ref().map_err(Clone::clone)?;
        let profile = changes.apply(profile, ctx.now);
        ctx.put(&profile);
        Ok(WriteProfileResponse::reply(ctx, Success::Ok, profile))
    }
}

/// `DELETE /v1/profiles/{actorId}`: a profile is deleted.
pub struct DeleteProfile {
    /// The owner of the profile.
    pub owner: ProfileOwner,
}

response! {
    /// The answer to a [`DeleteProfile`].
    DeleteProfileResponse {
        /// Always true: the record existed and was deleted.
        deleted: bool,
        actor_id: ActorId,
    }
}

impl Command for DeleteProfile {
    fn reads(&self) -> Vec<Query> {
        vec![Query::one::<Profile>(self.owner.key())]
    }

    fn decide(&self, ctx: &mut CommandContext<'_>) -> Result<Reply, CommandError> {
        let Profile { actor_id, .. } = self.owner.find(ctx)?;
        ctx.delete::<Profile>(self.owner.key());
        Ok(DeleteProfileResponse::reply(ctx, Success::Ok, true, actor_id))
    }
}
