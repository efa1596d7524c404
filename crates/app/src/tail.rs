//! `agentcafe tail`: a room in the terminal, readable by a person.

use anyhow::Context;

use crate::{cli::TailOptions, config::Sources};

mod colour;
mod event;
mod feed;
mod harmless;
mod line;
mod terminal;

use feed::Feed;
use line::Label;
use terminal::{Terminal, reader_gone};

/// Follows until interrupted, or until nobody reads on.
///
/// # Errors
/// When the server cannot be reached at first, or refuses.
pub(crate) fn run(options: TailOptions, sources: &Sources) -> anyhow::Result<()> {
    let feed = Feed::of(&options, sources)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().context("no runtime")?;
    let outcome = runtime.block_on(async {
        // A task of its own: while a pager keeps it from writing, Ctrl-C still ends the process.
        let following = tokio::spawn(follow(options, feed));
        tokio::select! {
            outcome = following => outcome.context("following broke off")?,
            interrupted = tokio::signal::ctrl_c() => interrupted.context("no signals"),
            () = reader_gone() => Ok(()),
        }
    });
    runtime.shutdown_background();
    outcome
}

/// Shows events as they come.
async fn follow(options: TailOptions, mut feed: Feed) -> anyhow::Result<()> {
    let terminal = Terminal::new(options.colour);
    let label = Label { room: options.room.is_none(), tenant: options.tenant.is_none() };
    loop {
        let batch = feed.next().await?;
        for notice in &batch.notices {
            terminal.notice(notice);
        }
        let telling = batch.events.iter().filter(|event| options.all || event.is_telling());
        let lines = telling.map(|event| line::of(event, label));
        let is_read = tokio::task::block_in_place(|| terminal.show(lines));
        if !is_read.context("cannot write to standard output")? {
            return Ok(());
        }
    }
}
