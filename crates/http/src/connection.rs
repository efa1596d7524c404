//! The TCP connection of a client below hyper, with our own rules for clients that are idle, stalled, half-closed or refused.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

use crate::admission::AddressPermit;

/// How long a connection may be idle between two requests. Longer than load balancers keep idle connections (60 s by
/// default in nginx and ALB): otherwise they send a request on a connection that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a client may take to send the head of a request, from its first byte.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take no bytes of what is sent to it.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The same while the kernel has room for what is sent: longer, because that may be a client that works on what it has.
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(120);
/// How long and how much a client may go on sending a body that was refused.
const LINGER_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_LINGER_BYTES: usize = 64 << 20;
/// The interval at which a half-closed connection is checked for a reset.
const RESET_CHECK: Duration = Duration::from_secs(1);

/// What a connection is used for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// Waits for a request.
    Idle,
    /// Receives the head of a request.
    Head,
    /// Receives the body of a request, or sends the response.
    Request,
    /// Sends an event stream.
    Stream,
    /// Is a WebSocket.
    Upgraded,
}

/// The state of a connection, which its requests and responses change.
#[derive(Debug, Default)]
pub(crate) struct ConnectionState {
    phase: AtomicU8,
    /// Whether the body of a request was not read to its end.
    has_unread_body: AtomicBool,
    /// The permit of the stream that is sent.
    stream: Mutex<Option<OwnedSemaphorePermit>>,
}

impl ConnectionState {
    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Request,
            3 => Phase::Stream,
            _ => Phase::Upgraded,
        }
    }

    fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// The head of a request was received.
    pub(crate) fn begin_request(&self) {
        self.set(Phase::Request);
    }

    /// The response is an event stream, or switches to the WebSocket protocol.
    pub(crate) fn begin_stream(&self, is_upgraded: bool, permit: OwnedSemaphorePermit) {
        self.set(if is_upgraded { Phase::Upgraded } else { Phase::Stream });
        *self.stream.lock() = Some(permit);
    }

    /// The response was given to hyper as a whole.
    pub(crate) fn end_response(&self) {
        match self.phase() {
            Phase::Upgraded => return,
            Phase::Stream => *self.stream.lock() = None,
            Phase::Idle | Phase::Head | Phase::Request => {}
        }
        self.set(Phase::Idle);
    }

    /// The rest of a request's body will not be read.
    pub(crate) fn leave_body_unread(&self) {
        self.has_unread_body.store(true, Ordering::Relaxed);
    }

    /// Whether the rest of a request's body will not be read.
    pub(crate) fn has_unread_body(&self) -> bool {
        self.has_unread_body.load(Ordering::Relaxed)
    }
}

/// A timeout that is started by the first wait, and whose timer is used again.
#[derive(Default)]
struct Timeout {
    timer: Option<Pin<Box<Sleep>>>,
    running: Option<Duration>,
}

impl Timeout {
    /// Ready when `duration` is over since the first poll with it.
    fn poll(&mut self, cx: &mut Context<'_>, duration: Duration) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(duration)));
        if self.running != Some(duration) {
            self.running = Some(duration);
            timer.as_mut().reset(Instant::now() + duration);
        }
        timer.as_mut().poll(cx)
    }

    const fn stop(&mut self) {
        self.running = None;
    }

    const fn is_running(&self) -> bool {
        self.running.is_some()
    }
}

/// What a connection holds of the limits of the process until it is closed.
pub(crate) type Permits = (OwnedSemaphorePermit, AddressPermit);

/// A client's connection.
pub(crate) struct ClientConnection {
    tcp: TcpStream,
    _permits: Permits,
    state: Arc<ConnectionState>,
    reading: Timeout,
    writing: Timeout,
    /// Whether the client has closed its sending half during a request.
    is_half_closed: bool,
    /// The bytes that were discarded since the sending half was closed here.
    lingered: Option<usize>,
}

/// Sets the options of a client's socket.
///
/// # Errors
/// The client is gone.
pub(crate) fn configure(tcp: &TcpStream) -> io::Result<()> {
    // Otherwise small responses wait for the client's acknowledgement of earlier ones.
    tcp.set_nodelay(true)?;
    // Little data, such as the heartbeats of a stream, fits into the kernel's buffer for hours: only the kernel knows that the client
    // takes none of it. It tries for a quarter of an hour by default.
    let timeout_ms = u32::try_from(UNACKNOWLEDGED_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(tcp, timeout_ms)?)
}

impl ClientConnection {
    pub(crate) fn new(tcp: TcpStream, permits: Permits, state: Arc<ConnectionState>) -> Self {
        let (reading, writing) = (Timeout::default(), Timeout::default());
        Self { tcp, _permits: permits, state, reading, writing, is_half_closed: false, lingered: None }
    }

    pub(crate) fn state(&self) -> Arc<ConnectionState> {
        Arc::clone(&self.state)
    }

    /// The result of a write; an error if there was no progress for too long.
    fn progress(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            if self.writing.is_running() && self.state.phase() == Phase::Idle {
                // Whoever waits for the next request waits without a timeout until now.
                cx.waker().wake_by_ref();
            }
            self.writing.stop();
            return written;
        }
        ready!(self.writing.poll(cx, WRITE_TIMEOUT));
        // The bytes in the kernel's buffer are discarded with the connection.
        self.tcp.set_zero_linger()?;
        Poll::Ready(Err(timed_out("the client takes no bytes")))
    }

    /// An error if the client is gone while it waits for a response. Who has closed its sending half may wait for a response,
    /// but ends an event stream with it.
    fn check_presence(&mut self, cx: &mut Context<'_>, phase: Phase) -> io::Result<()> {
        if !self.is_half_closed {
            let mut byte = [0];
            match self.tcp.poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
                Poll::Ready(Ok(0)) if phase == Phase::Stream => return Err(gone()),
                Poll::Ready(Ok(0)) => self.is_half_closed = true,
                Poll::Ready(received) => return received.map(drop),
                Poll::Pending => return Ok(()),
            }
        }
        while self.reading.poll(cx, RESET_CHECK).is_ready() {
            self.reading.stop();
            if let Some(error) = self.tcp.take_error()? {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Discards what the client still sends, so that it can read the response: the kernel would drop that with the unread
    /// bytes.
    fn poll_linger(&mut self, cx: &mut Context<'_>, mut discarded: usize) -> Poll<io::Result<()>> {
        let mut buffer = [0; 16 << 10];
        while discarded < MAX_LINGER_BYTES {
            let mut bytes = ReadBuf::new(&mut buffer);
            match Pin::new(&mut self.tcp).poll_read(cx, &mut bytes) {
                Poll::Ready(Ok(())) if !bytes.filled().is_empty() => discarded += bytes.filled().len(),
                Poll::Ready(_) => break,
                Poll::Pending => {
                    self.lingered = Some(discarded);
                    return self.reading.poll(cx, LINGER_TIMEOUT).map(Ok);
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn timed_out(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, message)
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the client has ended its stream")
}

impl AsyncRead for ClientConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let phase = self.state.phase();
        let received = Pin::new(&mut self.tcp).poll_read(cx, buffer);
        if received.is_ready() {
            if phase == Phase::Idle {
                self.reading.stop();
                self.state.set(Phase::Head);
            }
            return received;
        }
        // While a response is still being sent, the timeout of writes applies; bodies have their own.
        let timeout = match phase {
            Phase::Idle if !self.writing.is_running() => IDLE_TIMEOUT,
            Phase::Head => HEAD_TIMEOUT,
            _ => return Poll::Pending,
        };
        ready!(self.reading.poll(cx, timeout));
        Poll::Ready(Err(timed_out("the client sends no request")))
    }
}

impl AsyncWrite for ClientConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.progress(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, parts);
        self.progress(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    /// Nothing is buffered here. hyper calls this whenever it is polled, so that a client that is gone is noticed.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.state.phase() {
            phase @ (Phase::Request | Phase::Stream) => Poll::Ready(self.check_presence(cx, phase)),
            Phase::Idle | Phase::Head | Phase::Upgraded => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let lingered = match self.lingered {
            Some(bytes) => bytes,
            None => {
                ready!(Pin::new(&mut self.tcp).poll_shutdown(cx))?;
                if !self.state.has_unread_body() && self.state.phase() != Phase::Head {
                    return Poll::Ready(Ok(()));
                }
                self.reading.stop();
                0
            }
        };
        self.poll_linger(cx, lingered)
    }
}
