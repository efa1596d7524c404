//! From the source into memory, for as long as the service runs.

use std::{sync::Arc, time::Duration};

use agentcafe_client::{EventStream, News, Pauses, Start, Stream};
use agentcafe_domain::kernel::ids::Sequence;

use crate::service::Service;

/// Follows the source until the service stops.
pub(crate) async fn run(service: Arc<Service>) {
    let pause = service.settings.source_reconnect;
    let stream = EventStream {
        // The contract has one pause between all attempts; the first comes sooner, because most interruptions are short.
        pauses: Pauses { first: pause.min(Duration::from_millis(100)), longest: pause },
        silence: service.settings.source_silence,
        ..EventStream::all(Start::After(Sequence::START))
    };
    let mut stream = Stream::new(service.settings.source.clone(), stream);
    // What there was when the connection was made, and how far it has been taken in.
    let (mut target, mut taken) = (None, Sequence::START);
    loop {
        let news = tokio::select! {
            biased;
            () = service.stopping.cancelled() => return,
            news = stream.next() => news,
        };
        let hub = service.hub();
        match news {
            News::Connected { head, .. } => {
                service.standing.connected();
                tracing::info!(%head, "the source is connected");
                target = Some(head);
            }
            News::Events(events) => {
                let many = events.len() > 64;
                taken = events.last().map_or(taken, |event| event.sequence);
                hub.take(events);
                if many {
                    // Others have a turn too while a long log is taken in.
                    tokio::task::yield_now().await;
                }
            }
            News::ScannedTo(scanned_to) => taken = taken.max(scanned_to),
            News::Gap(from, to) => {
                tracing::error!(%from, %to, "the source left events out");
                taken = to;
            }
            News::OtherLog { head } => {
                tracing::warn!(%head, "the source has another log than before: everything is forgotten");
                service.start_over();
                (target, taken) = (None, Sequence::START);
            }
            News::Lost(failure) => {
                service.standing.lost(failure.to_string());
                target = None;
            }
        }
        if target.is_some_and(|target| taken >= target) {
            service.hub().caught_up();
        }
    }
}
