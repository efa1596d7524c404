//! Parses server-sent events, wherever the network cuts the bytes. A frame that arrives whole is not copied.

use std::ops::Range;

use memchr::memchr;

/// The longest frame, in bytes: several times the largest event.
pub const MAX_FRAME_BYTES: usize = 16 << 20;

/// One frame. It borrows from the parser or from the bytes that were given to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SseFrame<'f> {
    /// The `id` field: the sequence of an event. Control frames have none.
    pub id: Option<u64>,
    /// The `event` field; empty if there is none.
    pub event: &'f [u8],
    /// The `data` fields, joined by line feeds.
    pub data: &'f [u8],
}

/// Why the bytes are not an event stream of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// A frame is longer than [`MAX_FRAME_BYTES`].
    #[error("a frame is longer than {MAX_FRAME_BYTES} bytes")]
    FrameTooLong,
    /// An `id` field is not a sequence.
    #[error("an event's id is not a sequence")]
    InvalidId,
}

/// Splits the bytes of a stream into frames.
#[derive(Debug, Default)]
pub struct SseParser {
    /// The beginning of a frame that has not arrived completely.
    partial: Vec<u8>,
    fields: Fields,
}

/// The fields of the frame that is being read; ranges are positions in the frame.
#[derive(Debug, Default)]
struct Fields {
    id: Option<u64>,
    event: Range<usize>,
    data: Option<Range<usize>>,
    /// The data of a frame with several `data` fields.
    joined: Vec<u8>,
    /// Where the next line begins.
    line: usize,
    /// Whether the frame has ended; the next call starts another one.
    is_complete: bool,
}

impl SseParser {
    /// Takes the next frame from `bytes`, and removes what was read from them. `None` when `bytes` is used up.
    ///
    /// # Errors
    /// [`SseError`] when the bytes are not an event stream of the API; the stream cannot be read on.
    pub fn next_frame<'p, 'b: 'p>(
        &'p mut self,
        bytes: &mut &'b [u8],
    ) -> Result<Option<SseFrame<'p>>, SseError> {
        if self.fields.is_complete {
            self.partial.clear();
            self.fields.clear();
        }
        while !bytes.is_empty() {
            if self.partial.is_empty() {
                let frame = *bytes;
                let Some(length) = self.fields.read(frame)? else { break };
                *bytes = &frame[length..];
                if self.fields.is_complete {
                    return Ok(Some(self.fields.frame(frame)));
                }
            } else {
                let Some(end) = memchr(b'\n', bytes) else { break };
                self.partial.extend_from_slice(&bytes[..=end]);
                *bytes = &bytes[end + 1..];
                if self.fields.read(&self.partial)?.is_some() {
                    if self.fields.is_complete {
                        return Ok(Some(self.fields.frame(&self.partial)));
                    }
                    self.partial.clear();
                }
            }
        }
        if self.partial.len() + bytes.len() > MAX_FRAME_BYTES {
            return Err(SseError::FrameTooLong);
        }
        self.partial.extend_from_slice(std::mem::take(bytes));
        Ok(None)
    }
}

impl Fields {
    /// Reads lines from where the last call stopped. The length of the frame, once its empty line has been read; a frame
    /// without fields (a comment) does not count as complete.
    fn read(&mut self, frame: &[u8]) -> Result<Option<usize>, SseError> {
        while let Some(length) = memchr(b'\n', &frame[self.line..]) {
            let start = self.line;
            self.line += length + 1;
            let line = &frame[start..start + length];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                let end = self.line;
                self.is_complete = self.id.is_some() || self.data.is_some() || !self.event.is_empty();
                if !self.is_complete {
                    self.clear();
                }
                return Ok(Some(end));
            }
            let value_of = |name: &[u8]| {
                let value = line.strip_prefix(name)?;
                let value = value.strip_prefix(b" ").unwrap_or(value);
                let end = start + line.len();
                Some(end - value.len()..end)
            };
            if let Some(data) = value_of(b"data:") {
                self.add_data(frame, data);
            } else if let Some(event) = value_of(b"event:") {
                self.event = event;
            } else if let Some(id) = value_of(b"id:") {
                let id = std::str::from_utf8(&frame[id]).ok().and_then(|id| id.parse().ok());
                self.id = Some(id.ok_or(SseError::InvalidId)?);
            }
        }
        Ok(None)
    }

    fn add_data(&mut self, frame: &[u8], data: Range<usize>) {
        if let Some(first) = self.data.replace(data.clone()) {
            if self.joined.is_empty() {
                self.joined.extend_from_slice(&frame[first]);
            }
            self.joined.push(b'\n');
            self.joined.extend_from_slice(&frame[data]);
        }
    }

    fn frame<'f>(&'f self, frame: &'f [u8]) -> SseFrame<'f> {
        let data = if self.joined.is_empty() {
            self.data.clone().map_or(&frame[..0], |data| &frame[data])
        } else {
            &self.joined
        };
        SseFrame { id: self.id, event: &frame[self.event.clone()], data }
    }

    fn clear(&mut self) {
        self.joined.clear();
        *self = Self { joined: std::mem::take(&mut self.joined), ..Self::default() };
    }
}
