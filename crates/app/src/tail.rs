//! `agentcafe tail`: shows the events of a room in the terminal.

use anyhow::Context;

use crate::cli::TailOptions;
use crate::config::Sources;

mod colour;
mod feed;
mod line;
pub(crate) mod sanitize;
mod terminal;

use feed::Feed;
use line::Label;
use terminal::{Terminal, reader_gone};

/// Follows until it is interrupted, or standard output is closed.
///
/// # Errors
/// When the first attempt to connect fails, or the server rejects the request.
pub(crate) fn run(options: TailOptions, sources: &Sources) -> anyhow::Result<()> {
    let feed = Feed::new(&options, sources)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().context("no runtime")?;
    let outcome = runtime.block_on(async {
        // A separate task: while a pager blocks its writes, Ctrl-C still ends the process.
        let following = tokio::spawn(follow(options, feed));
        tokio::select! {
            outcome = following => outcome.context("the follower panicked")?,
            interrupted = tokio::signal::ctrl_c() => interrupted.context("no signals"),
            () = reader_gone() => Ok(()),
        }
    });
    runtime.shutdown_background();
    outcome
}

/// Shows events as they arrive.
async fn follow(options: TailOptions, mut feed: Feed) -> anyhow::Result<()> {
    let terminal = Terminal::new(options.colour);
    let label = Label { room: options.room.is_none(), tenant: options.tenant.is_none() };
    loop {
        let batch = feed.next().await?;
        for notice in &batch.notices {
            terminal.notice(notice);
        }
        let shown = batch.events.iter().filter(|event| options.all || event.is_shown_by_default());
        let lines = shown.map(|event| line::render(event, label));
        let is_open = tokio::task::block_in_place(|| terminal.show(lines));
        if !is_open.context("cannot write to standard output")? {
            return Ok(());
        }
    }
}
