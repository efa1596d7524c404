//! Which addresses the client requests, and how frames move the position of a stream; against a server that says anything.

use std::time::Duration;

use agentcafe_client::{
    ApiClient, Backoff, EventStream, Query, ReceivedEvent, RequestError, Start, StreamOptions, StreamUpdate,
};
use agentcafe_domain::kernel::Sequence;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// A server that answers each connection with the next of these bodies, and closes it. The paths that were requested.
async fn serve(bodies: Vec<String>) -> (String, mpsc::UnboundedReceiver<String>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, paths) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for body in bodies {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let length = connection.read(&mut head).await.unwrap();
            let line = String::from_utf8_lossy(&head[..length]).into_owned();
            let _ = sender.send(line.split(' ').nth(1).unwrap().to_owned());
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, paths)
}

#[test]
fn api_address_must_be_http() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cases = [
        ("http://127.0.0.1:3850", Some("http://127.0.0.1:3850")),
        ("http://cafe.example/runtime/?a=b#c", Some("http://cafe.example/runtime")),
        ("https://cafe.example", Some("https://cafe.example")),
        ("https://nova:s3cret@cafe.example:8443/?apiKey=s3cret", Some("https://cafe.example:8443")),
        ("ftp://cafe.example", None),
        ("127.0.0.1:3850", None),
        ("localhost:3850", None),
        ("", None),
    ];
    for (text, want) in cases {
        assert_eq!(ApiClient::new(text, None).ok().as_ref().map(ApiClient::address), want, "{text:?}");
    }
}

/// The address of the API or of its stream may be given; a cursor and a limit in the address are ignored.
#[tokio::test]
async fn api_stream_url_comes_from_either_address() {
    const STREAM: &str = "/v1/streams/market-events";
    const MIRRORED: &str = "/runtime/v1/streams/market-events";
    // The given path; whether another path is the stream's; the paths of the API and of its stream.
    let cases = [
        ("", false, "", STREAM),
        ("", true, "", STREAM),
        ("/", true, "", STREAM),
        (STREAM, false, "", STREAM),
        (STREAM, true, "", STREAM),
        ("/runtime/", false, "/runtime", MIRRORED),
        (MIRRORED, false, "/runtime", MIRRORED),
        ("/runtime/v1/streams/market-events/", true, "/runtime", MIRRORED),
        ("/mirror", true, "", "/mirror"),
    ];
    for (path, is_stream, base_path, stream_path) in cases {
        let (address, mut paths) = serve(vec!["{}".to_owned(), String::new()]).await;
        let given = format!("http://{address}{path}?apiKey=s3cret&limit=5&cursor=9");
        let api =
            if is_stream { ApiClient::from_stream_url(&given, None) } else { ApiClient::new(&given, None) };
        let api = api.unwrap();
        api.get_json("/x", &Query::new()).await.unwrap();
        assert_eq!(paths.recv().await.unwrap().trim_end_matches('?'), format!("{base_path}/x"), "{path:?}");
        EventStream::new(api, StreamOptions::all(Start::Latest)).next().await;
        let want = format!("{stream_path}?apiKey=s3cret&cursor=latest");
        assert_eq!(paths.recv().await.unwrap(), want, "{path:?}");
    }
}

fn event(sequence: u64) -> String {
    format!("id: {sequence}\nevent: agent_entered\ndata: {{}}\n\n")
}

fn control(event: &str, data: &str) -> String {
    format!("event: {event}\ndata: {data}\n\n")
}

fn ready(head: u64) -> String {
    control("ready", &format!(r#"{{"cursor":{head},"head":{head}}}"#))
}

/// A stream that reconnects at once, of a server with these connections.
async fn connect(start: Start, connections: Vec<String>) -> (EventStream, mpsc::UnboundedReceiver<String>) {
    let (address, paths) = serve(connections).await;
    let backoff = Backoff { min: Duration::ZERO, max: Duration::ZERO };
    let options = StreamOptions { backoff, ..StreamOptions::all(start) };
    (EventStream::new(ApiClient::new(&format!("http://{address}"), None).unwrap(), options), paths)
}

/// Whether the server has closed the connection.
fn is_closed(update: &StreamUpdate) -> bool {
    let closed = RequestError::Unreachable("the server closed the connection".to_owned());
    *update == StreamUpdate::Disconnected(closed)
}

/// Each event is taken once, and the next connection continues after it.
#[tokio::test]
async fn stream_position_follows_the_frames() {
    let heartbeat = || control("heartbeat", r#"{"cursor":30,"ts":0}"#);
    let gap = control("gap", r#"{"fromCursor":20,"toCursor":40}"#);
    let error = control("error", r#"{"code":"ERR_UNAVAILABLE","cursor":9}"#);
    let received = StreamUpdate::Events(vec![ReceivedEvent { sequence: Sequence(11), json: "{}".into() }]);
    let ended = RequestError::Unavailable("the server ended the stream: ERR_UNAVAILABLE".to_owned());
    let connected =
        |after, head| StreamUpdate::Connected { after: Sequence(after), head: Sequence(head), log_id: None };
    let skipped = StreamUpdate::Gap { from: Sequence(20), to: Sequence(40), is_damaged: false };
    let ten = Some(10);
    let cases = [
        (None, ready(7), Some(connected(7, 7)), Some(7)),
        (ten, ready(25), Some(connected(10, 25)), ten),
        (ten, ready(7), Some(connected(10, 7)), ten),
        (ten, event(10), None, ten),
        (ten, event(11), Some(received), Some(11)),
        (ten, heartbeat(), Some(StreamUpdate::ScannedTo(Sequence(30))), Some(30)),
        (Some(31), heartbeat(), None, Some(31)),
        (None, heartbeat(), None, None),
        (ten, gap, Some(skipped), Some(40)),
        (ten, error, Some(StreamUpdate::Disconnected(ended)), ten),
        (ten, control("not known yet", "?"), None, ten),
    ];
    for (after, frame, want, want_after) in cases {
        let start = after.map_or(Start::Latest, |after| Start::After(Sequence(after)));
        let connections = vec![frame.clone(), String::new()];
        let (mut stream, mut paths) = connect(start, connections).await;
        let mut updates = Vec::new();
        let mut requested = Vec::new();
        while requested.len() < 2 {
            tokio::select! {
                update = stream.next() => updates.push(update),
                path = paths.recv() => requested.push(path.unwrap()),
            }
        }
        updates.retain(|update| !is_closed(update));
        assert_eq!(updates, Vec::from_iter(want), "{after:?} {frame:?}");
        let path = &requested[1];
        let cursor = want_after.map_or_else(|| "latest".to_owned(), |after| after.to_string());
        assert!(path.ends_with(&format!("?cursor={cursor}")), "{after:?} {frame:?}: {path}");
    }
}

/// The log's id goes back with the cursor. After a `reset` the stream begins anew, in whatever log is there.
#[tokio::test]
async fn stream_begins_anew_after_a_reset() {
    let ready = |cursor: u64, log_id: &str| {
        control("ready", &format!(r#"{{"cursor":{cursor},"head":5,"logId":"{log_id}"}}"#))
    };
    let reset = control("reset", r#"{"head":5,"logId":"b","reason":"other_log"}"#);
    let connections = vec![ready(3, "a") + &event(4), reset, ready(0, "b"), String::new()];
    let (mut stream, mut paths) = connect(Start::After(Sequence(3)), connections).await;
    let mut updates = Vec::new();
    while updates.len() < 4 {
        updates.extend(Some(stream.next().await).filter(|update| !is_closed(update)));
    }
    let (head, log_id) = (Sequence(5), |id: &str| Some(id.to_owned()));
    let connected = |after, id| StreamUpdate::Connected { after: Sequence(after), head, log_id: log_id(id) };
    let received = StreamUpdate::Events(vec![ReceivedEvent { sequence: Sequence(4), json: "{}".into() }]);
    let replaced = StreamUpdate::LogReplaced { head, log_id: log_id("b") };
    assert_eq!(updates, [connected(3, "a"), received, replaced, connected(0, "b")]);
    for want in ["?cursor=3", "?cursor=4&logId=a", "?cursor=0", "?cursor=0&logId=b"] {
        let path = tokio::select! {
            path = paths.recv() => path.unwrap(),
            _ = async { loop { stream.next().await; } } => unreachable!(),
        };
        assert!(path.ends_with(want), "{want}: {path}");
    }
}
