//! The bodies of requests and responses, whose ends change the state of their connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use crate::connection::ConnectionState;
use crate::outgoing::ResponseShare;
use crate::serve::MAX_BUFFER_BYTES;

/// How much of a response hyper may hold after its body has ended: a full buffer, and one more part.
const MAX_TAIL_BYTES: usize = 2 * MAX_BUFFER_BYTES;

/// The body of a request.
pub(crate) struct RequestBody {
    body: Incoming,
    has_ended: bool,
    connection: Arc<ConnectionState>,
}

impl RequestBody {
    pub(crate) const fn new(body: Incoming, connection: Arc<ConnectionState>) -> Self {
        Self { body, has_ended: false, connection }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.has_ended |= frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.has_ended && !self.body.is_end_stream() {
            self.connection.leave_body_unread();
        }
    }
}

/// The body of a response. hyper gets it in small parts, so that it ends when most of it was sent.
pub(crate) struct ResponseBody {
    body: Body,
    /// What is left of a chunk.
    rest: Bytes,
    connection: Arc<ConnectionState>,
    _share: Option<ResponseShare>,
}

impl ResponseBody {
    pub(crate) const fn new(
        body: Body,
        connection: Arc<ConnectionState>,
        share: Option<ResponseShare>,
    ) -> Self {
        Self { body, rest: Bytes::new(), connection, _share: share }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else {
                return Poll::Ready(None);
            };
            match frame.into_data() {
                Ok(chunk) => self.rest = chunk,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let bytes = self.rest.len().min(MAX_BUFFER_BYTES);
        let part = self.rest.split_to(bytes);
        if (1..=MAX_TAIL_BYTES).contains(&self.rest.len()) && bytes == MAX_BUFFER_BYTES {
            // hyper may hold the tail for long, and with it the memory of the chunk.
            self.rest = Bytes::copy_from_slice(&self.rest);
        }
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let (body, mut hint) = (self.body.size_hint(), SizeHint::new());
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.connection.end_response();
    }
}
