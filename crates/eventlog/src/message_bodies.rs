//! The bodies of messages in the events of readers that request them: the log keeps them beside the events.

use std::pin::Pin;

use agentcafe_domain::kernel::{EventType, Sequence};
use bytes::{BufMut, BytesMut};
use memchr::memmem;

use crate::{Cut, EventPage, LoggedEvent, ReadError};

/// The most characters of bodies in a page, or one body.
const MAX_PAGE_CHARS: usize = 128 << 10;
/// What an event has where its message has a body: the length follows. A JSON text cannot contain it, and ids and the line of
/// the message are all that precedes it.
const LENGTH: &[u8] = br#""bodyChars":"#;

/// A read in progress: the bodies, in the order of the request; none for a message that has none.
pub type BodiesFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<Option<String>>, ReadError>> + Send + 'a>>;

/// Whatever holds the bodies of the messages in a log.
pub trait MessageBodies: Send + Sync + 'static {
    /// Reads the bodies of the messages that these events are.
    fn read_bodies(&self, sequences: Vec<Sequence>) -> BodiesFuture<'_>;
}

/// Where an event gets the body of its message, and how many characters that has; none if the message has no body.
fn place(event: &LoggedEvent) -> Option<(usize, usize)> {
    if event.kind != EventType::ConversationMessagePosted {
        return None;
    }
    let at = memmem::find(&event.json, LENGTH)?;
    let digits = event.json[at + LENGTH.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    // An imported event may have any number here.
    let add = |chars: usize, digit: &u8| chars.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
    Some((at, digits.fold(0, add)))
}

impl LoggedEvent {
    /// The same event with this member before the byte `at`.
    fn with_body(&self, at: usize, body: &str) -> Self {
        let body = serde_json::to_vec(body).expect("a text is JSON");
        let mut json = BytesMut::with_capacity(self.json.len() + body.len() + 8);
        json.put_slice(&self.json[..at]);
        json.put_slice(br#""body":"#);
        json.put_slice(&body);
        json.put_u8(b',');
        json.put_slice(&self.json[at..]);
        Self { json: json.freeze(), ..self.clone() }
    }
}

impl EventPage {
    /// Adds the bodies of its messages. The page ends before a body with which it would be too large.
    ///
    /// # Errors
    /// The bodies cannot be read.
    pub async fn add_bodies(&mut self, bodies: &dyn MessageBodies) -> Result<(), ReadError> {
        let (mut places, mut chars) = (Vec::new(), 0_usize);
        for (index, event) in self.events.iter().enumerate() {
            let Some((at, length)) = place(event) else { continue };
            chars = length.saturating_add(chars);
            if chars > MAX_PAGE_CHARS && !places.is_empty() {
                self.end_before(index);
                break;
            }
            places.push((index, at));
        }
        if places.is_empty() {
            return Ok(());
        }
        let sequences = places.iter().map(|(index, _)| self.events[*index].sequence).collect();
        for ((index, at), body) in places.into_iter().zip(bodies.read_bodies(sequences).await?) {
            if let Some(body) = body {
                self.events[index] = self.events[index].with_body(at, &body);
            }
        }
        Ok(())
    }

    /// Leaves out its events from this one on, which is not the first.
    fn end_before(&mut self, index: usize) {
        self.events.truncate(index);
        self.later.clear();
        self.cut = Some(Cut::Size);
        self.scanned_to = self.last().unwrap_or(self.scanned_to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kind: numbers of imported events. Whatever the length says, it is only a length.
    #[test]
    fn body_length_of_an_imported_event_may_be_any_number() {
        let place_in = |json: &'static str| {
            let kind = EventType::ConversationMessagePosted;
            place(&LoggedEvent { sequence: Sequence(1), kind, json: json.as_bytes().into() })
        };
        assert_eq!(place_in(r#"{"text":"\"bodyChars\":1","bodyChars":42}"#), Some((26, 42)));
        assert_eq!(place_in(r#"{"bodyChars":99999999999999999999999}"#), Some((1, usize::MAX)));
        assert_eq!(place_in(r#"{"bodyChars":-1}"#), Some((1, 0)));
        assert_eq!(place_in(r#"{"text":"none"}"#), None);
    }
}
