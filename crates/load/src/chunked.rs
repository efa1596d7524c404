//! Decodes HTTP/1.1 chunked framing in place, whatever way the reads happen to split it.

use crate::http::ProtocolError;

/// Hex digits of a chunk size past which the peer cannot be sane (16^8 = 4 GiB).
const MAX_SIZE_DIGITS: u8 = 8;

/// Where in the framing the next byte falls.
#[derive(Clone, Copy, Debug)]
enum Position {
    /// In the size line; `extension` once the digits are over.
    Size { value: u64, digits: u8, extension: bool },
    /// In a chunk, with so many bytes of it to come.
    Data { remaining: u64 },
    /// In the line end that follows a chunk's data.
    DataEnd,
    /// In the lines after the last chunk; an empty line ends the body.
    Trailer { line_length: usize },
    /// Behind the body.
    Done,
}

/// Position at the start of a chunk's size line.
const SIZE_START: Position = Position::Size { value: 0, digits: 0, extension: false };

/// The state of one chunked body.
#[derive(Debug)]
pub struct ChunkedDecoder {
    position: Position,
}

impl Default for ChunkedDecoder {
    fn default() -> Self {
        Self { position: SIZE_START }
    }
}

impl ChunkedDecoder {
    /// Whether the body has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.position, Position::Done)
    }

    /// Takes framing off the front of `wire` and gives the next piece of the body, or `None`
    /// when `wire` is used up or the body is over (then what is left of `wire` follows the body).
    ///
    /// # Errors
    /// [`ProtocolError::Chunk`] when the bytes are not chunked framing.
    pub fn next_piece<'wire>(
        &mut self,
        wire: &mut &'wire [u8],
    ) -> Result<Option<&'wire [u8]>, ProtocolError> {
        loop {
            if let Position::Data { remaining } = self.position {
                if wire.is_empty() {
                    return Ok(None);
                }
                let length = usize::try_from(remaining).unwrap_or(usize::MAX).min(wire.len());
                let (piece, rest) = wire.split_at(length);
                *wire = rest;
                let remaining = remaining - length as u64;
                self.position = if remaining == 0 { Position::DataEnd } else { Position::Data { remaining } };
                return Ok(Some(piece));
            }
            if self.is_done() {
                return Ok(None);
            }
            let Some((&byte, rest)) = wire.split_first() else {
                return Ok(None);
            };
            *wire = rest;
            self.position = after_framing_byte(self.position, byte)?;
        }
    }
}

/// The position behind one byte of framing.
fn after_framing_byte(position: Position, byte: u8) -> Result<Position, ProtocolError> {
    match (position, byte) {
        (Position::Size { digits: 0, .. }, b'\n') => Err(ProtocolError::Chunk),
        (Position::Size { value: 0, .. }, b'\n') => Ok(Position::Trailer { line_length: 0 }),
        (Position::Size { value, .. }, b'\n') => Ok(Position::Data { remaining: value }),
        (Position::Size { value, digits, extension: false }, _) if byte.is_ascii_hexdigit() => {
            if digits == MAX_SIZE_DIGITS {
                return Err(ProtocolError::Chunk);
            }
            let digit = (byte as char).to_digit(16).expect("checked to be a hex digit");
            Ok(Position::Size { value: value * 16 + u64::from(digit), digits: digits + 1, extension: false })
        }
        (Position::Size { extension: false, .. }, byte) if !matches!(byte, b'\r' | b';' | b' ' | b'\t') => {
            Err(ProtocolError::Chunk)
        }
        (Position::Size { value, digits, .. }, _) => Ok(Position::Size { value, digits, extension: true }),
        (Position::DataEnd, b'\r') => Ok(Position::DataEnd),
        (Position::DataEnd, b'\n') => Ok(SIZE_START),
        (Position::DataEnd, _) => Err(ProtocolError::Chunk),
        (Position::Trailer { line_length: 0 }, b'\n') => Ok(Position::Done),
        (Position::Trailer { .. }, b'\n') => Ok(Position::Trailer { line_length: 0 }),
        (Position::Trailer { line_length }, b'\r') => Ok(Position::Trailer { line_length }),
        (Position::Trailer { line_length }, _) => Ok(Position::Trailer { line_length: line_length + 1 }),
        (Position::Data { .. } | Position::Done, _) => unreachable!("these are not framing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(reads: &[&[u8]]) -> Result<(Vec<u8>, bool), ProtocolError> {
        let mut decoder = ChunkedDecoder::default();
        let mut body = Vec::new();
        for read in reads {
            let mut wire = *read;
            while let Some(piece) = decoder.next_piece(&mut wire)? {
                body.extend_from_slice(piece);
            }
        }
        Ok((body, decoder.is_done()))
    }

    #[test]
    fn a_body_is_the_same_however_the_reads_split_it() {
        let wire = b"5\r\nhello\r\n1;name=value\r\n \r\n0C\r\nworld\r\n\r\nend\r\n0\r\nchecksum: 1\r\n\r\n";
        let expected = (b"hello world\r\n\r\nend".to_vec(), true);
        for at in 0..=wire.len() {
            let (before, after) = wire.split_at(at);
            assert_eq!(decode(&[before, after]).unwrap(), expected, "split at {at}");
        }
        let bytes: Vec<&[u8]> = wire.chunks(1).collect();
        assert_eq!(decode(&bytes).unwrap(), expected);
    }

    #[test]
    fn what_follows_the_body_is_left_alone() {
        let mut decoder = ChunkedDecoder::default();
        let mut wire: &[u8] = b"0\r\n\r\nHTTP/1.1";
        assert_eq!(decoder.next_piece(&mut wire).unwrap(), None);
        assert!(decoder.is_done());
        assert_eq!(wire, b"HTTP/1.1");
    }

    #[test]
    fn what_is_not_framing_is_refused() {
        for wire in ["\r\n", "x\r\n", "123456789\r\n", "2\r\nabc\r\n"] {
            assert!(decode(&[wire.as_bytes()]).is_err(), "{wire:?}");
        }
    }
}
