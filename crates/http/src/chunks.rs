//! Response bodies that are made chunk by chunk while they are sent. What a client does not read was not made yet.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::Extensions;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use hyper::body::{Frame, SizeHint};
use tokio::time::timeout;

use crate::budget::{Budget, Share};
use crate::client::Client;
use crate::connection::WRITE_TIMEOUT;

static BUDGET: Budget = Budget::new(8 << 10, 4 << 10);
/// How long a chunk waits for its share: as long as a connection may take no bytes of what is sent.
const MAX_WAIT: Duration = WRITE_TIMEOUT;

/// What the chunks for a client may take that were made and not sent.
#[derive(Clone)]
pub struct ChunkBudget(Client);

/// The share of a chunk.
pub struct ChunkShare(Share);

impl ChunkBudget {
    /// The budget of the client behind a request that the middleware let through.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().cloned().map(Self)
    }

    /// The share of so many bytes; none while the budget is spent.
    pub fn take(&self, bytes: usize) -> Option<ChunkShare> {
        BUDGET.take(&self.0, bytes as u64).map(ChunkShare)
    }

    /// Waits for the share of so many bytes; none if the budget stays spent for 30 s.
    pub async fn wait(&self, bytes: usize) -> Option<ChunkShare> {
        timeout(MAX_WAIT, BUDGET.wait(&self.0, bytes as u64)).await.ok().map(ChunkShare)
    }
}

impl ChunkShare {
    /// The bytes, which keep the share until they are sent.
    pub fn of(self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Chunk { bytes, _share: self.0 })
    }
}

struct Chunk {
    bytes: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Marks a response whose body is made in chunks.
#[derive(Clone, Copy, Debug)]
pub struct InChunks;

type BoxError = Box<dyn Error + Send + Sync>;

/// A body of chunks, `bytes` long all together. An error ends its connection.
pub fn body(chunks: impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static, bytes: u64) -> Body {
    Body::new(Chunks { chunks: Box::pin(chunks), left: bytes })
}

struct Chunks {
    chunks: BoxStream<'static, Result<Bytes, BoxError>>,
    /// The bytes that were not sent yet.
    left: u64,
}

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let chunk = ready!(self.chunks.as_mut().poll_next(cx));
        if let Some(Ok(bytes)) = &chunk {
            self.left = self.left.saturating_sub(bytes.len() as u64);
        }
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
