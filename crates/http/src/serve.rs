//! The HTTP server: one task per connection, with limits on connections and timeouts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::body::{RequestBody, ResponseBody};
use crate::connection::{ClientConnection, ConnectionState};
use crate::sse;
use crate::websocket::ServerConnection;

/// The most open connections; further ones wait in the backlog of the kernel.
const MAX_CONNECTIONS: usize = 16_384;
/// The read and write buffer of a connection, in bytes.
pub(crate) const MAX_BUFFER_BYTES: usize = 64 << 10;
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
    let state = Arc::new(ConnectionState::default());
    let stream = ClientConnection::new(stream, Arc::clone(&state));
    let service = service_fn(|request| answer(router.clone(), request, peer, upgrade.clone(), &state));
    let connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
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

fn answer(
    router: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    connection: ServerConnection,
    state: &Arc<ConnectionState>,
) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> + use<> {
    state.begin_request();
    let state = Arc::clone(state);
    // hyper reads the rest of a smaller body by itself.
    let is_large = request.body().size_hint().upper().is_none_or(|bytes| bytes > MAX_BUFFER_BYTES as u64);
    let mut request = request.map(|body| Body::new(RequestBody::new(body, Arc::clone(&state))));
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(connection);
    async move {
        let Ok(mut response) = router.oneshot(request).await;
        if is_large && state.has_unread_body() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            state.upgrade();
        } else if sse::is_event_stream(&response) {
            state.begin_stream();
        }
        Ok(response.map(|body| ResponseBody::new(body, state)))
    }
}
