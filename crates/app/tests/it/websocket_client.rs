//! A WebSocket client for tests: frames of the stream, and close codes.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use std::net::SocketAddr;
use std::time::Duration;

use agentcafe_testkit::{Frame, Value};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Deadline of a message, and of the handshake's response.
const DEADLINE: Duration = Duration::from_secs(60);

/// An open WebSocket. It answers pings while it is read.
pub(crate) struct Socket(WebSocketStream<TcpStream>);

/// Why there is no further frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The server closed it, with this code.
    Closed(Option<u16>),
    /// The connection broke.
    Broken,
}

impl Socket {
    /// Opens one. The error is the status of a refusal, or none without a response.
    pub(crate) async fn open(
        address: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Option<u16>> {
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        // A small receive buffer, so that unread data stays on the server.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        let Ok(stream) = socket.connect(address).await else { return Err(None) };
        match timeout(DEADLINE, client_async(request, stream)).await.expect("an answer comes in time") {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(answer)) => Err(Some(answer.status().as_u16())),
            Err(_) => Err(None),
        }
    }

    /// The next message, WebSocket control frames included.
    pub(crate) async fn message(&mut self) -> Result<Message, End> {
        match timeout(DEADLINE, self.0.next()).await.expect("a message comes in time") {
            Some(Ok(Message::Close(frame))) => Err(End::Closed(frame.map(|frame| frame.code.into()))),
            Some(Ok(message)) => Ok(message),
            Some(Err(_)) | None => Err(End::Broken),
        }
    }

    /// The next frame.
    pub(crate) async fn try_next(&mut self) -> Result<Frame, End> {
        loop {
            let Message::Text(text) = self.message().await? else { continue };
            let said: Value = serde_json::from_str(&text).expect("a message is JSON");
            let members = said.as_object().expect("a message is an object");
            assert!(members.keys().all(|name| ["id", "event", "data"].contains(&name.as_str())), "{said}");
            let event = said["event"].as_str().expect("a frame has a name").to_owned();
            return Ok(Frame { id: said["id"].as_u64(), event, data: said["data"].clone() });
        }
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> Frame {
        self.try_next().await.unwrap_or_else(|end| panic!("no frame: {end:?}"))
    }

    /// The next frame that carries an event of the log.
    pub(crate) async fn next_event(&mut self) -> Frame {
        loop {
            let frame = self.next().await;
            if frame.id.is_some() {
                return frame;
            }
        }
    }

    /// How it ends; earlier messages are dropped.
    pub(crate) async fn end(&mut self) -> End {
        loop {
            if let Err(end) = self.message().await {
                return end;
            }
        }
    }

    /// Sends a message, or a control frame.
    pub(crate) async fn send(&mut self, message: Message) {
        self.0.send(message).await.expect("the server reads");
    }

    /// The underlying connection.
    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.0.get_mut()
    }
}
