//! What a connection asks that reads the log.

use std::ops::Range;

use agentcafe_load::requests::{reserve_numbers, scramble, write_decimal};
use agentcafe_load::script::Script;
use agentcafe_load::target::Target;

/// Pages from all over the log, in no order.
#[derive(Clone, Debug)]
pub struct PageScript {
    request: Vec<u8>,
    cursor: Range<usize>,
    log_length: u64,
    next_number: u64,
}

impl PageScript {
    /// Pages of so many events, of a log with so many.
    #[must_use]
    pub fn new(target: &Target, limit: u64, log_length: u64) -> Self {
        let before = format!("/v1/events?limit={limit}&cursor=");
        let digits = log_length.to_string().len();
        let start = "GET ".len() + before.len();
        Self {
            request: target.get(&format!("{before}{}", "0".repeat(digits))),
            cursor: start..start + digits,
            log_length: log_length.saturating_sub(limit).max(1),
            next_number: reserve_numbers(),
        }
    }
}

impl Script for PageScript {
    fn next_request(&mut self, _now_us: u64) -> &[u8] {
        write_decimal(&mut self.request[self.cursor.clone()], scramble(self.next_number) % self.log_length);
        self.next_number += 1;
        &self.request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_spread_over_the_log() {
        let mut script = PageScript::new(&Target::parse("http://cafe").unwrap(), 100, 250_000);
        let request = String::from_utf8(script.next_request(0).to_vec()).unwrap();
        let (_, after) = request.split_once("GET /v1/events?limit=100&cursor=").unwrap();
        let cursor: u64 = after.split(' ').next().unwrap().parse().unwrap();
        assert!(cursor < 250_000);
        assert_ne!(request.as_bytes(), script.next_request(0));
    }
}
