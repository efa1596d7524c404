//! A response body of several parts, of a length that is known: large ones are sent without being copied together.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// The parts that were not sent yet.
#[derive(Debug)]
pub struct Parts(VecDeque<Bytes>);

impl Parts {
    /// The body that consists of these parts.
    pub fn body(mut parts: VecDeque<Bytes>) -> Body {
        match parts.pop_front() {
            Some(whole) if parts.is_empty() => Body::from(whole),
            Some(first) => {
                parts.push_front(first);
                Body::new(Self(parts))
            }
            None => Body::empty(),
        }
    }
}

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|part| part.len() as u64).sum())
    }
}
