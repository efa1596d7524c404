//! Requests as ready bytes, in which only what differs from one to the next is patched.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::target::Target;

/// Characters of an idempotency key: a UUID's.
const KEY_LENGTH: usize = 36;
/// Where a UUID has its hyphens.
const KEY_HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// The bytes of one `POST /v1/commands/say`. Room, actor, text and key keep their lengths.
#[derive(Clone, Debug)]
pub struct SayRequest {
    bytes: Vec<u8>,
    seed: u64,
    key: Range<usize>,
    room: Range<usize>,
    actor: Range<usize>,
    text: Range<usize>,
}

/// Who says what, and where.
#[derive(Clone, Copy, Debug)]
pub struct Say<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// The room.
    pub room: &'a str,
    /// Who says it.
    pub actor: &'a str,
    /// What.
    pub text: &'a str,
}

impl SayRequest {
    /// This say, to this server. Requests with other seeds have other keys.
    #[must_use]
    pub fn new(target: &Target, say: Say<'_>, seed: u64) -> Self {
        let mut body = String::new();
        let _ = appended(&mut body, r#"{"tenantId":""#, &in_json(say.tenant));
        let room = appended(&mut body, r#"","roomId":""#, &in_json(say.room));
        let actor = appended(&mut body, r#"","actorId":""#, &in_json(say.actor));
        let text = appended(&mut body, r#"","text":""#, &in_json(say.text));
        body.push_str("\"}");

        let mut head = target.request_head("POST", "/v1/commands/say");
        head.push_str("content-type: application/json\r\n");
        let key = appended(&mut head, "idempotency-key: ", &"-".repeat(KEY_LENGTH));
        head.push_str(&format!("\r\ncontent-length: {}\r\n\r\n", body.len()));
        let in_body = |range: Range<usize>| range.start + head.len()..range.end + head.len();
        let (room, actor, text) = (in_body(room), in_body(actor), in_body(text));
        head.push_str(&body);
        Self { bytes: head.into_bytes(), seed, key, room, actor, text }
    }

    /// What goes over the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Sets the idempotency key to the one that belongs to `number`; other numbers have other keys.
    pub fn set_key(&mut self, number: u64) {
        let scrambled = scramble(number);
        let digits = (u128::from(scrambled) << 64) | u128::from(scramble(scrambled ^ self.seed));
        let mut shift = 128;
        for (at, byte) in self.bytes[self.key.clone()].iter_mut().enumerate() {
            if !KEY_HYPHENS.contains(&at) {
                shift -= 4;
                *byte = b"0123456789abcdef"[(digits >> shift) as usize & 15];
            }
        }
    }

    /// The room's bytes.
    pub fn room_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.room.clone()]
    }

    /// The actor's bytes.
    pub fn actor_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.actor.clone()]
    }

    /// The text's bytes.
    pub fn text_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.text.clone()]
    }
}

/// A text as it stands between the quotes of a JSON string.
fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Appends both and gives the place of the second.
fn appended(text: &mut String, before: &str, value: &str) -> Range<usize> {
    text.push_str(before);
    let start = text.len();
    text.push_str(value);
    start..text.len()
}

/// Fills `digits` with `value` in decimal, zeros in front; digits that do not fit are cut off.
pub fn write_decimal(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Spreads numbers over all of `u64`, one to one (the finaliser of SplitMix64), so that keys come
/// in no order, as they do from real clients.
#[must_use]
pub fn scramble(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Numbers that no other caller in this process gets: 2^32 from the returned one on.
#[must_use]
pub fn reserve_numbers() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(seed: u64) -> SayRequest {
        let target = Target::parse("http://cafe").unwrap();
        let say = Say { tenant: "a \"b\"", room: "room-00", actor: "actor-000", text: "no. 000" };
        SayRequest::new(&target, say, seed)
    }

    #[test]
    fn a_patched_say_is_well_formed() {
        let mut request = request(0);
        request.set_key(7);
        write_decimal(&mut request.room_mut()[5..], 42);
        write_decimal(&mut request.actor_mut()[6..], 7);
        write_decimal(&mut request.text_mut()[4..], 99);
        let text = String::from_utf8(request.as_bytes().to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let expected = serde_json::json!(
            {"tenantId": "a \"b\"", "roomId": "room-42", "actorId": "actor-007", "text": "no. 099"}
        );
        assert_eq!(body, expected);
    }

    #[test]
    fn keys_differ_and_look_like_uuids() {
        let mut keys = std::collections::HashSet::new();
        for mut request in [request(0), request(1)] {
            for number in 0..1000 {
                request.set_key(number);
                let key = std::str::from_utf8(&request.bytes[request.key.clone()]).unwrap().to_owned();
                assert_eq!(key.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
                assert!(keys.insert(key));
            }
        }
    }
}
