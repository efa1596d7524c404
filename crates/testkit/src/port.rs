//! Ports that stay free while nobody listens on them: for servers that come back where they were.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that the system gives to whoever connects somewhere (32768 and up, on Linux).
const RANGE: std::ops::Range<u32> = 18_000..32_000;

/// A port on which nobody listens, and which nobody else in this process is given. The system takes none of these by itself.
///
/// # Panics
/// If all of them are taken.
#[must_use]
pub fn steady_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Other test processes begin elsewhere; a prime keeps those that were started one after the other apart.
    let begin = std::process::id().wrapping_mul(7_919);
    let size = RANGE.end - RANGE.start;
    let ports = (0..size).map(|_| {
        let number = begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        u16::try_from(RANGE.start + number % size).expect("the range is one of ports")
    });
    let mut free = ports.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().expect("this machine has a free port")
}
