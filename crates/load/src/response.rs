//! Puts the reads of a keep-alive connection together to whole responses.

use crate::chunked::ChunkedDecoder;
use crate::http::{Framing, Head, ProtocolError, parse_head};

/// Room to read into at first; a say's response fits.
const INITIAL_BUFFER_BYTES: usize = 16 * 1024;
/// Least room offered to a read.
const MIN_READ_BYTES: usize = 8 * 1024;
/// Longest response accepted: 5,000 events of a few kilobytes each.
const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;

/// A complete response, in the reader's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'buffer> {
    /// Status code.
    pub status: u16,
    /// Decoded body.
    pub body: &'buffer [u8],
}

/// Collects one response after another from the reads of a keep-alive connection, in one buffer.
#[derive(Debug)]
pub struct ResponseReader {
    buffer: Vec<u8>,
    filled: usize,
    head: Option<Head>,
    chunks: ChunkedDecoder,
    chunks_read_to: usize,
    chunked_body: Vec<u8>,
    is_complete: bool,
}

impl Default for ResponseReader {
    fn default() -> Self {
        Self {
            buffer: vec![0; INITIAL_BUFFER_BYTES],
            filled: 0,
            head: None,
            chunks: ChunkedDecoder::default(),
            chunks_read_to: 0,
            chunked_body: Vec::new(),
            is_complete: false,
        }
    }
}

impl ResponseReader {
    /// Forgets the last response, to begin with the next.
    pub fn restart(&mut self) {
        self.filled = 0;
        self.head = None;
        self.chunks = ChunkedDecoder::default();
        self.chunks_read_to = 0;
        self.chunked_body.clear();
        self.is_complete = false;
    }

    /// The response's head, once it is there.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        self.head
    }

    /// Whether nothing of a response has come yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Whether the response is all there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The room to read into; never empty.
    pub fn room(&mut self) -> &mut [u8] {
        if self.buffer.len() - self.filled < MIN_READ_BYTES {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        &mut self.buffer[self.filled..]
    }

    /// Takes note that `count` bytes were read into [`Self::room`].
    ///
    /// # Errors
    /// A [`ProtocolError`] when the bytes are not the one response that was asked for.
    pub fn advance(&mut self, count: usize) -> Result<(), ProtocolError> {
        self.filled += count;
        if self.filled > MAX_RESPONSE_BYTES {
            return Err(ProtocolError::TooLong);
        }
        if self.head.is_none() {
            self.head = parse_head(&self.buffer[..self.filled])?;
            self.chunks_read_to = self.head.map_or(0, |head| head.length);
        }
        let Some(head) = self.head else {
            return Ok(());
        };
        let end = match head.framing {
            Framing::Length(length) => head.length + length,
            Framing::Chunked if self.advance_chunks()? => self.chunks_read_to,
            Framing::Chunked | Framing::UntilClose => return Ok(()),
        };
        self.is_complete = self.filled == end;
        if self.filled > end { Err(ProtocolError::Surplus) } else { Ok(()) }
    }

    /// Takes note that the server closed the connection, which ends some responses.
    ///
    /// # Errors
    /// [`ProtocolError::Closed`] when this one is cut off by it.
    pub fn close(&mut self) -> Result<(), ProtocolError> {
        self.is_complete |= self.head.is_some_and(|head| head.framing == Framing::UntilClose);
        if self.is_complete { Ok(()) } else { Err(ProtocolError::Closed) }
    }

    /// Decodes what is there of a chunked body; true at its end.
    fn advance_chunks(&mut self) -> Result<bool, ProtocolError> {
        let mut wire = &self.buffer[self.chunks_read_to..self.filled];
        while let Some(piece) = self.chunks.next_piece(&mut wire)? {
            self.chunked_body.extend_from_slice(piece);
        }
        self.chunks_read_to = self.filled - wire.len();
        Ok(self.chunks.is_done())
    }

    /// The response, once it is complete.
    ///
    /// # Panics
    /// When it has no head yet.
    #[must_use]
    pub fn response(&self) -> Response<'_> {
        let head = self.head.expect("a complete response has a head");
        let body = match head.framing {
            Framing::Length(length) => &self.buffer[head.length..head.length + length],
            Framing::Chunked => &self.chunked_body,
            Framing::UntilClose => &self.buffer[head.length..self.filled],
        };
        Response { status: head.status, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the reads and gives the response; it must be complete at the last read and not before.
    fn read(reader: &mut ResponseReader, reads: &[&[u8]]) -> Result<(u16, Vec<u8>), ProtocolError> {
        let reads: Vec<&[u8]> = reads.iter().copied().filter(|read| !read.is_empty()).collect();
        reader.restart();
        for (number, read) in reads.iter().enumerate() {
            reader.room()[..read.len()].copy_from_slice(read);
            reader.advance(read.len())?;
            assert_eq!(reader.is_complete(), number + 1 == reads.len());
        }
        let response = reader.response();
        Ok((response.status, response.body.to_vec()))
    }

    fn check(wire: &[u8], status: u16, body: &[u8]) {
        let expected = (status, body.to_vec());
        let mut reader = ResponseReader::default();
        for at in 0..=wire.len() {
            let (before, after) = wire.split_at(at);
            assert_eq!(read(&mut reader, &[before, after]).unwrap(), expected, "split at {at}");
        }
        let bytes: Vec<&[u8]> = wire.chunks(1).collect();
        assert_eq!(read(&mut reader, &bytes).unwrap(), expected);
    }

    #[test]
    fn a_response_with_a_length_is_the_same_however_the_reads_split_it() {
        check(
            b"HTTP/1.1 202 Accepted\r\nX-A: content-length: 3\r\nContent-Length: 14\r\n\r\n{\"ok\":true}\r\n\r",
            202,
            b"{\"ok\":true}\r\n\r",
        );
        check(b"HTTP/1.1 429 Too Many\r\ncontent-length:0\r\nretry-after: 1\r\n\r\n", 429, b"");
    }

    #[test]
    fn a_chunked_response_is_the_same_however_the_reads_split_it() {
        check(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n",
            200,
            b"{\"a\":1}",
        );
    }

    #[test]
    fn a_body_longer_than_the_buffer_is_kept_whole() {
        let body = vec![b'x'; 5 * INITIAL_BUFFER_BYTES];
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let wire = [head.as_bytes(), &body].concat();
        let reads: Vec<&[u8]> = wire.chunks(MIN_READ_BYTES).collect();
        let mut reader = ResponseReader::default();
        assert_eq!(read(&mut reader, &reads).unwrap(), (200, body));
    }

    #[test]
    fn only_a_response_without_framing_ends_with_the_connection() {
        let cases = [
            ("HTTP/1.1 200 OK\r\n\r\nuntil close", Some("until close")),
            ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\ncut", None),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\ncut\r\n", None),
            ("HTTP/1.1 200", None),
        ];
        for (wire, body) in cases {
            let mut reader = ResponseReader::default();
            reader.room()[..wire.len()].copy_from_slice(wire.as_bytes());
            reader.advance(wire.len()).unwrap();
            let whole = reader.close().is_ok().then(|| reader.response().body);
            assert_eq!(whole, body.map(str::as_bytes), "{wire:?}");
        }
    }

    #[test]
    fn what_is_not_one_response_is_refused() {
        let cases = [
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 2xx OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab",
        ];
        for wire in cases {
            assert!(read(&mut ResponseReader::default(), &[wire.as_bytes()]).is_err(), "{wire:?}");
        }
    }
}
