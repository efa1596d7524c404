//! Frames of server-sent events, whatever way reads happen to split them.

/// The longest line that is taken, and the longest frame: several times the largest event.
pub(crate) const MAX_FRAME_BYTES: usize = 16 * 1_024 * 1_024;

/// One frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The sequence it carries: events have one, control frames have none.
    pub(crate) id: Option<u64>,
    /// Its name.
    pub(crate) event: String,
    /// Its data, the lines joined.
    pub(crate) data: String,
}

/// Puts frames together.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    line: Vec<u8>,
    begun: Frame,
}

/// More than [`MAX_FRAME_BYTES`] without an end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Frames {
    /// Takes the bytes of one read and gives the frames that they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, TooLong> {
        let mut complete = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + self.begun.data.len() + part.len() > MAX_FRAME_BYTES {
                return Err(TooLong);
            }
            self.line.extend_from_slice(part);
            if !part.ends_with(b"\n") {
                break;
            }
            let line = std::mem::take(&mut self.line);
            complete.extend(self.take(&String::from_utf8_lossy(&line)));
            self.line = line;
            self.line.clear();
        }
        Ok(complete)
    }

    /// Takes a line; the empty one completes a frame, if there is anything in it.
    fn take(&mut self, line: &str) -> Option<Frame> {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            let frame = std::mem::take(&mut self.begun);
            return (frame != Frame::default()).then_some(frame);
        }
        match line.split_once(':') {
            Some(("id", id)) => self.begun.id = id.trim().parse().ok(),
            Some(("event", event)) => event.trim().clone_into(&mut self.begun.event),
            Some(("data", data)) => {
                if !self.begun.data.is_empty() {
                    self.begun.data.push('\n');
                }
                self.begun.data.push_str(data.trim_start());
            }
            // A comment, or a field that does not concern us.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(id: Option<u64>, event: &str, data: &str) -> Frame {
        Frame { id, event: event.to_owned(), data: data.to_owned() }
    }

    /// CONTRACT 10: however the bytes are cut, also within a character, the frames are the same.
    #[test]
    fn frames_are_put_together_from_any_pieces() {
        let cases = [
            (
                "id: 7\nevent: order_changed\ndata: {\"a\":1}\n\n",
                vec![frame(Some(7), "order_changed", "{\"a\":1}")],
            ),
            ("event: ready\r\ndata: {}\r\n\r\n", vec![frame(None, "ready", "{}")]),
            (": comment\n\nretry: 5\n\n\n", vec![]),
            ("data: one\ndata: two ☕\n\n", vec![frame(None, "", "one\ntwo ☕")]),
            ("id:1\ndata:a\n\nid:2\ndata:b\n\n", vec![frame(Some(1), "", "a"), frame(Some(2), "", "b")]),
            ("id: 9\ndata: never completed\n", vec![]),
        ];
        for (bytes, want) in cases {
            for size in 1..=bytes.len() {
                let mut frames = Frames::default();
                let got: Vec<Frame> =
                    bytes.as_bytes().chunks(size).flat_map(|part| frames.feed(part).unwrap()).collect();
                assert_eq!(got, want, "{bytes:?} in pieces of {size}");
            }
        }
    }

    /// DESIGN 5.5: what is kept of a frame without an end is bounded.
    #[test]
    fn a_frame_without_an_end_is_given_up() {
        for part in ["data: no end".repeat(1_000), format!("data: {}\n", "line".repeat(1_000))] {
            let mut frames = Frames::default();
            let mut fed = 0;
            while frames.feed(part.as_bytes()) == Ok(Vec::new()) {
                fed += part.len();
                assert!(fed <= 2 * MAX_FRAME_BYTES, "still taken after {fed} bytes");
            }
        }
    }
}
