//! As much of HTTP/1.1 as a load generator must understand: status, length or chunked framing.

use memchr::{memchr, memmem};

/// Longest response head accepted.
pub(crate) const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Why a peer's bytes, or the connection to it, cannot be used any more.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The status line is not HTTP/1.x.
    #[error("malformed status line")]
    StatusLine,
    /// A header that frames the body does not parse.
    #[error("malformed header")]
    Header,
    /// Chunked framing does not parse.
    #[error("malformed chunk")]
    Chunk,
    /// Head, body or line is longer than any that is expected.
    #[error("response too long")]
    TooLong,
    /// A stream was answered with a body of a known length.
    #[error("no stream: the response has a length")]
    NoStream,
    /// A stream was answered with a status other than 200.
    #[error("status {} where a stream was expected", .0.status)]
    StreamRefused(Head),
    /// An event's id is not a sequence.
    #[error("malformed event id")]
    EventId,
    /// More bytes than one response to one request.
    #[error("bytes after the response")]
    Surplus,
    /// The peer closed the connection.
    #[error("connection closed by the server")]
    Closed,
    /// The answer did not come in time.
    #[error("no answer in time")]
    TimedOut,
    /// The transport failed.
    #[error(transparent)]
    Transport(#[from] std::io::Error),
}

/// How a body's end is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes.
    Length(usize),
    /// Chunked transfer coding.
    Chunked,
    /// Neither: until the connection closes.
    UntilClose,
}

/// What is needed of a response's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// Bytes of the head, its empty line included.
    pub length: usize,
    /// How the body ends.
    pub framing: Framing,
    /// The server closes the connection behind the response.
    pub closes: bool,
    /// How many requests the server allows in its window, if it says so (`x-ratelimit-limit`).
    pub rate_limit: Option<u64>,
}

impl Head {
    /// Whether the request succeeded.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Parses a response's head off the front of `wire`; `None` if it is not all there yet.
///
/// # Errors
/// A [`ProtocolError`] when it is not an HTTP/1.x head, or too long to be one.
pub fn parse_head(wire: &[u8]) -> Result<Option<Head>, ProtocolError> {
    let Some(end) = memmem::find(wire, b"\r\n\r\n") else {
        return if wire.len() > MAX_HEAD_BYTES { Err(ProtocolError::TooLong) } else { Ok(None) };
    };
    let status = parse_status(wire)?;
    let mut framing = if matches!(status, 204 | 304) { Framing::Length(0) } else { Framing::UntilClose };
    let mut closes = wire.starts_with(b"HTTP/1.0");
    let mut rate_limit = None;
    let mut rest = &wire[..end + 2];
    while let Some(line_end) = memchr(b'\n', rest) {
        let line = &rest[..line_end];
        rest = &rest[line_end + 1..];
        if let Some(value) = header_value(line, b"content-length") {
            framing = Framing::Length(parse_decimal(value).ok_or(ProtocolError::Header)?);
        } else if let Some(value) = header_value(line, b"transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(ProtocolError::Header);
            }
            framing = Framing::Chunked;
        } else if let Some(value) = header_value(line, b"connection") {
            closes = value.eq_ignore_ascii_case(b"close");
        } else if let Some(value) = header_value(line, b"x-ratelimit-limit") {
            rate_limit = parse_decimal(value).map(|limit| limit as u64);
        }
    }
    closes |= framing == Framing::UntilClose;
    Ok(Some(Head { status, length: end + 4, framing, closes, rate_limit }))
}

/// The status code of a line such as `HTTP/1.1 202 Accepted`.
fn parse_status(wire: &[u8]) -> Result<u16, ProtocolError> {
    let code = match wire {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', code @ ..] => code.get(..3),
        _ => None,
    };
    code.and_then(parse_decimal)
        .and_then(|status| u16::try_from(status).ok())
        .filter(|status| *status >= 100)
        .ok_or(ProtocolError::StatusLine)
}

/// The trimmed value of `line` if it is the header `name` (given in lower case).
fn header_value<'line>(line: &'line [u8], name: &[u8]) -> Option<&'line [u8]> {
    let value = line.get(name.len() + 1..)?;
    let is_named = line[name.len()] == b':' && line[..name.len()].eq_ignore_ascii_case(name);
    is_named.then(|| value.trim_ascii())
}

/// A number of 1 to 15 decimal digits and nothing else.
pub(crate) fn parse_decimal(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    digits
        .iter()
        .try_fold(0_usize, |value, byte| byte.is_ascii_digit().then(|| value * 10 + usize::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_headers_are_known_in_any_case_and_by_their_whole_name() {
        let cases = [
            ("Content-Length: 12", Framing::Length(12)),
            ("content-length:0", Framing::Length(0)),
            ("TRANSFER-ENCODING: Chunked", Framing::Chunked),
            ("x-content-length: 12", Framing::UntilClose),
            ("x: content-length: 12", Framing::UntilClose),
        ];
        for (header, framing) in cases {
            let wire = format!("HTTP/1.1 200 OK\r\na: b\r\n{header}\r\n\r\nbody");
            let head = parse_head(wire.as_bytes()).unwrap().unwrap();
            let closes = framing == Framing::UntilClose;
            let expected = Head { status: 200, length: wire.len() - 4, framing, closes, rate_limit: None };
            assert_eq!(head, expected, "{header}");
        }
    }

    #[test]
    fn a_head_says_whether_the_connection_stays_and_how_many_requests_are_allowed() {
        let cases = [
            ("HTTP/1.1 429 Slow\r\nX-RateLimit-Limit: 120\r\ncontent-length: 0", false, Some(120)),
            ("HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 0", true, None),
            ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0", false, None),
            ("HTTP/1.0 200 OK\r\ncontent-length: 0", true, None),
            ("HTTP/1.1 204 Nothing", false, None),
            ("HTTP/1.1 200 OK", true, None),
        ];
        for (wire, closes, rate_limit) in cases {
            let head = parse_head(format!("{wire}\r\n\r\n").as_bytes()).unwrap().unwrap();
            assert_eq!((head.closes, head.rate_limit), (closes, rate_limit), "{wire}");
        }
    }
}
