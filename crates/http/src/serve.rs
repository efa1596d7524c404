//! The server that listens: one task per connection, bounded in number and in patience.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use crate::websocket::Connection;

/// The most open connections; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 16_384;
/// How long a client may take to send its request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How much a connection may hold in its buffers, in bytes.
const MAX_BUFFER_BYTES: usize = 64 << 10;
/// How long open requests may take to end once the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait after a connection could not be accepted (too many open files, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stopping`, then lets open requests end.
pub async fn serve(listener: TcpListener, router: Router, stopping: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Connections, those that were taken over included.
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let taken_over = Connection { open: open.clone(), place: Arc::new(place) };
        open.spawn(attend(stream, peer, router.clone(), taken_over, stopping.clone()));
    }
    drop(listener);
    open.close();
    if timeout(STOP_TIMEOUT, open.wait()).await.is_err() {
        tracing::warn!("some connections were still open and are cut");
    }
}

/// Serves one connection until it ends; once the server stops, no further request is taken.
async fn attend(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    taken_over: Connection,
    stopping: CancellationToken,
) {
    let service = service_fn(|request| answer(router.clone(), request, peer, taken_over.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended");
    }
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Without this, small answers wait for the client's acknowledgement of earlier ones.
            stream.set_nodelay(true).ok()?;
            Some((stream, peer, place))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn answer(
    router: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    connection: Connection,
) -> Result<axum::response::Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(connection);
    router.oneshot(request).await
}
