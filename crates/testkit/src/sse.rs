//! Reads Server-Sent Events as the WHATWG specification says, wherever the network cut the bytes.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// How long [`EventStream::next`] waits for a frame.
const FRAME_DEADLINE: Duration = Duration::from_secs(30);

/// One frame of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The `id:` of this very frame: the event's sequence. Control frames have none.
    pub id: Option<u64>,
    /// The `event:` name; `message` if it has none.
    pub event: String,
    /// The `data:` as JSON, or as a string if it is none.
    pub data: Value,
}

/// Why no frame came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Nothing came in time.
    TimedOut,
    /// The server ended the stream properly.
    Ended,
    /// The connection broke.
    Broken(String),
}

/// An open event stream. Dropping it closes the connection.
#[derive(Debug)]
pub struct EventStream {
    response: Response,
    parser: Parser,
    waiting: VecDeque<Frame>,
}

impl EventStream {
    pub(crate) fn new(response: Response) -> Self {
        Self { response, parser: Parser::default(), waiting: VecDeque::new() }
    }

    /// The headers of the answer.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next frame, control frames included.
    ///
    /// # Errors
    /// [`Silence`] says why there is none `within` this time. The stream can be asked again after
    /// [`Silence::TimedOut`]; nothing is lost.
    pub async fn next_within(&mut self, within: Duration) -> Result<Frame, Silence> {
        let next = async {
            loop {
                if let Some(frame) = self.waiting.pop_front() {
                    return Ok(frame);
                }
                match self.response.chunk().await {
                    Ok(Some(bytes)) => self.waiting.extend(self.parser.push(&bytes)),
                    Ok(None) => return Err(Silence::Ended),
                    Err(error) => return Err(Silence::Broken(format!("{error:?}"))),
                }
            }
        };
        tokio::time::timeout(within, next).await.unwrap_or(Err(Silence::TimedOut))
    }

    /// The next frame, control frames included.
    ///
    /// # Panics
    /// If none comes within 30 s.
    pub async fn next(&mut self) -> Frame {
        let next = self.next_within(FRAME_DEADLINE).await;
        next.unwrap_or_else(|silence| panic!("no frame: {silence:?}"))
    }

    /// The next frame with this name; what comes before it is dropped.
    ///
    /// # Panics
    /// If none comes within 30 s.
    pub async fn next_of(&mut self, event: &str) -> Frame {
        self.next_where(event, |frame| frame.event == event).await
    }

    /// The next frame that carries an event of the log; control frames before it are dropped.
    ///
    /// # Panics
    /// If none comes within 30 s.
    pub async fn next_event(&mut self) -> Frame {
        self.next_where("an event of the log", |frame| frame.id.is_some()).await
    }

    async fn next_where(&mut self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Frame {
        let next = async {
            loop {
                let frame = self.next_within(FRAME_DEADLINE).await;
                let frame = frame.unwrap_or_else(|silence| panic!("no frame of {what}: {silence:?}"));
                if wanted(&frame) {
                    return frame;
                }
            }
        };
        let found = tokio::time::timeout(FRAME_DEADLINE, next).await;
        found.unwrap_or_else(|_| panic!("no frame of {what} within {FRAME_DEADLINE:?}"))
    }
}

/// Bytes in, frames out.
#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    after_carriage_return: bool,
    id: Option<u64>,
    event: String,
    data: Vec<String>,
}

impl Parser {
    /// The frames that these bytes complete.
    fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for &byte in bytes {
            let ends_crlf = byte == b'\n' && std::mem::take(&mut self.after_carriage_return);
            match byte {
                _ if ends_crlf => {}
                b'\n' | b'\r' => {
                    self.after_carriage_return = byte == b'\r';
                    frames.extend(self.end_line());
                }
                _ => self.line.push(byte),
            }
            if byte != b'\r' {
                self.after_carriage_return = false;
            }
        }
        frames
    }

    fn end_line(&mut self) -> Option<Frame> {
        let line = String::from_utf8(std::mem::take(&mut self.line)).expect("a stream is UTF-8");
        if line.is_empty() {
            return self.end_frame();
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = Some(value.parse().unwrap_or_else(|_| panic!("{value:?} is no sequence"))),
            "event" => value.clone_into(&mut self.event),
            "data" => self.data.push(value.to_owned()),
            _ => {}
        }
        None
    }

    fn end_frame(&mut self) -> Option<Frame> {
        let (id, event) = (self.id.take(), std::mem::take(&mut self.event));
        let lines = std::mem::take(&mut self.data);
        if lines.is_empty() {
            return None;
        }
        let text = lines.join("\n");
        let data = serde_json::from_str(&text).unwrap_or(Value::String(text));
        let event = if event.is_empty() { "message".to_owned() } else { event };
        Some(Frame { id, event, data })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// CONTRACT 10, parsing rules: CRLF is LF, comments are dropped, data lines are joined, an incomplete tail is
    /// kept; and the frames are the same wherever the network cuts.
    #[test]
    fn frames_do_not_depend_on_where_the_bytes_are_cut() {
        let text = "event: ready\ndata: {\"cursor\":5}\n\n: comment\r\nid: 6\r\nevent:said\r\ndata:{\"a\":\"ü\"}\r\n\r\n\
                    data: 1\ndata: x\n\nevent: empty\n\nid: 7\rdata: 2\r\revent: tail\ndata: 3\n";
        let want = vec![
            Frame { id: None, event: "ready".into(), data: json!({"cursor": 5}) },
            Frame { id: Some(6), event: "said".into(), data: json!({"a": "ü"}) },
            Frame { id: None, event: "message".into(), data: json!("1\nx") },
            Frame { id: Some(7), event: "message".into(), data: json!(2) },
        ];
        for cut in 0..=text.len() {
            let mut parser = Parser::default();
            let mut frames = parser.push(&text.as_bytes()[..cut]);
            frames.extend(parser.push(&text.as_bytes()[cut..]));
            assert_eq!(frames, want, "cut at {cut}");
        }
        let mut parser = Parser::default();
        let frames: Vec<Frame> = text.as_bytes().iter().flat_map(|byte| parser.push(&[*byte])).collect();
        assert_eq!(frames, want, "byte by byte");
    }
}
