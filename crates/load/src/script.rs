//! What a connection asks, request after request.

use crate::requests::{SayRequest, reserve_numbers, write_decimal};

/// Actors of a load of says; actor `i` lives in room `i % ROOM_COUNT`.
pub const ACTOR_COUNT: u64 = 500;
/// Rooms of a load of says.
pub const ROOM_COUNT: u64 = 50;
/// What a say's text begins with; its number follows.
const TEXT_PREFIX: &str = "a flat white for table four, ";
/// What a timed say's text begins with; the time follows.
pub const TIME_PREFIX: &str = "t=";
/// Decimal digits of a timed say's microseconds.
pub const TIME_DIGITS: usize = 13;

/// The requests of one connection.
pub trait Script: Send + 'static {
    /// The status that a request is expected to be answered with.
    const EXPECTED_STATUS: u16;

    /// The next request's bytes; `now_us` is the time at which it is sent.
    fn next_request(&mut self, now_us: u64) -> &[u8];
}

/// Says by all actors in turn, each in its own room.
#[derive(Debug)]
pub struct SayScript {
    request: SayRequest,
    next_number: u64,
    next_actor: u64,
    actor_step: u64,
}

impl SayScript {
    /// One script for each of so many connections; together they use all actors.
    #[must_use]
    pub fn for_connections(count: u64) -> Vec<Self> {
        let request = SayRequest::new("room-00", "actor-000", &format!("{TEXT_PREFIX}{:012}", 0));
        let script = |connection| Self {
            request: request.clone(),
            next_number: reserve_numbers(),
            next_actor: connection,
            actor_step: count,
        };
        (0..count).map(script).collect()
    }
}

impl Script for SayScript {
    const EXPECTED_STATUS: u16 = 202;

    fn next_request(&mut self, _now_us: u64) -> &[u8] {
        let actor = self.next_actor % ACTOR_COUNT;
        write_decimal(&mut self.request.room_mut()["room-".len()..], actor % ROOM_COUNT);
        write_decimal(&mut self.request.actor_mut()["actor-".len()..], actor);
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
    /// The says of this actor in this room.
    #[must_use]
    pub fn new(room: &str, actor: &str) -> Self {
        let text = format!("{TIME_PREFIX}{:0TIME_DIGITS$} is when I ordered it", 0);
        Self { request: SayRequest::new(room, actor, &text), next_number: reserve_numbers() }
    }
}

impl Script for TimedSayScript {
    const EXPECTED_STATUS: u16 = 202;

    fn next_request(&mut self, now_us: u64) -> &[u8] {
        let time = TIME_PREFIX.len()..TIME_PREFIX.len() + TIME_DIGITS;
        write_decimal(&mut self.request.text_mut()[time], now_us);
        self.request.set_key(self.next_number);
        self.next_number += 1;
        self.request.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_share_all_actors_and_no_key() {
        let mut actors = std::collections::HashSet::new();
        let mut requests = std::collections::HashSet::new();
        for mut script in SayScript::for_connections(64) {
            for _ in 0..125 {
                let request = String::from_utf8(script.next_request(0).to_vec()).unwrap();
                let at = request.find("actor-").unwrap();
                actors.insert(request[at..at + 9].to_owned());
                assert!(requests.insert(request));
            }
        }
        assert_eq!(actors.len() as u64, ACTOR_COUNT);
    }
}
