//! Event streams as tests read them: frame by frame, with a deadline.

use std::collections::VecDeque;
use std::time::Duration;

use agentcafe_client::{SseFrame, SseParser};
use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// How long [`SseStream::next`] waits for a frame.
const FRAME_DEADLINE: Duration = Duration::from_secs(30);

/// One frame of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The `id:` of this frame: the event's sequence. Control frames have none.
    pub id: Option<u64>,
    /// The `event:` name; `message` if it has none.
    pub event: String,
    /// The `data:` as JSON, or as a string if it is no JSON.
    pub data: Value,
}

impl Frame {
    /// None if the frame has no data.
    fn new(SseFrame { id, event, data }: SseFrame<'_>) -> Option<Self> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("a stream is UTF-8");
        let event = if event.is_empty() { "message".to_owned() } else { text(event) };
        let json = serde_json::from_slice(data).unwrap_or_else(|_| text(data).into());
        (!data.is_empty()).then_some(Self { id, event, data: json })
    }
}

/// Why there is no frame.
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
pub struct SseStream {
    response: Response,
    parser: SseParser,
    frames: VecDeque<Frame>,
}

impl SseStream {
    pub(crate) fn new(response: Response) -> Self {
        Self { response, parser: SseParser::default(), frames: VecDeque::new() }
    }

    /// The headers of the response.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next frame, control frames included.
    ///
    /// # Errors
    /// [`Silence`] when there is none `within` this time. After [`Silence::TimedOut`], the stream can be read again; nothing is
    /// lost.
    pub async fn next_within(&mut self, within: Duration) -> Result<Frame, Silence> {
        let next = async {
            loop {
                if let Some(frame) = self.frames.pop_front() {
                    return Ok(frame);
                }
                let chunk = self.response.chunk().await;
                let chunk = chunk.map_err(|error| Silence::Broken(format!("{error:?}")))?;
                let mut bytes = &chunk.ok_or(Silence::Ended)?[..];
                while let Some(frame) = self.parser.next_frame(&mut bytes).expect("an event stream") {
                    self.frames.extend(Frame::new(frame));
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
        self.next_where("any kind", |_| true).await
    }

    /// The next frame with this name; frames before it are dropped.
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
