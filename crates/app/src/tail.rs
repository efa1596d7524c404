//! `agentcafe tail`: a room in the terminal, readable by a person.

use crate::cli::TailOptions;

/// Follows until interrupted.
pub(crate) fn run(_options: TailOptions) -> anyhow::Result<()> {
    Ok(())
}
