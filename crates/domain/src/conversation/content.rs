//! What a message has beside its line: the body and the attachments.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use super::ConversationRules;
use crate::kernel::{Code, DomainError, EXAMPLE_ID, Field, Fields, RoomId, Sequence, TenantId, hex, record};

/// The most characters of a body that an event shows.
const MAX_PREVIEW_CHARS: usize = 280;
/// The most attachments of a message.
const MAX_ATTACHMENTS: usize = 10;

const BODY: Field = Field::new(
    "body",
    "The rest of the message, as Markdown: kept beside the events, whose readers get its beginning. @Name mentions an actor, outside of code and URLs.",
    "The parser accepts **two** closing brackets.",
);
const ATTACHMENTS: Field = Field::new(
    "attachments",
    "What the message refers to. Each has either a url or the objectId of a shared object.",
    r#"[{"name":"build.log","mediaType":"text/plain","url":"https://example.com/build.log"}]"#,
)
.up_to(MAX_ATTACHMENTS);
const MEDIA_TYPE: Field = Field::new("mediaType", "Its media type.", "text/plain").up_to(127);
const NAME: Field = Field::new("name", "What it is called.", "build.log").up_to(200);
const URL: Field =
    Field::new("url", "Where it is: http or https.", "https://example.com/build.log").up_to(2_048);
const OBJECT_ID: Field = Field::new("objectId", "The shared object that it is.", EXAMPLE_ID).up_to(36);

/// Something that a message refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// Its media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The shared object that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_id: Option<Uuid>,
}

impl Attachment {
    fn read(fields: &Fields) -> Result<Self, DomainError> {
        let attachment = Self {
            media_type: fields.trimmed_text(MEDIA_TYPE)?,
            name: fields.trimmed_text(NAME)?,
            url: fields.trimmed_text(URL)?,
            object_id: match fields.trimmed_text(OBJECT_ID)? {
                Some(id) => Some(Uuid::parse_str(&id).map_err(|_| OBJECT_ID.must_be("a UUID"))?),
                None => None,
            },
        };
        if attachment.media_type.as_ref().is_some_and(|kind| !kind.contains('/')) {
            return Err(MEDIA_TYPE.must_be("a media type"));
        }
        let is_web =
            |url: &String| Url::parse(url).is_ok_and(|url| ["http", "https"].contains(&url.scheme()));
        if attachment.url.as_ref().is_some_and(|url| !is_web(url)) {
            return Err(URL.must_be("an absolute URL with the scheme http or https"));
        }
        if attachment.url.is_some() == attachment.object_id.is_some() {
            let why = "an attachment has either a url or an objectId";
            return Err(DomainError::new(Code::Validation).saying(why).with("field", URL.name));
        }
        Ok(attachment)
    }
}

/// A body, and what is derived from it before the command is queued: no commit batch waits for that.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Body {
    pub(super) text: String,
    /// Its length in characters.
    pub(super) chars: usize,
    /// Its beginning, with each run of white space as one blank.
    pub(super) preview: String,
    /// What stands for it where texts are compared.
    pub(super) hash: String,
}

/// What a message has beside its line.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Content {
    pub(super) body: Option<Body>,
    pub(super) attachments: Vec<Attachment>,
}

impl Content {
    pub(super) fn read(fields: &Fields, rules: ConversationRules) -> Result<Self, DomainError> {
        Ok(Self {
            body: fields.filled_text(BODY.up_to(rules.max_body_chars))?.map(Body::new),
            attachments: fields.list(ATTACHMENTS, Attachment::read)?,
        })
    }
}

impl Body {
    fn new(text: String) -> Self {
        let mut preview = String::new();
        let mut chars = 0;
        for (at, word) in text.split_whitespace().enumerate() {
            let blank = usize::from(at > 0);
            if chars + blank >= MAX_PREVIEW_CHARS {
                break;
            }
            preview.extend((at > 0).then_some(' '));
            preview.extend(word.chars().take(MAX_PREVIEW_CHARS - chars - blank));
            chars += blank + word.chars().count();
        }
        Self { chars: text.chars().count(), preview, hash: hex(Sha256::digest(&text)), text }
    }
}

/// The body of a message. The event of the message has its length and its beginning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageBody {
    /// The event of the message.
    pub sequence: Sequence,
    /// The tenant.
    pub tenant_id: TenantId,
    /// The room.
    pub room_id: RoomId,
    /// The body as it was sent.
    pub body: String,
}

record!(MessageBody in "message_bodies": [sequence] tenant_id, room_id);

#[cfg(test)]
mod tests {
    use super::*;

    fn preview(body: &str) -> (usize, String) {
        let Body { chars, preview, .. } = Body::new(body.to_owned());
        (chars, preview)
    }

    /// The preview has one line, and at most 280 characters.
    #[test]
    fn preview_is_the_beginning_of_the_body_on_one_line() {
        assert_eq!(preview("# One\n\n\ttwo  three\n"), (19, "# One two three".to_owned()));
        let (chars, cut) = preview(&"é".repeat(300));
        assert_eq!((chars, cut), (300, "é".repeat(280)));
        let (chars, cut) = preview(&"word ".repeat(100));
        assert_eq!((chars, cut.chars().count()), (500, 279));
        assert_eq!(preview(&format!("{} b", "a".repeat(279))).1, "a".repeat(279));
    }
}
