//! What a connection asks, request after request.

use std::ops::RangeFrom;

use crate::requests::{Say, SayRequest, reserve_numbers, write_decimal};
use crate::target::Target;

/// What a say's text begins with; its number follows.
const TEXT_PREFIX: &str = "a flat white for table four, ";
/// Decimal digits of a say's number.
const NUMBER_DIGITS: usize = 12;
/// What a timed say's text begins with; the time follows.
pub const TIME_PREFIX: &str = "t=";
/// Decimal digits of a timed say's microseconds.
pub const TIME_DIGITS: usize = 13;

/// The requests of one connection.
pub trait Script: Send + 'static {
    /// The next request's bytes; `now_us` is the time at which it is sent.
    fn next_request(&mut self, now_us: u64) -> &[u8];
}

/// Who speaks where, in a load of says.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// The tenant of all rooms.
    pub tenant: String,
    /// What the rooms' names begin with; their numbers follow.
    pub room: String,
    /// How many rooms.
    pub rooms: u64,
    /// How many actors; actor `i` lives in room `i % rooms`.
    pub actors: u64,
    /// Crowds with other seeds use other idempotency keys.
    pub seed: u64,
}

impl Default for Crowd {
    /// 500 actors in 50 rooms.
    fn default() -> Self {
        Self { tenant: "default".to_owned(), room: "room".to_owned(), rooms: 50, actors: 500, seed: 0 }
    }
}

/// Says by all actors of a crowd in turn, each in its own room.
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
    /// One script for each of so many connections; together they use all actors.
    #[must_use]
    pub fn for_connections(target: &Target, crowd: &Crowd, count: u64) -> Vec<Self> {
        let numbered = |name: &str, of: u64| {
            let digits = of.saturating_sub(1).to_string().len();
            format!("{name}-{}", "0".repeat(digits))
        };
        let (room, actor) = (numbered(&crowd.room, crowd.rooms), numbered("actor", crowd.actors));
        let text = format!("{TEXT_PREFIX}{}", "0".repeat(NUMBER_DIGITS));
        let say = Say { tenant: &crowd.tenant, room: &room, actor: &actor, text: &text };
        let mut request = SayRequest::new(target, say, crowd.seed);
        let room_digits = request.room_mut().len() - (room.len() - crowd.room.len() - 1)..;
        let script = |connection| Self {
            request: request.clone(),
            rooms: crowd.rooms,
            actors: crowd.actors,
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
        self.request.as_bytes()
    }
}

/// Says by one actor in one room, with the time of sending in the text.
#[derive(Debug)]
pub struct TimedSayScript {
    request: SayRequest,
    next_number: u64,
}

impl TimedSayScript {
    /// One script for each of so many actors, all in this room. Scripts with other seeds use other idempotency keys.
    #[must_use]
    pub fn for_actors(target: &Target, tenant: &str, room: &str, seed: u64, count: u64) -> Vec<Self> {
        let text = format!("{TIME_PREFIX}{:0TIME_DIGITS$} is when I ordered it", 0);
        let script = |number| {
            let actor = format!("actor-{number:03}");
            let say = Say { tenant, room, actor: &actor, text: &text };
            Self { request: SayRequest::new(target, say, seed), next_number: reserve_numbers() }
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
        self.request.as_bytes()
    }
}

/// Requests that take turns.
#[derive(Clone, Debug)]
pub struct AlternatingScript {
    requests: Vec<Vec<u8>>,
    next: usize,
}

impl AlternatingScript {
    /// GETs of these paths, the first of them first.
    #[must_use]
    pub fn of_gets(target: &Target, paths: &[&str]) -> Self {
        Self { requests: paths.iter().map(|path| target.get(path)).collect(), next: 0 }
    }
}

impl Script for AlternatingScript {
    fn next_request(&mut self, _now_us: u64) -> &[u8] {
        let now = self.next % self.requests.len();
        self.next = now + 1;
        &self.requests[now]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn target() -> Target {
        Target::parse("http://cafe").unwrap()
    }

    #[test]
    fn connections_share_all_actors_and_no_key() {
        let (mut places, mut requests) = (HashSet::new(), HashSet::new());
        let crowd = Crowd { room: "a \"room\"".to_owned(), ..Crowd::default() };
        for mut script in SayScript::for_connections(&target(), &crowd, 64) {
            for _ in 0..125 {
                let request = String::from_utf8(script.next_request(0).to_vec()).unwrap();
                let (_, body) = request.split_once("\r\n\r\n").unwrap();
                let body: serde_json::Value = serde_json::from_str(body).unwrap();
                let (room, actor) = (body["roomId"].as_str().unwrap(), body["actorId"].as_str().unwrap());
                let room: u64 = room.strip_prefix("a \"room\"-").unwrap().parse().unwrap();
                let actor: u64 = actor.strip_prefix("actor-").unwrap().parse().unwrap();
                assert_eq!(room, actor % crowd.rooms);
                places.insert(actor);
                assert!(requests.insert(request));
            }
        }
        assert_eq!(places.len() as u64, crowd.actors);
    }

    #[test]
    fn requests_take_turns() {
        let mut script = AlternatingScript::of_gets(&target(), &["/a", "/b"]);
        for path in ["/a", "/b", "/a"] {
            assert_eq!(script.next_request(0), target().get(path));
        }
    }
}
