//! Compression of large JSON responses, for clients that accept gzip.

use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Extensions, HeaderMap, StatusCode, Version, header};
use axum::response::Response;
use futures_util::TryFutureExt;
use futures_util::future::{Either, MapOk};
use tower::Service;
use tower_http::CompressionLevel;
use tower_http::compression::predicate::{And, Predicate, SizeAbove};
use tower_http::compression::{Compression, CompressionBody};

use crate::answer::JSON;

/// The smallest body that is compressed, in bytes. Smaller ones fit into a few packets either way.
const MIN_COMPRESSED_BYTES: u16 = 4 << 10;

type IsJson = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;
type IsLargeJson = And<SizeAbove, IsJson>;

/// Compresses JSON from this size on, if the request accepts an encoding. Event streams are no JSON documents and stay as they
/// are. Other requests go past the compression, which would cost each of them a microsecond.
#[derive(Clone)]
pub(crate) struct CompressLarge<S>(Compression<S, IsLargeJson>);

impl<S> CompressLarge<S> {
    pub(crate) fn new(inner: S) -> Self {
        let is_json: IsJson = |_, _, headers, _| headers.get(header::CONTENT_TYPE) == Some(&JSON);
        let is_large_json = SizeAbove::new(MIN_COMPRESSED_BYTES).and(is_json);
        // The higher levels take several times as long to save a few percent more.
        Self(Compression::new(inner).quality(CompressionLevel::Fastest).compress_when(is_large_json))
    }
}

impl<S> Service<Request> for CompressLarge<S>
where
    S: Service<Request, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Either<S::Future, MapOk<CompressedFuture<S>, fn(CompressedResponse) -> Response>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.get_mut().poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if !request.headers().contains_key(header::ACCEPT_ENCODING) {
            return Either::Left(self.0.get_mut().call(request));
        }
        Either::Right(self.0.call(request).map_ok(boxed))
    }
}

type CompressedFuture<S> = <Compression<S, IsLargeJson> as Service<Request>>::Future;
type CompressedResponse = axum::http::Response<CompressionBody<Body>>;

/// The response with a body like that of any other. If it was not compressed, it does not vary by encoding: that is for caches,
/// and every JSON response is `no-store`.
fn boxed(mut response: CompressedResponse) -> Response {
    let headers = response.headers_mut();
    if !headers.contains_key(header::CONTENT_ENCODING)
        && let header::Entry::Occupied(vary) = headers.entry(header::VARY)
    {
        let kept: Vec<_> = vary.remove_entry_mult().1.filter(|value| value != "accept-encoding").collect();
        for value in kept {
            headers.append(header::VARY, value);
        }
    }
    response.map(Body::new)
}
