//! What a client sends over a WebSocket, as far as it matters: signs of life, and the end.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadHalf};

use crate::frames::CloseCode;

/// The largest frame that is passed over, in bytes.
const MAX_FRAME_BYTES: u64 = 64 << 10;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 1 << 10;
const MAX_CONTROL_BYTES: u64 = 125;
const IS_FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const IS_MASKED: u8 = 0x80;

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Is anybody there?
    Ping(Bytes),
    /// Something that needs no answer.
    Something,
    /// The client closes, for this reason.
    Close(u16),
    /// The connection is gone.
    Gone,
    /// The client does not keep to the rules.
    Violation(CloseCode),
}

/// Reads frames. What was read of one stays when reading is given up in between.
pub(super) struct Reader<R> {
    socket: ReadHalf<R>,
    buffer: BytesMut,
    /// How much of a message's frame is still to be passed over.
    passing: u64,
    /// Whether a message is under way of which more frames come.
    is_continued: bool,
}

struct Head {
    is_final: bool,
    opcode: u8,
    mask: [u8; 4],
    bytes: usize,
    length: u64,
}

impl<R: AsyncRead> Reader<R> {
    pub(super) fn new(socket: ReadHalf<R>) -> Self {
        Self { socket, buffer: BytesMut::new(), passing: 0, is_continued: false }
    }

    /// Waits for what the client says next.
    pub(super) async fn next(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.take() {
                return heard;
            }
            self.buffer.reserve(READ_BYTES);
            match self.socket.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Heard::Gone,
                Ok(_) => {}
            }
        }
    }

    /// Waits until the client has closed, whatever else it says.
    pub(super) async fn closed(&mut self) {
        while !matches!(self.next().await, Heard::Close(_) | Heard::Gone | Heard::Violation(_)) {}
    }

    /// Takes a frame from what was read; none if it is not whole yet.
    fn take(&mut self) -> Option<Heard> {
        let passed = self.passing.min(self.buffer.len() as u64);
        self.buffer.advance(usize::try_from(passed).ok()?);
        self.passing -= passed;
        if self.passing > 0 {
            return None;
        }
        let head = match Head::of(&self.buffer)? {
            Ok(head) => head,
            Err(close) => return Some(Heard::Violation(close)),
        };
        if head.opcode < 0x8 {
            return Some(self.message(&head));
        }
        let length = usize::try_from(head.length).ok()?;
        if self.buffer.len() < head.bytes + length {
            return None;
        }
        self.buffer.advance(head.bytes);
        let mut payload = self.buffer.split_to(length);
        payload.iter_mut().zip(head.mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        Some(match head.opcode {
            0x8 => close(&payload),
            0x9 => Heard::Ping(payload.freeze()),
            0xa => Heard::Something,
            _ => Heard::Violation(CloseCode::ProtocolError),
        })
    }

    /// Passes over a frame of a message.
    fn message(&mut self, head: &Head) -> Heard {
        let continues = head.opcode == 0;
        if head.opcode > 2 || continues != self.is_continued {
            return Heard::Violation(CloseCode::ProtocolError);
        }
        if head.length > MAX_FRAME_BYTES {
            return Heard::Violation(CloseCode::TooBig);
        }
        self.is_continued = !head.is_final;
        self.buffer.advance(head.bytes);
        self.passing = head.length;
        Heard::Something
    }
}

impl Head {
    /// What stands before a frame's payload; none if it is not whole yet.
    fn of(bytes: &[u8]) -> Option<Result<Self, CloseCode>> {
        let [first, second, ..] = *bytes else { return None };
        let (is_final, opcode, short) = (first & IS_FINAL != 0, first & 0x0f, u64::from(second & !IS_MASKED));
        let is_control = opcode >= 0x8;
        if first & RESERVED != 0
            || second & IS_MASKED == 0
            || is_control && (!is_final || short > MAX_CONTROL_BYTES)
        {
            return Some(Err(CloseCode::ProtocolError));
        }
        let (length, at) = match short {
            126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
            short => (short, 2),
        };
        let mask = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(Ok(Self { is_final, opcode, mask, bytes: at + 4, length }))
    }
}

/// What a close frame says: its code, if it may be sent (RFC 6455, 7.4).
fn close(payload: &[u8]) -> Heard {
    match *payload {
        [] => Heard::Close(CloseCode::Normal as u16),
        [high, low, ..] => match u16::from_be_bytes([high, low]) {
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Heard::Close(code),
            _ => Heard::Violation(CloseCode::ProtocolError),
        },
        _ => Heard::Violation(CloseCode::ProtocolError),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex, split};

    use super::*;

    /// A client's frame, masked.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [7, 1, 200, 90];
        let mut bytes = vec![first];
        match payload.len() {
            short @ 0..=125 => bytes.push(0x80 | short as u8),
            medium @ 126..=0xffff => {
                bytes.push(0x80 | 126);
                bytes.extend((medium as u16).to_be_bytes());
            }
            long => {
                bytes.push(0x80 | 127);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        bytes.extend(mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    async fn heard(bytes: Vec<u8>, cut: usize) -> Vec<Heard> {
        let (ours, mut theirs) = duplex(1 << 20);
        let mut reader = Reader::new(split(ours).0);
        let sending = tokio::spawn(async move {
            for part in bytes.chunks(cut) {
                theirs.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut all = Vec::new();
        loop {
            match reader.next().await {
                Heard::Gone => break,
                Heard::Something => {}
                heard => all.push(heard),
            }
            if matches!(all.last(), Some(Heard::Violation(_) | Heard::Close(_))) {
                break;
            }
        }
        sending.await.unwrap();
        all
    }

    /// RFC 6455, 5: what is heard of well-formed frames, and which are none, wherever the network cuts them.
    #[tokio::test]
    async fn frames_are_heard_however_they_are_cut() {
        use Heard::{Ping, Violation};
        let violation = || vec![Violation(CloseCode::ProtocolError)];
        let cases: Vec<(Vec<u8>, Vec<Heard>)> = vec![
            (frame(0x89, b"there?"), vec![Ping(Bytes::from_static(b"there?"))]),
            (frame(0x8a, b""), vec![]),
            ([frame(0x81, &[b'x'; 300]), frame(0x89, b"a")].concat(), vec![Ping(Bytes::from_static(b"a"))]),
            ([frame(0x82, &[b'x'; 65_536]), frame(0x88, &[])].concat(), vec![Heard::Close(1000)]),
            (
                [frame(0x01, b"one"), frame(0x89, b"p"), frame(0x80, b"two"), frame(0x88, &[0x03, 0xe9])]
                    .concat(),
                vec![Ping(Bytes::from_static(b"p")), Heard::Close(1001)],
            ),
            (frame(0x81, &[b'x'; 65_537]), vec![Violation(CloseCode::TooBig)]),
            (frame(0x80, b"continues nothing"), violation()),
            ([frame(0x01, b"one"), frame(0x81, b"two")].concat(), violation()),
            (frame(0xc1, b"reserved"), violation()),
            (frame(0x83, b"unknown"), violation()),
            (frame(0x8b, b"unknown"), violation()),
            (frame(0x09, b"in parts"), violation()),
            (frame(0x89, &[b'x'; 126]), violation()),
            (frame(0x88, &[3]), violation()),
            (frame(0x88, &[0x03, 0xed]), violation()),
            (vec![0x81, 1, b'x'], violation()),
        ];
        for (bytes, want) in cases {
            for cut in [1, 3, 1_000, 100_000] {
                assert_eq!(
                    heard(bytes.clone(), cut).await,
                    want,
                    "{:?} cut at {cut}",
                    &bytes[..4.min(bytes.len())]
                );
            }
        }
    }
}
