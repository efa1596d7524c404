//! The part of HTTP/1.1 that a load generator reads: response heads, lines and chunked bodies.

use std::mem::MaybeUninit;

use httparse::{ParserConfig, Response, Status};
use memchr::memchr;

/// Longest response head accepted.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Most headers accepted in a response.
const MAX_HEADERS: usize = 64;
/// Longest line of chunked framing accepted.
const MAX_FRAMING_LINE_BYTES: usize = 4 * 1024;

/// Why a response, or the connection to the server, cannot be used any more.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    /// The response does not begin with an HTTP/1.x head.
    #[error("malformed response head: {0}")]
    Head(httparse::Error),
    /// A header that frames the body does not parse.
    #[error("malformed header")]
    Header,
    /// Chunked framing does not parse.
    #[error("malformed chunk")]
    Chunk,
    /// The head, the body or a line exceeds its limit.
    #[error("response too long")]
    TooLong,
    /// A stream was answered with a body of a known length.
    #[error("no stream: the response has a length")]
    NoStream,
    /// A stream was answered with a status other than 200.
    #[error("status {} where a stream was expected", .0.status)]
    StreamRefused(ResponseHead),
    /// An event's id is not a sequence.
    #[error("malformed event id")]
    EventId,
    /// The server sent more bytes than one response.
    #[error("bytes after the response")]
    Surplus,
    /// The server closed the connection.
    #[error("connection closed by the server")]
    Closed,
    /// The response did not arrive before its deadline.
    #[error("no answer in time")]
    TimedOut,
    /// The transport failed.
    #[error(transparent)]
    Transport(#[from] std::io::Error),
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After this many bytes.
    Length(usize),
    /// Chunked transfer coding.
    Chunked,
    /// The server closes the connection.
    UntilClose,
}

/// The parts of a response head that a load generator uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// Status code.
    pub status: u16,
    /// Length of the head in bytes, including its empty line.
    pub length: usize,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the server closes the connection after the response.
    pub closes: bool,
    /// Requests allowed per window, from `x-ratelimit-limit`.
    pub rate_limit: Option<u64>,
}

impl ResponseHead {
    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Parses the response head at the front of `wire`; `None` while it is incomplete.
///
/// # Errors
/// [`ProtocolError`] when the bytes are not an HTTP/1.x head or exceed its limits.
pub fn parse_head(wire: &[u8]) -> Result<Option<ResponseHead>, ProtocolError> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = Response::new(&mut []);
    let parsed =
        ParserConfig::default().parse_response_with_uninit_headers(&mut response, wire, &mut headers);
    let length = match parsed.map_err(ProtocolError::Head)? {
        Status::Complete(length) => length,
        Status::Partial if wire.len() > MAX_HEAD_BYTES => return Err(ProtocolError::TooLong),
        Status::Partial => return Ok(None),
    };
    let status = response.code.expect("a complete head has a status");
    let mut framing = if matches!(status, 204 | 304) { Framing::Length(0) } else { Framing::UntilClose };
    let mut closes = response.version == Some(0);
    let mut rate_limit = None;
    for header in response.headers {
        let (name, value) = (header.name, header.value);
        if name.eq_ignore_ascii_case("content-length") {
            framing = Framing::Length(parse_decimal(value).ok_or(ProtocolError::Header)?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(ProtocolError::Header);
            }
            framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case(b"close");
        } else if name.eq_ignore_ascii_case("x-ratelimit-limit") {
            rate_limit = parse_decimal(value).map(|limit| limit as u64);
        }
    }
    closes |= framing == Framing::UntilClose;
    Ok(Some(ResponseHead { status, length, framing, closes, rate_limit }))
}

/// Parses 1 to 15 decimal digits and nothing else.
pub(crate) fn parse_decimal(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    digits
        .iter()
        .try_fold(0_usize, |value, byte| byte.is_ascii_digit().then(|| value * 10 + usize::from(byte - b'0')))
}

/// Splits bytes into lines. Copies only a line that spans two reads.
#[derive(Debug, Default)]
pub(crate) struct LineBuffer {
    partial: Vec<u8>,
    is_complete: bool,
}

impl LineBuffer {
    /// Takes the next line, with its line feed, off the front of `wire`; `None` once `wire` is used up.
    ///
    /// # Errors
    /// [`ProtocolError::TooLong`] when an incomplete line exceeds `max_bytes`.
    pub(crate) fn next_line<'line, 'wire: 'line>(
        &'line mut self,
        wire: &mut &'wire [u8],
        max_bytes: usize,
    ) -> Result<Option<&'line [u8]>, ProtocolError> {
        if std::mem::take(&mut self.is_complete) {
            self.partial.clear();
        }
        let end = memchr(b'\n', wire).map(|position| position + 1);
        let (line, rest) = wire.split_at(end.unwrap_or(wire.len()));
        *wire = rest;
        if self.partial.is_empty() && end.is_some() {
            return Ok(Some(line));
        }
        self.partial.extend_from_slice(line);
        self.is_complete = end.is_some();
        match end {
            Some(_) => Ok(Some(&self.partial)),
            None if self.partial.len() > max_bytes => Err(ProtocolError::TooLong),
            None => Ok(None),
        }
    }
}

/// Decodes one chunked body, however reads split it.
#[derive(Debug, Default)]
pub(crate) struct ChunkedDecoder {
    state: ChunkState,
    lines: LineBuffer,
}

/// What the next byte of a chunked body belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkState {
    /// A size line.
    #[default]
    Size,
    /// A chunk of which `remaining` bytes are missing.
    Data { remaining: u64 },
    /// The line end after a chunk.
    DataEnd,
    /// The lines after the last chunk; an empty one ends the body.
    Trailer,
    /// The body has ended.
    Done,
}

impl ChunkedDecoder {
    /// Whether the body has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.state == ChunkState::Done
    }

    /// Takes framing off the front of `wire` and returns the next piece of the body; `None` when `wire` is used up or
    /// the body has ended. What is left of `wire` then follows the body.
    ///
    /// # Errors
    /// [`ProtocolError::Chunk`] when the bytes are not chunked framing.
    pub(crate) fn next_piece<'wire>(
        &mut self,
        wire: &mut &'wire [u8],
    ) -> Result<Option<&'wire [u8]>, ProtocolError> {
        while !self.is_done() && !wire.is_empty() {
            if let ChunkState::Data { remaining } = self.state {
                let length = usize::try_from(remaining).unwrap_or(usize::MAX).min(wire.len());
                let (piece, rest) = wire.split_at(length);
                *wire = rest;
                let remaining = remaining - length as u64;
                self.state =
                    if remaining == 0 { ChunkState::DataEnd } else { ChunkState::Data { remaining } };
                return Ok(Some(piece));
            }
            if let Some(line) = self.lines.next_line(wire, MAX_FRAMING_LINE_BYTES)? {
                self.state = self.state.after_line(line)?;
            }
        }
        Ok(None)
    }
}

impl ChunkState {
    fn after_line(self, line: &[u8]) -> Result<Self, ProtocolError> {
        match self {
            // httparse reads a line without digits as size 0.
            Self::Size if line[0].is_ascii_hexdigit() => match httparse::parse_chunk_size(line) {
                Ok(Status::Complete((_, 0))) => Ok(Self::Trailer),
                Ok(Status::Complete((_, size))) => Ok(Self::Data { remaining: size }),
                _ => Err(ProtocolError::Chunk),
            },
            Self::DataEnd if line == b"\r\n" => Ok(Self::Size),
            Self::Trailer if line == b"\r\n" => Ok(Self::Done),
            Self::Trailer => Ok(Self::Trailer),
            _ => Err(ProtocolError::Chunk),
        }
    }
}
