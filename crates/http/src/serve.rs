//! The HTTP server: one task per connection, with limits on connections and timeouts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::websocket::ServerConnection;

/// The most open connections; further ones wait in the backlog of the kernel.
const MAX_CONNECTIONS: usize = 16_384;
/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The read and write buffer of a connection, in bytes.
const MAX_BUFFER_BYTES: usize = 64 << 10;
/// How long open requests may take after the server was stopped.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The delay after a connection could not be accepted (too many open files, for example).
const ACCEPT_DELAY: Duration = Duration::from_millis(50);

/// Serves until `stopping`, then waits for open requests.
pub async fn serve(listener: TcpListener, router: Router, stopping: CancellationToken) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Includes connections that were upgraded.
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, peer, permit)) = accepted else { continue };
        let connection = ServerConnection { open: open.clone(), permit: Arc::new(permit) };
        open.spawn(serve_connection(stream, peer, router.clone(), connection, stopping.clone()));
    }
    drop(listener);
    open.close();
    if timeout(STOP_TIMEOUT, open.wait()).await.is_err() {
        tracing::warn!("closing connections that are still open");
    }
}

/// Serves one connection until it ends; after `stopping`, it accepts no further request.
async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    upgrade: ServerConnection,
    stopping: CancellationToken,
) {
    let service = service_fn(|request| answer(router.clone(), request, peer, upgrade.clone()));
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

async fn accept(listener: &TcpListener, permits: &Arc<Semaphore>) -> Option<Accepted> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Otherwise small responses wait for the client's acknowledgement of earlier ones.
            stream.set_nodelay(true).ok()?;
            Some((stream, peer, permit))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_DELAY).await;
            None
        }
    }
}

async fn answer(
    router: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    connection: ServerConnection,
) -> Result<axum::response::Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(connection);
    router.oneshot(request).await
}
