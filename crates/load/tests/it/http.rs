//! HTTP responses, however the reads of a connection split them.

use std::io::Cursor;

use agentcafe_load::connection::Connection;
use agentcafe_load::http::{Framing, ProtocolError, ResponseHead, parse_head};
use bytes::Bytes;
use futures_util::stream;
use tokio_util::io::StreamReader;

#[test]
fn response_head_framing_follows_whole_header_names_in_any_case() {
    let cases = [
        ("Content-Length: 12", Framing::Length(12)),
        ("content-length:0", Framing::Length(0)),
        ("TRANSFER-ENCODING: Chunked", Framing::Chunked),
        ("x-content-length: 12", Framing::UntilClose),
        ("x: content-length: 12", Framing::UntilClose),
    ];
    for (header, framing) in cases {
        let wire = format!("HTTP/1.1 200 OK\r\na: b\r\n{header}\r\n\r\nbody");
        let head = parse_head(wire.as_bytes()).unwrap().unwrap();
        let closes = framing == Framing::UntilClose;
        let expected =
            ResponseHead { status: 200, length: wire.len() - 4, framing, closes, rate_limit: None };
        assert_eq!(head, expected, "{header}");
    }
}

#[test]
fn response_head_has_connection_reuse_and_rate_limit() {
    let cases = [
        ("HTTP/1.1 429 Slow\r\nX-RateLimit-Limit: 120\r\ncontent-length: 0", false, Some(120)),
        ("HTTP/1.1 200 OK\r\nConnection: Close\r\ncontent-length: 0", true, None),
        ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0", false, None),
        ("HTTP/1.0 200 OK\r\ncontent-length: 0", true, None),
        ("HTTP/1.1 204 Nothing", false, None),
        ("HTTP/1.1 200 OK", true, None),
    ];
    for (wire, closes, rate_limit) in cases {
        let head = parse_head(format!("{wire}\r\n\r\n").as_bytes()).unwrap().unwrap();
        assert_eq!((head.closes, head.rate_limit), (closes, rate_limit), "{wire}");
    }
}

/// The response to a request on a connection whose reads return these pieces; after them, the connection is closed.
async fn response_in(pieces: &[&[u8]]) -> Result<(u16, Vec<u8>), ProtocolError> {
    let pieces: Vec<_> =
        pieces.iter().map(|piece| std::io::Result::Ok(Bytes::copy_from_slice(piece))).collect();
    let reader = StreamReader::new(stream::iter(pieces));
    let mut connection = Connection::new(tokio::io::join(reader, Cursor::new(Vec::new())));
    let response = connection.exchange(b"GET / HTTP/1.1\r\n\r\n").await?;
    Ok((response.status, response.body.to_vec()))
}

async fn check(wire: &str, status: u16, body: &str) {
    let wire = wire.as_bytes();
    let expected = (status, body.as_bytes().to_vec());
    for at in 1..wire.len() {
        let (before, after) = wire.split_at(at);
        assert_eq!(response_in(&[before, after]).await.unwrap(), expected, "split at {at}");
    }
    let bytes: Vec<&[u8]> = wire.chunks(1).collect();
    assert_eq!(response_in(&bytes).await.unwrap(), expected);
}

#[tokio::test]
async fn connection_ignores_how_reads_split_a_response() {
    check(
        "HTTP/1.1 202 Accepted\r\nX-A: content-length: 3\r\nContent-Length: 14\r\n\r\n{\"ok\":true}\r\n\r",
        202,
        "{\"ok\":true}\r\n\r",
    )
    .await;
    check("HTTP/1.1 429 Too Many\r\ncontent-length:0\r\nretry-after: 1\r\n\r\n", 429, "").await;
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(&format!("{chunked}4\r\n{{\"a\"\r\n3\r\n:1}}\r\n0\r\n\r\n"), 200, "{\"a\":1}").await;
    let body = "5\r\nhello\r\n1;name=value\r\n \r\n0C\r\nworld\r\n\r\nend\r\n0\r\nchecksum: 1\r\n\r\n";
    check(&format!("{chunked}{body}"), 200, "hello world\r\n\r\nend").await;
    check("HTTP/1.1 200 OK\r\n\r\nuntil close", 200, "until close").await;
    let long = "x".repeat(80 * 1024);
    let wire = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{long}", long.len());
    let reads: Vec<&[u8]> = wire.as_bytes().chunks(16 * 1024).collect();
    assert_eq!(response_in(&reads).await.unwrap(), (200, long.into_bytes()));
}

#[tokio::test]
async fn connection_refuses_anything_but_one_whole_response() {
    let heads = [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 200",
        "HTTP/1.1 2xx OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\ncut",
    ];
    let endless = "0".repeat(8 * 1024);
    let end = "0\r\n\r\n";
    let chunks = [
        "\r\n",
        "x\r\n",
        "12345678901234567\r\n",
        "2\r\nabc\r\n",
        &endless,
        "3\r\ncut\r\n",
        "0\r\n\r\nHTTP/1.1",
    ];
    let chunked = chunks.map(|body| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}"));
    for wire in heads.into_iter().chain(chunked.iter().map(String::as_str)) {
        assert!(response_in(&[wire.as_bytes()]).await.is_err(), "{wire:?}");
    }
    let whole = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{end}");
    assert!(response_in(&[whole.as_bytes()]).await.is_ok());
}
