//! The requests of each connection: prepared bytes, in which only what differs between two requests is overwritten.

use std::ops::{Range, RangeFrom};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Serialize, Serializer};

use crate::target::Target;

/// Characters of an idempotency key: a UUID's.
const KEY_LENGTH: usize = 36;
/// Positions of the hyphens in a UUID.
const KEY_HYPHENS: [usize; 4] = [8, 13, 18, 23];
/// Start of a say's text; its number follows.
const TEXT_PREFIX: &str = "a flat white for table four, ";
/// Decimal digits of a say's number.
const NUMBER_DIGITS: usize = 12;
/// Start of a timed say's text; the time follows.
const TIME_PREFIX: &str = "t=";
/// Decimal digits of a timed say's microseconds.
pub(crate) const TIME_DIGITS: usize = 13;

/// The requests of one connection, in order.
pub trait Script: Send + 'static {
    /// The bytes of the next request; `now_us` is its sending time.
    fn next_request(&mut self, now_us: u64) -> &[u8];
}

/// The bytes of one `POST /v1/commands/say`. Room, actor, text and key keep their lengths.
#[derive(Clone, Debug)]
struct SayRequest {
    bytes: Vec<u8>,
    seed: u64,
    key: Range<usize>,
    room: Range<usize>,
    actor: Range<usize>,
    text: Range<usize>,
}

impl SayRequest {
    /// A say to this server. Requests with other seeds have other keys.
    fn new(target: &Target, seed: u64, tenant: &str, room: &str, actor: &str, text: &str) -> Self {
        let mut body = String::new();
        append(&mut body, r#"{"tenantId":""#, &json_string_content(tenant));
        let room = append(&mut body, r#"","roomId":""#, &json_string_content(room));
        let actor = append(&mut body, r#"","actorId":""#, &json_string_content(actor));
        let text = append(&mut body, r#"","text":""#, &json_string_content(text));
        body.push_str("\"}");

        let mut head = target.request_head("POST", "/v1/commands/say");
        head.push_str("content-type: application/json\r\n");
        let key = append(&mut head, "idempotency-key: ", &"-".repeat(KEY_LENGTH));
        head.push_str(&format!("\r\ncontent-length: {}\r\n\r\n", body.len()));
        let in_body = |range: Range<usize>| range.start + head.len()..range.end + head.len();
        let (room, actor, text) = (in_body(room), in_body(actor), in_body(text));
        head.push_str(&body);
        Self { bytes: head.into_bytes(), seed, key, room, actor, text }
    }

    /// Sets the idempotency key of this number; other numbers have other keys.
    fn set_key(&mut self, number: u64) {
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

    fn room_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.room.clone()]
    }

    fn actor_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.actor.clone()]
    }

    fn text_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.text.clone()]
    }
}

/// The text between the quotes of a JSON string.
fn json_string_content(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Appends both and returns the range of the second.
fn append(text: &mut String, before: &str, value: &str) -> Range<usize> {
    text.push_str(before);
    let start = text.len();
    text.push_str(value);
    start..text.len()
}

/// Overwrites `digits` with `value` in decimal, padded with zeros; digits that do not fit are cut off.
pub fn write_decimal(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Maps numbers one to one to all of `u64` (the finaliser of SplitMix64), so that keys arrive in random order, as from
/// real clients.
#[must_use]
pub fn scramble(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Reserves 2^32 numbers, from the returned one on, that no other caller in this process gets.
#[must_use]
pub fn reserve_numbers() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed) << 32
}

/// The actors that say something, and their rooms.
#[derive(Clone, Debug, Serialize)]
pub struct SayActors {
    /// The tenant of all rooms.
    #[serde(rename = "tenantId")]
    pub tenant: String,
    /// Prefix of the room names; a hyphen and a number follow.
    #[serde(rename = "roomIdPrefix", serialize_with = "serialize_prefix")]
    pub room_prefix: String,
    /// Number of rooms.
    pub rooms: u64,
    /// Number of actors; actor `i` is in room `i % rooms`.
    pub actors: u64,
    /// Other seeds make other idempotency keys.
    #[serde(skip)]
    pub seed: u64,
}

fn serialize_prefix<S: Serializer>(prefix: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{prefix}-"))
}

impl Default for SayActors {
    /// 500 actors in 50 rooms.
    fn default() -> Self {
        Self { tenant: "default".to_owned(), room_prefix: "room".to_owned(), rooms: 50, actors: 500, seed: 0 }
    }
}

/// Says by all actors in turn, each in its own room.
#[derive(Debug)]
pub struct SayScript {
    request: SayRequest,
    rooms: u64,
    actors: u64,
    room_digits: RangeFrom<usize>,
    actor_digits: RangeFrom<usize>,
    next_number: u64,
    next_actor: u64,
    actor_step: u64,
}

impl SayScript {
    /// One script for each of `count` connections; together they use all actors.
    #[must_use]
    pub fn for_connections(target: &Target, actors: &SayActors, count: u64) -> Vec<Self> {
        let numbered = |name: &str, count: u64| {
            let digits = count.saturating_sub(1).to_string().len();
            format!("{name}-{}", "0".repeat(digits))
        };
        let (room, actor) = (numbered(&actors.room_prefix, actors.rooms), numbered("actor", actors.actors));
        let text = format!("{TEXT_PREFIX}{}", "0".repeat(NUMBER_DIGITS));
        let mut request = SayRequest::new(target, actors.seed, &actors.tenant, &room, &actor, &text);
        let room_digits = request.room_mut().len() - (room.len() - actors.room_prefix.len() - 1)..;
        let script = |connection| Self {
            request: request.clone(),
            rooms: actors.rooms,
            actors: actors.actors,
            room_digits: room_digits.clone(),
            actor_digits: "actor-".len()..,
            next_number: reserve_numbers(),
            next_actor: connection,
            actor_step: count,
        };
        (0..count).map(script).collect()
    }
}

impl Script for SayScript {
    fn next_request(&mut self, _now_us: u64) -> &[u8] {
        let actor = self.next_actor % self.actors;
        write_decimal(&mut self.request.room_mut()[self.room_digits.clone()], actor % self.rooms);
        write_decimal(&mut self.request.actor_mut()[self.actor_digits.clone()], actor);
        write_decimal(&mut self.request.text_mut()[TEXT_PREFIX.len()..], self.next_number);
        self.request.set_key(self.next_number);
        self.next_number += 1;
        self.next_actor += self.actor_step;
        &self.request.bytes
    }
}

/// Says by one actor in one room, with the sending time in the text.
#[derive(Debug)]
pub struct TimedSayScript {
    request: SayRequest,
    next_number: u64,
}

impl TimedSayScript {
    /// One script for each of `count` actors, all in this room. Other seeds make other idempotency keys.
    #[must_use]
    pub fn for_actors(target: &Target, tenant: &str, room: &str, seed: u64, count: u64) -> Vec<Self> {
        let text = format!("{TIME_PREFIX}{:0TIME_DIGITS$} is when I ordered it", 0);
        let script = |number| {
            let actor = format!("actor-{number:03}");
            let request = SayRequest::new(target, seed, tenant, room, &actor, &text);
            Self { request, next_number: reserve_numbers() }
        };
        (0..count).map(script).collect()
    }
}

impl Script for TimedSayScript {
    fn next_request(&mut self, now_us: u64) -> &[u8] {
        let time = TIME_PREFIX.len()..TIME_PREFIX.len() + TIME_DIGITS;
        write_decimal(&mut self.request.text_mut()[time], now_us);
        self.request.set_key(self.next_number);
        self.next_number += 1;
        &self.request.bytes
    }
}

/// GET requests that alternate.
#[derive(Clone, Debug)]
pub struct GetScript {
    requests: Vec<Vec<u8>>,
    next: usize,
}

impl GetScript {
    /// Requests for these paths, starting with the first.
    #[must_use]
    pub fn new(target: &Target, paths: &[&str]) -> Self {
        Self { requests: paths.iter().map(|path| target.get(path)).collect(), next: 0 }
    }
}

impl Script for GetScript {
    fn next_request(&mut self, _now_us: u64) -> &[u8] {
        let current = self.next % self.requests.len();
        self.next = current + 1;
        &self.requests[current]
    }
}
