//! `agentcafe verify`: reads all of a store, and says what is damaged.

use agentcafe_store::Totals;
use agentcafe_store::verify::verify;
use anyhow::ensure;

use crate::cli::VerifyOptions;
use crate::config::{Sources, storage_in};

/// Verifies, and prints a line about each damage to standard output, and the counts to standard error.
///
/// # Errors
/// Something is damaged, or the store does not exist or cannot be read.
pub(crate) fn run(options: VerifyOptions, sources: &Sources) -> anyhow::Result<()> {
    let store = storage_in(options.data_dir, sources)?;
    let mut damages = 0_u64;
    let Totals { events, records, keys } = verify(&store, |damage| {
        damages += 1;
        println!("{damage}");
    })?;
    eprintln!("agentcafe: read {events} events, {records} records, {keys} idempotency keys");
    ensure!(damages == 0, "{damages} damages were found in {store}");
    Ok(())
}
