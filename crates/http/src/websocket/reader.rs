//! Reads the frames that a client sends over a WebSocket, as far as the connection needs them: pings, closes, signs of life.

use std::io::Cursor;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadHalf};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::frames::CloseCode;

/// The largest data frame that is accepted, in bytes. Its payload is discarded.
const MAX_FRAME_BYTES: usize = 64 << 10;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 1 << 10;
/// The largest payload of a control frame, in bytes (RFC 6455, 5.5).
const MAX_CONTROL_BYTES: usize = 125;

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A ping, to be answered with its payload.
    Ping(Bytes),
    /// A frame that needs no reply.
    NoReplyNeeded,
    /// A close, with its status code.
    Close(u16),
    /// The end of the connection.
    Disconnected,
    /// Something that the protocol or a limit forbids.
    Violation(CloseCode),
}

/// Reads frames. Reading can be cancelled at any time: the bytes of an incomplete frame are kept.
pub(super) struct FrameReader<R> {
    socket: ReadHalf<R>,
    buffer: BytesMut,
    /// How many payload bytes of a data frame are still to be discarded.
    discarding: usize,
    /// Whether the last data frame was not the final one of its message.
    is_continued: bool,
}

impl<R: AsyncRead> FrameReader<R> {
    pub(super) fn new(socket: ReadHalf<R>) -> Self {
        Self { socket, buffer: BytesMut::new(), discarding: 0, is_continued: false }
    }

    /// Waits for the next frame.
    pub(super) async fn next(&mut self) -> Received {
        loop {
            match self.take() {
                Ok(Some(received)) => return received,
                Ok(None) => {}
                Err(violation) => return Received::Violation(violation),
            }
            self.buffer.reserve(READ_BYTES);
            match self.socket.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Received::Disconnected,
                Ok(_) => {}
            }
        }
    }

    /// Waits until the client has closed the connection.
    pub(super) async fn closed(&mut self) {
        use Received::{Close, Disconnected, Violation};
        while !matches!(self.next().await, Close(_) | Disconnected | Violation(_)) {}
    }

    /// Takes a frame from the buffer; none if it is incomplete.
    fn take(&mut self) -> Result<Option<Received>, CloseCode> {
        let discarded = self.discarding.min(self.buffer.len());
        self.buffer.advance(discarded);
        self.discarding -= discarded;
        if self.discarding > 0 {
            return Ok(None);
        }
        let mut cursor = Cursor::new(&self.buffer[..]);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| CloseCode::ProtocolError)?;
        let Some((header, length)) = parsed else { return Ok(None) };
        let sizes =
            usize::try_from(cursor.position()).and_then(|header| Ok((header, usize::try_from(length)?)));
        let (header_bytes, length) = sizes.map_err(|_| CloseCode::TooBig)?;
        let Some(mask) = header.mask.filter(|_| !(header.rsv1 || header.rsv2 || header.rsv3)) else {
            return Err(CloseCode::ProtocolError);
        };
        match header.opcode {
            OpCode::Data(kind) => self.discard(kind, header.is_final, header_bytes, length).map(Some),
            OpCode::Control(_) if !header.is_final || length > MAX_CONTROL_BYTES => {
                Err(CloseCode::ProtocolError)
            }
            OpCode::Control(kind) => {
                if self.buffer.len() < header_bytes + length {
                    return Ok(None);
                }
                self.buffer.advance(header_bytes);
                let mut payload = self.buffer.split_to(length);
                payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
                match kind {
                    Control::Close => close_code(&payload).map(|code| Some(Received::Close(code))),
                    Control::Ping => Ok(Some(Received::Ping(payload.freeze()))),
                    Control::Pong | Control::Reserved(_) => Ok(Some(Received::NoReplyNeeded)),
                }
            }
        }
    }

    /// Discards a data frame, as it comes in.
    fn discard(
        &mut self,
        kind: Data,
        is_final: bool,
        header_bytes: usize,
        length: usize,
    ) -> Result<Received, CloseCode> {
        if (kind == Data::Continue) != self.is_continued {
            return Err(CloseCode::ProtocolError);
        }
        if length > MAX_FRAME_BYTES {
            return Err(CloseCode::TooBig);
        }
        self.is_continued = !is_final;
        self.buffer.advance(header_bytes);
        self.discarding = length;
        Ok(Received::NoReplyNeeded)
    }
}

/// The status code in a close frame, if a client may send it (RFC 6455, 7.4).
fn close_code(payload: &[u8]) -> Result<u16, CloseCode> {
    match *payload {
        [] => Ok(CloseCode::Normal as u16),
        [high, low, ..] => match u16::from_be_bytes([high, low]) {
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Ok(code),
            _ => Err(CloseCode::ProtocolError),
        },
        _ => Err(CloseCode::ProtocolError),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex, split};
    use tungstenite::protocol::frame::Frame;

    use super::*;

    const TEXT: OpCode = OpCode::Data(Data::Text);
    const CONTINUATION: OpCode = OpCode::Data(Data::Continue);
    const PING: OpCode = OpCode::Control(Control::Ping);
    const CLOSE: OpCode = OpCode::Control(Control::Close);

    /// A client's frame, masked.
    fn frame(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
        let mask = Some([7, 1, 200, 90]);
        let header = FrameHeader { opcode, is_final, mask, ..FrameHeader::default() };
        let mut bytes = Vec::new();
        Frame::from_payload(header, payload.to_vec().into()).format(&mut bytes).unwrap();
        bytes
    }

    /// A frame with another first byte than tungstenite would send.
    fn forged(first: u8) -> Vec<u8> {
        let mut bytes = frame(TEXT, true, b"forged");
        bytes[0] = first;
        bytes
    }

    /// What is received of these bytes, apart from what needs no reply, until the connection ends.
    async fn received(bytes: Vec<u8>, cut: usize) -> Vec<Received> {
        let (ours, mut theirs) = duplex(1 << 20);
        let mut reader = FrameReader::new(split(ours).0);
        let sending = tokio::spawn(async move {
            for part in bytes.chunks(cut) {
                theirs.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut all = Vec::new();
        loop {
            match reader.next().await {
                Received::Disconnected => break,
                Received::NoReplyNeeded => {}
                other => all.push(other),
            }
            if matches!(all.last(), Some(Received::Violation(_) | Received::Close(_))) {
                break;
            }
        }
        sending.await.unwrap();
        all
    }

    /// RFC 6455, 5: valid frames, and violations, wherever the network cuts them.
    #[tokio::test]
    async fn frame_reader_reads_frames_wherever_they_are_cut() {
        use Received::{Close, Ping, Violation};
        let violation = || vec![Violation(CloseCode::ProtocolError)];
        let pong = OpCode::Control(Control::Pong);
        let cases: Vec<(Vec<u8>, Vec<Received>)> = vec![
            (frame(PING, true, b"there?"), vec![Ping(Bytes::from_static(b"there?"))]),
            (frame(pong, true, b""), vec![]),
            ([frame(TEXT, true, &[b'x'; 300]), frame(PING, true, b"a")].concat(), vec![Ping("a".into())]),
            ([frame(TEXT, true, &[b'x'; 65_536]), frame(CLOSE, true, &[])].concat(), vec![Close(1000)]),
            (
                [
                    frame(TEXT, false, b"one"),
                    frame(PING, true, b"p"),
                    frame(CONTINUATION, true, b"two"),
                    frame(CLOSE, true, &[0x03, 0xe9]),
                ]
                .concat(),
                vec![Ping("p".into()), Close(1001)],
            ),
            (frame(TEXT, true, &[b'x'; 65_537]), vec![Violation(CloseCode::TooBig)]),
            (frame(CONTINUATION, true, b"of nothing"), violation()),
            ([frame(TEXT, false, b"one"), frame(TEXT, true, b"two")].concat(), violation()),
            (forged(0xc1), violation()),
            (forged(0x83), violation()),
            (forged(0x8b), violation()),
            (frame(PING, false, b"in parts"), violation()),
            (frame(PING, true, &[b'x'; 126]), violation()),
            (frame(CLOSE, true, &[3]), violation()),
            (frame(CLOSE, true, &[0x03, 0xed]), violation()),
            (vec![0x81, 1, b'x'], violation()),
        ];
        for (bytes, want) in cases {
            for cut in [1, 3, 1_000, 100_000] {
                let start = &bytes[..4.min(bytes.len())];
                assert_eq!(received(bytes.clone(), cut).await, want, "{start:?} cut at {cut}");
            }
        }
    }
}
