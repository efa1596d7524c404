//! One keep-alive connection that sends a request and waits for its response.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::http::{Head, ProtocolError};
use crate::response::{Response, ResponseReader};
use crate::target::Target;
use crate::transport::Transport;

/// A keep-alive HTTP/1.1 connection, one request at a time.
#[derive(Debug)]
pub struct Connection {
    transport: Transport,
    reader: ResponseReader,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When the server does not take the connection.
    pub async fn open(target: &Target) -> Result<Self, ProtocolError> {
        Ok(Self { transport: target.connect().await?, reader: ResponseReader::default() })
    }

    /// Sends the bytes of one request and gives its response, which lives until the next exchange.
    ///
    /// # Errors
    /// When the connection fails or the answer is not HTTP; the connection is then of no more use.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Response<'_>, ProtocolError> {
        self.begin(request).await?;
        self.finish().await
    }

    /// Sends the bytes of one request and waits for the head of its response; [`Self::finish`] gives the rest.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    pub async fn begin(&mut self, request: &[u8]) -> Result<Head, ProtocolError> {
        self.reader.restart();
        self.transport.write_all(request).await?;
        loop {
            if let Some(head) = self.reader.head() {
                return Ok(head);
            }
            self.read().await?;
        }
    }

    /// Waits for the rest of the response that was begun.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    pub async fn finish(&mut self) -> Result<Response<'_>, ProtocolError> {
        while !self.reader.is_complete() {
            self.read().await?;
        }
        Ok(self.reader.response())
    }

    /// The last response, as far as [`Self::finish`] has got it.
    ///
    /// # Panics
    /// When none was begun.
    #[must_use]
    pub fn response(&self) -> Response<'_> {
        self.reader.response()
    }

    /// Whether not a byte came in answer to the last request: so it looks if the server closed the connection while
    /// nobody used it.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        self.reader.is_empty()
    }

    /// Whether the server goes on with this connection after the last response.
    #[must_use]
    pub fn stays(&self) -> bool {
        self.reader.is_complete() && self.reader.head().is_some_and(|head| !head.closes)
    }

    async fn read(&mut self) -> Result<(), ProtocolError> {
        match self.transport.read(self.reader.room()).await? {
            0 => self.reader.close(),
            count => self.reader.advance(count),
        }
    }
}
