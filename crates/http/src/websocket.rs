//! The WebSocket (RFC 6455) as a way to listen: the handshake, and the connection on which frames go out.
//!
//! What goes out was framed once for all who hear it (`frames.rs`), which is why no library stands in between. What a client
//! sends is not listened to, but for what keeps the connection.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_domain::kernel::{Code, DomainError};
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, split};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::task::TaskTracker;

use crate::auth::Token;
use crate::error::ApiError;
use crate::frames::close_frame;

mod reader;

use reader::{Heard, Reader};

/// What the handshake's answer is made of (RFC 6455, 1.3).
const ANSWER_SALT: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// How many pings may go unanswered.
const UNANSWERED_PINGS: u32 = 3;
/// The shortest silence after which a client that does not answer pings counts as gone.
const MIN_SILENCE: Duration = Duration::from_secs(5);
/// How long a client may take to close its side.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
const PING: [u8; 2] = [0x89, 0];
const FINAL_PONG: u8 = 0x8a;

/// What a connection is to those who take it over: who waits for its end, and what it occupies until then.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) open: TaskTracker,
    pub(crate) place: Arc<tokio::sync::OwnedSemaphorePermit>,
}

/// A request that wants to become a WebSocket.
pub struct Upgrade {
    connection: Connection,
    upgraded: OnUpgrade,
    answer: HeaderValue,
    is_from_elsewhere: bool,
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let headers = &parts.headers;
        let wants = parts.method == Method::GET
            && names(headers, header::CONNECTION, "upgrade")
            && names(headers, header::UPGRADE, "websocket");
        if !wants {
            return Err(not_a_handshake("upgrade", "this is reached with a WebSocket"));
        }
        if !names(headers, header::SEC_WEBSOCKET_VERSION, "13") {
            return Err(not_a_handshake("sec-websocket-version", "only version 13 is spoken here"));
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
        if STANDARD.decode(key).map(|nonce| nonce.len()) != Ok(16) {
            return Err(not_a_handshake("sec-websocket-key", "sec-websocket-key must be 16 bytes in base64"));
        }
        let answer = STANDARD.encode(Sha1::new().chain_update(key).chain_update(ANSWER_SALT).finalize());
        let answer = HeaderValue::from_str(&answer).map_err(|_| ApiError::internal())?;
        let is_from_elsewhere = is_from_elsewhere(headers);
        let upgraded = parts.extensions.remove::<OnUpgrade>();
        let connection = parts.extensions.get::<Connection>().cloned();
        let (Some(upgraded), Some(connection)) = (upgraded, connection) else {
            return Err(not_a_handshake("upgrade", "this connection cannot become a WebSocket"));
        };
        Ok(Self { connection, upgraded, answer, is_from_elsewhere })
    }
}

fn not_a_handshake(field: &str, message: &str) -> ApiError {
    DomainError::invalid(field, message).into()
}

/// Whether a header's list has this word in it.
fn names(headers: &HeaderMap, header: header::HeaderName, word: &str) -> bool {
    let lists = headers.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|name| name.trim().eq_ignore_ascii_case(word))
}

/// Whether a browser says that a page of somebody else opens the connection.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    let origin = origin.and_then(|origin| Some(origin.authority()?.as_str().to_ascii_lowercase()));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_ascii_lowercase);
    origin.is_none() || origin != host
}

impl Upgrade {
    /// Any page may open a WebSocket to anywhere, and no browser keeps it from reading: where no token protects the café,
    /// pages of others stay outside.
    ///
    /// # Errors
    /// The problem that it comes from elsewhere.
    pub fn admit(&self, token: &Token) -> Result<(), ApiError> {
        if token.wanted.is_some() || !self.is_from_elsewhere {
            return Ok(());
        }
        let error = DomainError::new(Code::Forbidden);
        Err(error
            .saying("without a token, no page of another origin may listen")
            .with("field", "origin")
            .into())
    }

    /// The answer to the handshake; after it the frames are sent to the client, which is pinged.
    pub fn response(self, frames: impl Stream<Item = Bytes> + Send + 'static, ping: Duration) -> Response {
        let Self { connection, upgraded, answer, .. } = self;
        let Connection { open, place } = connection;
        open.spawn(async move {
            match upgraded.await {
                Ok(upgraded) => run(TokioIo::new(upgraded), frames, ping).await,
                Err(error) => tracing::debug!(%error, "a connection did not become a WebSocket"),
            }
            drop(place);
        });
        let mut response = (StatusCode::SWITCHING_PROTOCOLS, Body::empty()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, answer);
        response
    }
}

/// Tells the client piece by piece. One that does not read is told nothing more, and holds the piece on its way.
async fn run(socket: impl AsyncRead + AsyncWrite, frames: impl Stream<Item = Bytes>, ping: Duration) {
    let (reading, mut writing) = split(socket);
    let (mut reader, mut told) = (Reader::new(reading), Box::pin(frames));
    let silence = (ping * UNANSWERED_PINGS).max(MIN_SILENCE);
    let (mut pings, mut heard_at) = (interval(ping), Instant::now());
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    loop {
        let written = tokio::select! {
            heard = reader.next() => {
                heard_at = Instant::now();
                match heard {
                    Heard::Ping(payload) => writing.write_all(&pong(&payload)).await,
                    Heard::Something => Ok(()),
                    Heard::Close(code) => {
                        let _ = timeout(CLOSE_TIMEOUT, writing.write_all(&close_frame(code))).await;
                        break;
                    }
                    Heard::Gone => return,
                    Heard::Violation(close) => {
                        let _ = timeout(CLOSE_TIMEOUT, writing.write_all(&close_frame(close as u16))).await;
                        break;
                    }
                }
            }
            piece = told.next() => match piece {
                Some(bytes) => {
                    let began = Instant::now();
                    let written = writing.write_all(&bytes).await;
                    // Whoever did not read could not answer either.
                    heard_at += began.elapsed();
                    written
                }
                None => {
                    drop(told);
                    let _ = timeout(CLOSE_TIMEOUT, reader.closed()).await;
                    break;
                }
            },
            _ = pings.tick() => {
                if heard_at.elapsed() >= silence {
                    tracing::debug!("a WebSocket does not answer and is cut");
                    return;
                }
                writing.write_all(&PING).await
            }
        };
        if written.is_err() {
            return;
        }
    }
    let _ = writing.shutdown().await;
}

fn pong(payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a ping has at most 125 bytes");
    [&[FINAL_PONG, length], payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6454: a page's origin is that of the server, or it is somebody else's.
    #[test]
    fn pages_of_others_are_told_from_ours() {
        let cases = [
            (None, "127.0.0.1:3850", false),
            (Some("http://127.0.0.1:3850"), "127.0.0.1:3850", false),
            (Some("https://Cafe.example"), "cafe.example", false),
            (Some("http://evil.example"), "127.0.0.1:3850", true),
            (Some("http://127.0.0.1:3851"), "127.0.0.1:3850", true),
            (Some("null"), "127.0.0.1:3850", true),
        ];
        for (origin, host, want) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(is_from_elsewhere(&headers), want, "{origin:?} {host}");
        }
    }
}
