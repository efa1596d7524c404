//! WebSocket (RFC 6455) as a protocol for event streams: the handshake, and the connection that frames are written to.
//!
//! Frames are rendered once for all subscribers (`frames.rs`), so the connection writes them as they are, without a library in
//! between. Of what a client sends, only control frames have an effect.

use std::io::{self, Cursor};
use std::time::Duration;

use agentcafe_domain::kernel::DomainError;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, split};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::task::TaskTracker;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::{Frame, FrameHeader};

use crate::error::ApiError;
use crate::frames::close_frame;

mod reader;

use reader::{FrameReader, Received};

/// How many pings may go unanswered.
const UNANSWERED_PINGS: u32 = 3;
/// The shortest silence after which a client that does not answer pings counts as disconnected.
const MIN_SILENCE: Duration = Duration::from_secs(5);
/// How long a client may take to close its side.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
const PING: [u8; 2] = [0x89, 0];

/// What an upgraded connection keeps of the server: its entry among the open connections.
#[derive(Clone)]
pub(crate) struct ServerConnection {
    pub(crate) open: TaskTracker,
}

/// A valid WebSocket handshake.
pub struct Upgrade {
    connection: ServerConnection,
    upgraded: OnUpgrade,
    accept_key: HeaderValue,
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let headers = &parts.headers;
        let invalid = |field: &str, message: &str| Err(DomainError::invalid(field, message).into());
        let is_upgrade = parts.method == Method::GET
            && lists(headers, header::CONNECTION, "upgrade")
            && lists(headers, header::UPGRADE, "websocket");
        if !is_upgrade {
            return invalid("upgrade", "this path takes WebSocket handshakes only");
        }
        if !lists(headers, header::SEC_WEBSOCKET_VERSION, "13") {
            return invalid("sec-websocket-version", "sec-websocket-version must be 13");
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
        let accept_key = HeaderValue::try_from(derive_accept_key(key));
        let (Ok(16), Ok(accept_key)) = (STANDARD.decode(key).map(|nonce| nonce.len()), accept_key) else {
            return invalid("sec-websocket-key", "sec-websocket-key must be 16 bytes in base64");
        };
        let upgraded = parts.extensions.remove::<OnUpgrade>();
        let connection = parts.extensions.get::<ServerConnection>().cloned();
        let (Some(upgraded), Some(connection)) = (upgraded, connection) else {
            return invalid("upgrade", "this connection cannot be upgraded");
        };
        Ok(Self { connection, upgraded, accept_key })
    }
}

/// Whether a header lists a word, on however many lines.
fn lists(headers: &HeaderMap, header: HeaderName, word: &str) -> bool {
    let lists = headers.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(word))
}

impl Upgrade {
    /// The response to the handshake. After it, the client gets the frames, and a ping at each interval.
    pub fn response(self, frames: impl Stream<Item = Bytes> + Send + 'static, ping: Duration) -> Response {
        let Self { connection: ServerConnection { open }, upgraded, accept_key } = self;
        open.spawn(async move {
            let ended = match upgraded.await {
                Ok(upgraded) => run(TokioIo::new(upgraded), frames, ping).await,
                Err(error) => Err(io::Error::other(error)),
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a WebSocket ended");
            }
        });
        let mut response = (StatusCode::SWITCHING_PROTOCOLS, Body::empty()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept_key);
        response
    }
}

/// Writes the frames of a stream until it ends or the client disconnects. While a client does not read, the next frames are
/// not rendered: it holds one chunk of them.
///
/// # Errors
/// The connection broke.
async fn run(
    socket: impl AsyncRead + AsyncWrite,
    frames: impl Stream<Item = Bytes>,
    ping: Duration,
) -> io::Result<()> {
    let (read_half, mut writer) = split(socket);
    let (mut reader, mut frames) = (FrameReader::new(read_half), Box::pin(frames));
    let max_silence = (ping * UNANSWERED_PINGS).max(MIN_SILENCE);
    let (mut pings, mut received_at) = (interval(ping), Instant::now());
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    loop {
        tokio::select! {
            received = reader.next() => {
                received_at = Instant::now();
                let code = match received {
                    Received::Ping(payload) => {
                        let mut pong = Vec::new();
                        Frame::pong(payload).format(&mut pong).map_err(io::Error::other)?;
                        writer.write_all(&pong).await?;
                        continue;
                    }
                    Received::NoReplyNeeded => continue,
                    Received::Disconnected => return Ok(()),
                    Received::Close(code) => code,
                    Received::Violation(code) => code as u16,
                };
                let _ = timeout(CLOSE_TIMEOUT, writer.write_all(&close_frame(code))).await;
                break;
            }
            chunk = frames.next() => {
                let Some(chunk) = chunk else {
                    drop(frames);
                    let _ = timeout(CLOSE_TIMEOUT, reader.closed()).await;
                    break;
                };
                let began = Instant::now();
                write_frames(&mut writer, &mut frames, &chunk).await?;
                // A client that did not read could not answer pings either.
                received_at += began.elapsed();
            }
            _ = pings.tick() => {
                if received_at.elapsed() >= max_silence {
                    tracing::debug!("a WebSocket client does not answer pings and is disconnected");
                    return Ok(());
                }
                writer.write_all(&PING).await?;
            }
        }
    }
    writer.shutdown().await
}

/// Writes a chunk of frames. One that begins with only a part of a large frame stands for the chunks with the other parts as
/// well: no ping may come between them.
async fn write_frames(
    writer: &mut (impl AsyncWrite + Unpin),
    frames: &mut (impl Stream<Item = Bytes> + Unpin),
    chunk: &[u8],
) -> io::Result<()> {
    let mut cursor = Cursor::new(chunk);
    let header = FrameHeader::parse(&mut cursor).ok().flatten();
    let frame_bytes = header.map_or(0, |(_, payload_bytes)| cursor.position().saturating_add(payload_bytes));
    let mut missing = frame_bytes.saturating_sub(chunk.len() as u64);
    writer.write_all(chunk).await?;
    while missing > 0 {
        let Some(part) = frames.next().await else { break };
        missing = missing.saturating_sub(part.len() as u64);
        writer.write_all(&part).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use serde_json::json;
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;
    use crate::frames::StreamProtocol;

    const PING_INTERVAL: Duration = Duration::from_millis(2);

    /// The chunks one by one, each after ten pings would have been due.
    fn slow(chunks: Vec<Bytes>) -> impl Stream<Item = Bytes> {
        stream::iter(chunks).then(async |chunk| {
            tokio::time::sleep(PING_INTERVAL * 10).await;
            chunk
        })
    }

    #[tokio::test]
    async fn websocket_ping_does_not_split_a_frame_that_comes_in_chunks() {
        let state = vec![b'7'; 1_000];
        let [head, tail] = StreamProtocol::WebSocket.control_around("snapshot", b"", state.len(), b"");
        let frame = [&head[..], &state[..], &tail[..]].concat();
        let end = StreamProtocol::WebSocket.control("ready", &json!(1));
        let chunks = slow(vec![head, state.into(), tail, end.clone()]);
        let (server, mut client) = duplex(1 << 16);
        let running = tokio::spawn(run(server, chunks, PING_INTERVAL));
        let mut received = Vec::new();
        let contains = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        while !contains(&received, &end) {
            assert_ne!(client.read_buf(&mut received).await.unwrap(), 0, "the connection ended");
        }
        assert!(contains(&received, &frame) && contains(&received, &PING), "{received:?}");
        drop(client);
        let _ = running.await.unwrap();
    }
}
