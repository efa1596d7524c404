//! The client through its public interface. The tests of the binary use it with real servers.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod sse;
mod stream;
