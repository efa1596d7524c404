//! The HTTP server: one task per connection, with limits on connections and timeouts.

use std::convert::Infallible;
use std::io;
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
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::admission::Admission;
use crate::body::{RequestBody, ResponseBody};
use crate::connection::{self, ClientConnection, ConnectionState, Permits};
use crate::error::unavailable_instead;
use crate::outgoing::ResponseShare;
use crate::sse;
use crate::websocket::ServerConnection;

/// The read and write buffer of a connection, in bytes.
pub(crate) const MAX_BUFFER_BYTES: usize = 64 << 10;
/// How long open requests may take after the server was stopped.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// The delay after a connection could not be accepted (too many open files, for example).
const ACCEPT_DELAY: Duration = Duration::from_millis(50);
/// The response to a connection of an address that has too many.
const TOO_MANY_CONNECTIONS: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves until `stopping`, then waits for open requests.
pub async fn serve(listener: TcpListener, router: Router, admission: Admission, stopping: CancellationToken) {
    // Includes connections that were upgraded.
    let open = TaskTracker::new();
    let mut is_failing = false;
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = accept(&listener, &admission) => accepted,
        };
        let (stream, peer, permits) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if !is_failing {
                    tracing::warn!(%error, "a connection could not be accepted");
                }
                is_failing = true;
                tokio::time::sleep(ACCEPT_DELAY).await;
                continue;
            }
        };
        is_failing = false;
        let Some(permits) = permits else {
            // As far as the kernel's buffer takes it. The client is closed without being read.
            let _ = stream.try_write(TOO_MANY_CONNECTIONS);
            continue;
        };
        let connection = ServerConnection { open: open.clone() };
        let stream = ClientConnection::new(stream, permits, Arc::default());
        let serving =
            serve_connection(stream, peer, router.clone(), connection, admission.clone(), stopping.clone());
        open.spawn(serving);
    }
    drop(listener);
    open.close();
    if timeout(STOP_TIMEOUT, open.wait()).await.is_err() {
        tracing::warn!("closing connections that are still open");
    }
}

/// Serves one connection until it ends; after `stopping`, it accepts no further request.
async fn serve_connection(
    stream: ClientConnection,
    peer: SocketAddr,
    router: Router,
    upgrade: ServerConnection,
    admission: Admission,
    stopping: CancellationToken,
) {
    let state = stream.state();
    let service =
        service_fn(|request| answer(router.clone(), request, peer, upgrade.clone(), &admission, &state));
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

/// The next connection; without permits if its address has too many.
async fn accept(
    listener: &TcpListener,
    admission: &Admission,
) -> io::Result<(TcpStream, SocketAddr, Option<Permits>)> {
    let permit = admission.connection().await;
    let (stream, peer) = listener.accept().await?;
    connection::configure(&stream)?;
    let permits = admission.admit(peer.ip()).map(|address| (permit, address));
    Ok((stream, peer, permits))
}

fn answer(
    router: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    connection: ServerConnection,
    admission: &Admission,
    state: &Arc<ConnectionState>,
) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> + use<> {
    state.begin_request();
    let (admission, state) = (admission.clone(), Arc::clone(state));
    // hyper reads the rest of a smaller body by itself.
    let is_large = request.body().size_hint().upper().is_none_or(|bytes| bytes > MAX_BUFFER_BYTES as u64);
    let is_from_event_source = sse::is_from_event_source(request.headers());
    let mut request = request.map(|body| Body::new(RequestBody::new(body, Arc::clone(&state))));
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(connection);
    async move {
        let Ok(mut response) = router.oneshot(request).await;
        if is_large && state.has_unread_body() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let is_upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if is_upgraded || sse::is_event_stream(&response) {
            match admission.stream() {
                Some(permit) => state.begin_stream(is_upgraded, permit),
                None => {
                    let message = "the server has no room for more streams";
                    response = unavailable_instead(&response, message, is_from_event_source);
                }
            }
        }
        let share = response.extensions_mut().remove::<ResponseShare>();
        Ok(response.map(|body| ResponseBody::new(body, state, share)))
    }
}
