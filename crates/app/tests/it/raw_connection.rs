//! Raw TCP connections for tests: to stall, to break off, to be slow.

use std::net::SocketAddr;
use std::time::Duration;

use agentcafe_testkit::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Deadline of the next line.
const LINE_DEADLINE: Duration = Duration::from_secs(60);

/// A connection that sends and reads only on request.
pub(crate) struct RawConnection(BufReader<TcpStream>);

impl RawConnection {
    /// Connects with a small receive buffer, so that unread data stays on the server.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(16 << 10).expect("a buffer size");
        Self(BufReader::new(socket.connect(address).await.expect("the server listens")))
    }

    /// Starts an event stream over HTTP/1.0, whose body is not chunked.
    pub(crate) async fn stream(address: SocketAddr, query: &str) -> Self {
        let mut connection = Self::open(address).await;
        let head = format!("GET /v1/streams/market-events?{query} HTTP/1.0\r\nhost: localhost\r\n\r\n");
        connection.send(head.as_bytes()).await;
        connection
    }

    /// Sends bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.expect("the server reads");
    }

    /// Sends bytes to a server that may have closed the connection.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes).await
    }

    /// Closes the sending half.
    pub(crate) async fn end_sending(&mut self) {
        self.0.get_mut().shutdown().await.expect("the connection is open");
    }

    /// Ends the connection with a reset, like a client that was killed.
    pub(crate) fn reset(self) {
        self.0.get_ref().set_zero_linger().expect("the connection is open");
    }

    /// The next line without its end; none at the end of the connection.
    pub(crate) async fn line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        let read = timeout(LINE_DEADLINE, self.0.read_until(b'\n', &mut line)).await;
        let read = read.expect("a line comes in time").unwrap_or(0);
        line.pop_if(|byte| *byte == b'\n');
        (read > 0).then_some(line)
    }

    /// Reads this many bytes, or fewer at the end; returns how many.
    pub(crate) async fn some(&mut self, bytes: u64) -> usize {
        let mut read = Vec::new();
        let reading = timeout(LINE_DEADLINE, (&mut self.0).take(bytes).read_to_end(&mut read)).await;
        reading.expect("the bytes come in time").expect("the connection is open")
    }

    /// All data until the connection ends.
    pub(crate) async fn rest(&mut self, within: Duration) -> String {
        let mut bytes = Vec::new();
        let read = timeout(within, self.0.read_to_end(&mut bytes)).await;
        assert!(read.is_ok(), "not closed within {within:?}: {}", String::from_utf8_lossy(&bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// One whole response: its status line, and its body. The connection can be used again.
    pub(crate) async fn answer(&mut self) -> (String, String) {
        let (mut status, mut length) = (String::new(), 0);
        loop {
            let line = String::from_utf8(self.line().await.expect("an answer")).expect("a head is text");
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if status.is_empty() {
                line.clone_into(&mut status);
            }
            if let Some(bytes) = line.to_lowercase().strip_prefix("content-length:") {
                length = bytes.trim().parse().expect("a number");
            }
        }
        let mut body = vec![0; length];
        let read = timeout(LINE_DEADLINE, self.0.read_exact(&mut body)).await;
        read.expect("a body comes in time").expect("a whole body");
        (status, String::from_utf8(body).expect("a body is text"))
    }

    /// The next event of a stream: its `id:` and its `data:`. Control frames are skipped; none at the end.
    pub(crate) async fn event(&mut self) -> Option<(u64, Vec<u8>)> {
        loop {
            let line = self.line().await?;
            let Some(id) = line.strip_prefix(b"id: ") else { continue };
            let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok()).expect("an id is a number");
            self.line().await?;
            let data = self.line().await?;
            return Some((id, data.strip_prefix(b"data: ").expect("data").to_vec()));
        }
    }
}

/// The bytes of a say: its head with the length of the body, and the body.
pub(crate) fn say_over_the_wire(key: &str, body: &Value) -> (String, String) {
    let body = body.to_string();
    let head = format!(
        "POST /v1/commands/say HTTP/1.1\r\nhost: localhost\r\nidempotency-key: {key}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head, body)
}
