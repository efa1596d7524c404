//! A page in a real browser: of another origin or a rebound name it reaches nothing, of an allowed origin everything.

use std::sync::Arc;
use std::time::Duration;

use agentcafe_testkit::{
    Browser, Client, Reaction, Receiver, SHARED_TOKEN, Server, Value, eventually, json, steady_port,
};
use tokio::sync::Notify;

use crate::tcp_proxy::TcpProxy;
use crate::{launch, log, say};

const PAGE: &str = "/page";
/// Within which a page reports, on a busy machine.
const REPORT: Duration = Duration::from_secs(60);

/// A web server with the page (`browser/page.html`), which receives its reports.
struct Website(Receiver);

impl Website {
    async fn start() -> Self {
        let website = Receiver::start().await;
        // The next request to the same host and port needs a new connection, so it may reach another server.
        website.always(PAGE, Reaction::page(include_str!("browser/page.html")).header("connection", "close"));
        Self(website)
    }

    /// Its origin by its address.
    fn origin(&self) -> String {
        self.0.url("")
    }

    /// Opens the page of this origin in a browser, with what it visits.
    fn open(&self, origin: &str, mut visit: Value) -> Browser {
        visit["reports"] = self.0.url("").into();
        Browser::open(&format!("{origin}{PAGE}#{visit}"))
    }

    /// The last report under a name.
    fn last(&self, name: &str) -> Option<Value> {
        let received = self.0.received(&format!("/{name}"));
        serde_json::from_slice(&received.last()?.body).ok()
    }

    /// The first report under a name.
    async fn report(&self, name: &str) -> Value {
        eventually(name, REPORT, async || self.last(name)).await
    }

    /// Waits until a report under a name has the ids of all messages of the log: each once, in order.
    async fn heard_all(&self, name: &str, client: &Client) {
        let events = log(client).await;
        let messages = events.iter().filter(|event| event["type"] == "conversation_message_posted");
        let ids: Value = messages.map(|event| event["sequence"].clone()).collect();
        let last = |heard: &Value| heard.as_array()?.last().cloned();
        let what = format!("{name}: {ids}");
        let heard = eventually(&what, REPORT, async || {
            // Reports may overtake each other.
            let reports = self.0.received(&format!("/{name}"));
            let reports =
                reports.iter().filter_map(|report| serde_json::from_slice::<Value>(&report.body).ok());
            reports
                .max_by_key(|heard| heard.as_array().map(Vec::len))
                .filter(|heard| last(heard) == last(&ids))
        });
        assert_eq!(heard.await, ids, "{name}");
    }
}

/// Nobody was there, and nothing happened.
async fn assert_untouched(client: &Client) {
    assert_eq!(log(client).await, Vec::<Value>::new());
    assert_eq!(client.get("/v1/presence?roomId=main").await.data()["presence"], json!([]));
}

/// Kind: a browser sends what any page says, and only withholds the responses. Neither `fetch`, with a preflight request and
/// without, nor an image, an `EventSource` or a WebSocket has an effect or shows anything. With a token required it makes no
/// difference that the page has one. `localhost` and `127.0.0.1` are different sites, two ports of one are the same site.
#[tokio::test]
async fn browser_page_of_another_origin_reads_and_writes_nothing() {
    let (open, closed) = tokio::join!(launch().start(), launch().with_shared_token().start());
    let closed_client = closed.client().with_token(SHARED_TOKEN);
    let key = closed_client.make_key(json!({ "kind": "agent", "actors": ["Page"] })).await;
    let cross_site = |server: &Server| format!("http://localhost:{}", server.address().port());
    for visit in [
        json!({ "cafe": open.url() }),
        json!({ "cafe": cross_site(&open) }),
        json!({ "cafe": closed.url(), "token": key.token }),
    ] {
        let website = Website::start().await;
        let _browser = website.open(&website.origin(), visit.clone());
        let refused = json!({
            "get": "TypeError", "json": "TypeError", "text": "TypeError",
            "image": "refused", "eventSource": "refused", "webSocket": "refused",
        });
        assert_eq!(website.report("attempts").await, refused, "{visit}");
    }
    assert_untouched(&open.client()).await;
    assert_untouched(&closed_client).await;
}

/// Kind: DNS rebinding. The page comes from `evil.example`, whose name then leads to the café: the browser takes it for the page's
/// own server, sends everything, and shows the responses.
#[tokio::test]
async fn browser_page_of_a_rebound_name_reads_and_writes_nothing() {
    let (server, website) = (launch().start().await, Website::start().await);
    let rebound = Arc::new(Notify::new());
    website.0.always("/loaded", Reaction::status(204).held(&rebound));
    let proxy = TcpProxy::to(website.0.address()).await;
    let origin = format!("http://evil.example:{}", proxy.address().port());
    let _browser = website.open(&origin, json!({ "cafe": origin, "waits": true }));
    website.report("loaded").await;
    proxy.turn_to(server.address());
    rebound.notify_one();
    let refused = json!({
        "get": 403, "json": 403, "text": 403,
        "image": "refused", "eventSource": "refused", "webSocket": "refused",
    });
    assert_eq!(website.report("attempts").await, refused);
    assert_untouched(&server.client()).await;
}

/// A page of an allowed origin writes, reads and follows a room with an `EventSource` and with WebSockets, from before to after
/// `kill -9` of the server: each message comes once, in order.
async fn assert_page_resumes(has_key: bool) {
    let website = Website::start().await;
    let allowed = launch().env("API_PORT", steady_port()).env("API_ALLOWED_ORIGINS", website.origin());
    let mut server = if has_key { allowed.with_shared_token() } else { allowed }.start().await;
    let client = |server: &Server| server.client().with_token(SHARED_TOKEN);
    let mut visit = json!({ "cafe": server.url(), "follows": ["eventSource", "webSocket"] });
    if has_key {
        let body = json!({ "kind": "agent", "actors": ["Page"], "rooms": ["main"] });
        visit["token"] = client(&server).make_key(body).await.token.into();
    }
    let _browser = website.open(&website.origin(), visit);
    let written = website.report("written").await;
    assert_eq!(
        (&written["status"], &written["read"][0]),
        (&json!(202), &json!("conversation_message_posted")),
        "{written}"
    );
    for text in ["before", "after"] {
        let _ = say(&client(&server), "Nova", text).await.data();
        website.heard_all("event-source", &client(&server)).await;
        website.heard_all("web-socket", &client(&server)).await;
        if text == "before" {
            server.restart().await;
        }
    }
    let opened = website.0.received("/new-event-source").len();
    assert!(if has_key { opened > 1 } else { opened == 1 }, "{opened}");
}

/// The `EventSource` resumes by itself.
#[tokio::test]
async fn browser_page_of_an_allowed_origin_reads_writes_streams_and_resumes() {
    assert_page_resumes(false).await;
}

/// It sends its key in a header, and opens streams with tickets, a new one for each connection.
#[tokio::test]
async fn browser_page_with_a_key_reads_writes_streams_and_resumes() {
    assert_page_resumes(true).await;
}

/// Kind: by the standard of `EventSource`, any status but 200 ends it for good. So it gets a temporary error as an event, comes
/// back by itself, and misses nothing.
#[tokio::test]
async fn browser_event_source_outlives_temporary_errors() {
    let website = Website::start().await;
    let limited = launch().env("API_STREAM_MAX_CLIENTS", 1).env("API_ALLOWED_ORIGINS", website.origin());
    let server = limited.start().await;
    let client = server.client();
    let occupied = client.clone().at(server.address()).stream("/v1/streams/market-events").await;
    let visit = json!({ "cafe": server.url(), "follows": ["eventSource"] });
    let _browser = website.open(&website.origin(), visit);
    assert_eq!(website.report("error").await["code"], "ERR_UNAVAILABLE");
    let _ = say(&client, "Nova", "meanwhile").await.data();
    drop(occupied);
    website.heard_all("event-source", &client).await;
    assert_eq!(website.0.received("/new-event-source").len(), 1);
}
