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
    /// The response says neither its length nor that it is chunked.
    #[error("response without framing")]
    Unframed,
    /// A stream was answered with a status other than 200.
    #[error("status {0} where a stream was expected")]
    NoStream(u16),
    /// An event's id is not a sequence.
    #[error("malformed event id")]
    EventId,
    /// More bytes than one response to one request.
    #[error("bytes after the response")]
    Surplus,
    /// The peer closed the connection.
    #[error("connection closed by the server")]
    Closed,
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
    let mut framing = Framing::UntilClose;
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
        }
    }
    Ok(Some(Head { status, length: end + 4, framing }))
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
            assert_eq!(head, Head { status: 200, length: wire.len() - 4, framing }, "{header}");
        }
    }
}
