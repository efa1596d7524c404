//! The parser of server-sent events: the same frames wherever the bytes are cut, and bounded memory.

use agentcafe_client::{MAX_FRAME_BYTES, SseError, SseFrame, SseParser};

type Frame = (Option<u64>, String, String);

fn frames<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> Result<Vec<Frame>, SseError> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (mut parser, mut frames) = (SseParser::default(), Vec::new());
    for mut chunk in chunks {
        while let Some(SseFrame { id, event, data }) = parser.next_frame(&mut chunk)? {
            frames.push((id, text(event), text(data)));
        }
    }
    Ok(frames)
}

#[test]
fn sse_frames_are_the_same_however_the_bytes_are_cut() {
    let frame = |id, event: &str, data: &str| (id, event.to_owned(), data.to_owned());
    let cases = [
        (
            "id: 7\nevent: order_changed\ndata: {\"a\":\"id: 9\"}\n\n",
            vec![frame(Some(7), "order_changed", "{\"a\":\"id: 9\"}")],
        ),
        ("event: ready\r\ndata: {}\r\n\r\n", vec![frame(None, "ready", "{}")]),
        (": comment\n\nretry: 5\n\n\n", vec![]),
        ("data: one\ndata: two ☕\ndata\ndata: 3\n\n", vec![frame(None, "", "one\ntwo ☕\n3")]),
        (
            "id:1\ndata:a\n\n: ping\n\nid:2\ndata:b\ndata:c\n\nid:3\ndata: d\n\n",
            vec![frame(Some(1), "", "a"), frame(Some(2), "", "b\nc"), frame(Some(3), "", "d")],
        ),
        ("id: 9\ndata: never completed\n", vec![]),
    ];
    for (bytes, want) in cases {
        let bytes = bytes.as_bytes();
        for size in 1..=bytes.len() {
            assert_eq!(frames(bytes.chunks(size)).unwrap(), want, "{bytes:?} in chunks of {size}");
            let (before, after) = bytes.split_at(size);
            assert_eq!(frames([before, after]).unwrap(), want, "{bytes:?} cut at {size}");
        }
    }
}

#[test]
fn sse_frame_that_arrives_whole_is_not_copied() {
    let bytes = b"id: 1\ndata: abc\n\n".as_slice();
    let mut rest = bytes;
    let mut parser = SseParser::default();
    let frame = parser.next_frame(&mut rest).unwrap().unwrap();
    assert!(bytes.as_ptr_range().contains(&frame.data.as_ptr()));
}

#[test]
fn sse_id_that_is_not_a_sequence_is_an_error() {
    assert_eq!(frames([b"id: six\n\n".as_slice()]), Err(SseError::InvalidId));
}

#[test]
fn sse_frame_without_an_end_is_given_up() {
    for part in ["data: no end".repeat(1_000), format!("data: {}\n", "line".repeat(1_000))] {
        let chunks = std::iter::repeat_n(part.as_bytes(), MAX_FRAME_BYTES / part.len() + 2);
        assert_eq!(frames(chunks), Err(SseError::FrameTooLong));
    }
    let pings = ": ping\n\n".repeat(10_000) + ": pi";
    let pings = std::iter::repeat_n(pings.as_bytes(), MAX_FRAME_BYTES / pings.len() + 2);
    assert_eq!(frames(pings), Ok(Vec::new()), "comments are not kept");
}
