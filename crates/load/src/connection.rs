//! One keep-alive connection that sends a request and waits for its response.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::ProtocolError;
use crate::response::{Response, ResponseReader};

/// A keep-alive HTTP/1.1 connection, one request at a time.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    reader: ResponseReader,
}

impl Connection {
    /// Connects, with Nagle's algorithm off.
    ///
    /// # Errors
    /// When the server does not take the connection.
    pub async fn open(address: SocketAddr) -> Result<Self, ProtocolError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, reader: ResponseReader::default() })
    }

    /// Sends the bytes of one request and gives its response, which lives until the next exchange.
    ///
    /// # Errors
    /// When the connection fails or the answer is not HTTP; the connection is then of no more use.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Response<'_>, ProtocolError> {
        self.reader.restart();
        self.stream.write_all(request).await?;
        loop {
            let count = self.stream.read(self.reader.room()).await?;
            if count == 0 {
                return Err(ProtocolError::Closed);
            }
            if self.reader.advance(count)? {
                return Ok(self.reader.response());
            }
        }
    }
}
