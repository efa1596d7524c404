//! Reads Server-Sent Events off the wire: head, chunked framing, lines; without copying what came whole.

use memchr::memchr;

use crate::chunked::ChunkedDecoder;
use crate::http::{Framing, MAX_HEAD_BYTES, ProtocolError, parse_decimal, parse_head};

/// Longest line accepted: an event's body is at most 1 MiB, and its envelope is small.
const MAX_LINE_BYTES: usize = 2 * 1024 * 1024;

/// One line of a stream, by its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'line> {
    /// The frame's id.
    Id(u64),
    /// The frame's event name.
    Event(&'line [u8]),
    /// Data of the frame.
    Data(&'line [u8]),
    /// The frame is complete.
    End,
}

/// How far a connection's response has been read.
#[derive(Debug)]
enum Progress {
    /// Its head, as far as it has come.
    Head(Vec<u8>),
    /// In a chunked body.
    Chunked(ChunkedDecoder),
    /// In a body that lasts until the connection closes.
    Plain,
}

/// Reads one stream, whatever way reads and chunks happen to split it.
#[derive(Debug)]
pub struct SseReader {
    progress: Progress,
    lines: LineReader,
}

impl Default for SseReader {
    fn default() -> Self {
        Self { progress: Progress::Head(Vec::new()), lines: LineReader::default() }
    }
}

impl SseReader {
    /// Takes the bytes of one read and hands on each field that they complete.
    ///
    /// # Errors
    /// A [`ProtocolError`] when the bytes are not a stream, or it has ended.
    pub fn feed(
        &mut self,
        mut wire: &[u8],
        mut on_field: impl FnMut(Field<'_>),
    ) -> Result<(), ProtocolError> {
        if let Progress::Head(collected) = &mut self.progress {
            let before = collected.len();
            collected.extend_from_slice(&wire[..wire.len().min(MAX_HEAD_BYTES + 1)]);
            let Some(head) = parse_head(collected)? else {
                return Ok(());
            };
            if head.status != 200 {
                return Err(ProtocolError::StreamRefused(head));
            }
            wire = &wire[head.length - before..];
            self.progress = match head.framing {
                Framing::Chunked => Progress::Chunked(ChunkedDecoder::default()),
                Framing::UntilClose => Progress::Plain,
                Framing::Length(_) => return Err(ProtocolError::NoStream),
            };
        }
        let Progress::Chunked(chunks) = &mut self.progress else {
            return self.lines.feed(wire, |line| on_line(line, &mut on_field));
        };
        while let Some(piece) = chunks.next_piece(&mut wire)? {
            self.lines.feed(piece, |line| on_line(line, &mut on_field))?;
        }
        if chunks.is_done() { Err(ProtocolError::Closed) } else { Ok(()) }
    }
}

/// Hands on what a line means; comments and unknown fields mean nothing.
fn on_line(line: &[u8], on_field: &mut impl FnMut(Field<'_>)) -> Result<(), ProtocolError> {
    if line.is_empty() {
        on_field(Field::End);
    } else if let Some(data) = line.strip_prefix(b"data:") {
        on_field(Field::Data(data.trim_ascii_start()));
    } else if let Some(name) = line.strip_prefix(b"event:") {
        on_field(Field::Event(name.trim_ascii()));
    } else if let Some(id) = line.strip_prefix(b"id:") {
        let id = parse_decimal(id.trim_ascii()).ok_or(ProtocolError::EventId)?;
        on_field(Field::Id(id as u64));
    }
    Ok(())
}

/// Splits bytes into lines; only a line that came in parts is copied together.
#[derive(Debug, Default)]
struct LineReader {
    begun: Vec<u8>,
}

impl LineReader {
    fn feed(
        &mut self,
        mut bytes: &[u8],
        mut on_line: impl FnMut(&[u8]) -> Result<(), ProtocolError>,
    ) -> Result<(), ProtocolError> {
        if !self.begun.is_empty()
            && let Some(end) = memchr(b'\n', bytes)
        {
            self.begun.extend_from_slice(&bytes[..end]);
            on_line(without_return(&self.begun))?;
            self.begun.clear();
            bytes = &bytes[end + 1..];
        }
        if self.begun.is_empty() {
            while let Some(end) = memchr(b'\n', bytes) {
                on_line(without_return(&bytes[..end]))?;
                bytes = &bytes[end + 1..];
            }
        }
        if self.begun.len() + bytes.len() > MAX_LINE_BYTES {
            return Err(ProtocolError::TooLong);
        }
        self.begun.extend_from_slice(bytes);
        Ok(())
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "event: ready\ndata: {\"head\":5}\n\n: note\nid: 6\nevent: said\ndata: {\"a\":\"id: 9\"}\n\n\
                          id:7\r\ndata:  x\r\n\r\nevent: heartbeat\ndata: {}\n\n";
    const FIELDS: [&str; 13] = [
        "event ready",
        "data {\"head\":5}",
        "end",
        "id 6",
        "event said",
        "data {\"a\":\"id: 9\"}",
        "end",
        "id 7",
        "data x",
        "end",
        "event heartbeat",
        "data {}",
        "end",
    ];

    fn fields(reads: &[&[u8]]) -> Result<Vec<String>, ProtocolError> {
        let mut reader = SseReader::default();
        let mut fields = Vec::new();
        for read in reads {
            reader.feed(read, |field| {
                fields.push(match field {
                    Field::Id(id) => format!("id {id}"),
                    Field::Event(name) => format!("event {}", String::from_utf8_lossy(name)),
                    Field::Data(data) => format!("data {}", String::from_utf8_lossy(data)),
                    Field::End => "end".to_owned(),
                });
            })?;
        }
        Ok(fields)
    }

    fn check(wire: &[u8]) {
        for at in 0..=wire.len() {
            let (before, after) = wire.split_at(at);
            assert_eq!(fields(&[before, after]).unwrap(), FIELDS, "split at {at}");
        }
        let bytes: Vec<&[u8]> = wire.chunks(1).collect();
        assert_eq!(fields(&bytes).unwrap(), FIELDS);
    }

    #[test]
    fn a_plain_stream_is_the_same_however_the_reads_split_it() {
        check(format!("HTTP/1.1 200 OK\r\n\r\n{STREAM}").as_bytes());
    }

    #[test]
    fn a_chunked_stream_is_the_same_however_chunks_and_reads_split_it() {
        for chunk_bytes in [1, 2, 3, 7, 40, 1000] {
            let mut wire = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            for chunk in STREAM.as_bytes().chunks(chunk_bytes) {
                wire.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            check(&wire);
        }
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        let cases = [
            "HTTP/1.1 429 Too Many\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\nid: six\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ];
        for wire in cases {
            assert!(fields(&[wire.as_bytes()]).is_err(), "{wire:?}");
        }
    }
}
