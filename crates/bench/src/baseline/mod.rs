//! The same machine without agentcafe: what HTTP, SQLite and the disk cost by themselves.

pub(crate) mod bare_http;
pub(crate) mod disk;
