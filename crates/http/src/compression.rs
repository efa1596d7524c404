//! Compression of large JSON responses, for clients that accept gzip.

use axum::http::{Extensions, HeaderMap, Response, StatusCode, Version, header};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{And, Predicate, SizeAbove};

use crate::answer::JSON;

/// The smallest body that is compressed, in bytes. Smaller ones fit into a few packets either way.
const MIN_COMPRESSED_BYTES: u16 = 4 << 10;

type IsJson = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// Compresses JSON from this size on. Event streams are no JSON documents and stay as they are.
pub(crate) fn layer() -> CompressionLayer<And<SizeAbove, IsJson>> {
    let is_json: IsJson = |_, _, headers, _| headers.get(header::CONTENT_TYPE) == Some(&JSON);
    // The higher levels take several times as long to save a few percent more.
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(MIN_COMPRESSED_BYTES).and(is_json))
}

/// Removes `Vary` from a response that was not compressed. It is for caches, and every JSON response is `no-store`.
pub(crate) fn drop_needless_vary<B>(mut response: Response<B>) -> Response<B> {
    if !response.headers().contains_key(header::CONTENT_ENCODING) {
        response.headers_mut().remove(header::VARY);
    }
    response
}
