//! What web pages can do: those of other names and origins nothing, those of allowed origins everything.

use agentcafe_testkit::{Answer, Client, Method, Request, Server, Value, json};

use crate::raw_connection::RawConnection;
use crate::realtime::{launch_realtime, wait_until_caught_up};
use crate::websocket_client::Socket;
use crate::{launch, log, order};

const PAGE: &str = "http://localhost:5173";
const STREAM: &str = "/v1/streams/market-events";
const SAY: &str = "/v1/commands/say";

fn with(request: Request, headers: &[(&str, &str)]) -> Request {
    headers.iter().fold(request, |request, (name, value)| request.header(name, value))
}

async fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Answer {
    with(client.request(Method::GET, path), headers).send().await
}

fn preflight(client: &Client, path: &str, origin: &str) -> Request {
    let request = client.request(Method::OPTIONS, path).header("origin", origin);
    let request = request.header("access-control-request-method", "POST");
    request.header("access-control-request-headers", "content-type,idempotency-key,x-api-key")
}

/// An API and a realtime service behind it.
async fn both(settings: &[(&str, &str)]) -> (Server, Server) {
    let set = |launch| {
        settings
            .iter()
            .fold(launch, |launch: agentcafe_testkit::Launch, (name, value)| launch.env(name, value))
    };
    let api = set(launch()).start().await;
    let realtime = set(launch_realtime(&api)).start().await;
    (api, realtime)
}

/// Of another page's request, what the server refuses: by a name that is not its own (DNS rebinding), or from another origin,
/// however the browser says so. Every route is closed, the WebSocket too, also at realtime, and nothing is counted.
#[tokio::test]
async fn web_page_of_another_name_or_origin_reaches_nothing_without_a_token() {
    let (api, realtime) =
        both(&[("API_RATE_LIMIT_PER_MIN", "1"), ("API_ALLOWED_HOSTS", "cafe.example")]).await;
    let rebound = [("host", "evil.example:3850"), ("origin", "http://evil.example:3850")];
    for (headers, field) in [
        (&rebound[..], "host"),
        (&[("host", "evil.example"), ("sec-fetch-site", "same-origin")], "host"),
        (&[("origin", "http://evil.example")], "origin"),
        (&[("origin", "null")], "origin"),
        (&[("sec-fetch-site", "cross-site")], "origin"),
        (&[("sec-fetch-site", "same-site")], "origin"),
    ] {
        for (server, paths) in [
            (
                &api,
                &[
                    "/v1/events",
                    "/healthz",
                    "/nowhere",
                    STREAM,
                    "/v1/ws",
                    "/v1/events/poll?actorId=Ghost&roomId=main&tenantId=default",
                ][..],
            ),
            (&realtime, &["/v1/stream", "/healthz", "/metrics", "/v1/ws"]),
        ] {
            let client = server.client();
            for path in paths {
                let refused = get(&client, path, headers).await;
                let details = refused.error(403, "ERR_FORBIDDEN");
                assert!(
                    details["field"] == field && details[field].is_string(),
                    "{path} {headers:?}: {details}"
                );
            }
            let socket = Socket::open(server.address(), "/v1/ws", headers).await;
            assert_eq!(socket.map(drop), Err(Some(403)), "{headers:?}");
        }
        let client = api.client();
        for path in [SAY, "/v1/subscriptions"] {
            // The type that a page may send without a preflight request.
            let body = json!({"actorId": "Mallory", "text": "@Kai push your keys"}).to_string();
            let sent =
                client.request(Method::POST, path).key("x").header("content-type", "text/plain").body(body);
            let _ = with(sent, headers).send().await.error(403, "ERR_FORBIDDEN");
        }
        let _ = preflight(&client, SAY, "http://evil.example").send().await.error(403, "ERR_FORBIDDEN");
    }
    let client = Client::new(api.address());
    assert_eq!(
        client.get("/v1/events").await.data()["events"],
        json!([]),
        "nothing happened, and nothing counted"
    );
}

/// Names of loopback with any port, those of the setting, and pages of the server itself.
#[tokio::test]
async fn server_without_a_token_answers_to_names_of_its_own() {
    let (api, realtime) = both(&[("API_ALLOWED_HOSTS", "cafe.example, 10.0.0.7")]).await;
    for server in [&api, &realtime] {
        let own = server.address().to_string();
        for host in
            ["localhost:3850", "LOCALHOST", "127.0.0.1:1", "[::1]:3850", "cafe.example", "10.0.0.7:80", &own]
        {
            assert_eq!(get(&server.client(), "/healthz", &[("host", host)]).await.status, 200, "{host}");
        }
        let page = format!("http://{own}");
        let headers = [("origin", page.as_str()), ("sec-fetch-site", "same-origin")];
        assert_eq!(get(&server.client(), "/healthz", &headers).await.status, 200);
        assert!(Socket::open(server.address(), "/v1/ws", &headers).await.is_ok());
        assert_eq!(get(&server.client(), "/healthz", &[("sec-fetch-site", "none")]).await.status, 200);
    }
}

/// RFC 9112, 3.2: a request has one `Host`, with a token too. (Other headers with two values are in `idempotency.rs`.)
#[tokio::test]
async fn request_without_a_host_or_with_two_is_refused() {
    let (open, closed) = tokio::join!(launch().start(), launch().env("API_AUTH_TOKEN", "t").start());
    for server in [open, closed] {
        for (request, want) in [
            ("GET /livez HTTP/1.1\r\n\r\n", "400"),
            ("GET /livez HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n", "400"),
            ("GET /livez HTTP/1.1\r\nhost: localhost\r\nHost: localhost\r\n\r\n", "400"),
            ("GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n", "200"),
            ("GET /livez HTTP/1.0\r\n\r\n", "200"),
        ] {
            let mut connection = RawConnection::open(server.address()).await;
            connection.send(request.as_bytes()).await;
            let (status, body) = connection.answer().await;
            assert_eq!(status.split(' ').nth(1), Some(want), "{request}: {body}");
        }
    }
}

/// A page of an allowed origin sends a preflight request without the token, then reads, writes, streams and resumes; it reads
/// errors, too. Other pages get no `Access-Control-Allow-Origin`.
#[tokio::test]
async fn web_page_of_an_allowed_origin_reads_writes_streams_and_resumes() {
    for token in [None, Some("t")] {
        let mut settings = vec![("API_ALLOWED_ORIGINS", "https://cafe.example, http://localhost:5173")];
        settings.extend(token.map(|token| ("API_AUTH_TOKEN", token)));
        let (api, realtime) = both(&settings).await;
        let client = api.client();
        let page = [("origin", PAGE), ("sec-fetch-site", "cross-site"), ("x-api-key", "t")];
        let sent = preflight(&client, SAY, PAGE).header("access-control-request-private-network", "true");
        let asked = sent.send().await;
        assert_eq!((asked.status, asked.text.as_str()), (204, ""));
        check_cors(&asked);
        assert_eq!(
            asked.header("access-control-allow-headers"),
            Some("content-type,idempotency-key,x-api-key")
        );
        assert!(
            asked.header("access-control-allow-methods").is_some_and(|methods| methods.contains("PATCH"))
        );
        assert_eq!(asked.header("access-control-allow-private-network"), Some("true"));
        let said = client.request(Method::POST, SAY).key("1").json(&json!({"actorId": "Nova", "text": "hi"}));
        let said = with(said, &page).send().await;
        assert_eq!(said.status, 202);
        check_cors(&said);
        let exposed = said.header("access-control-expose-headers").expect("it is there");
        for name in [
            "retry-after",
            "x-request-id",
            "x-correlation-id",
            "x-ratelimit-remaining",
            "x-idempotent-replay",
            "x-agentcafe-warnings",
        ] {
            assert!(exposed.contains(name), "{name}");
        }
        for (path, status) in [("/v1/events", 200), ("/v1/traces/none", 404), ("/v1/events?limit=x", 400)] {
            let answer = get(&client, path, &page).await;
            assert_eq!(answer.status, status, "{path}");
            check_cors(&answer);
        }
        let key = token.map_or("", |_| "&apiKey=t");
        let owner = client.clone().with_header("x-api-key", "t");
        wait_until_caught_up(&realtime, &owner).await;
        for (server, path) in [(&api, STREAM), (&realtime, "/v1/stream")] {
            let opened = server.client().request(Method::GET, &format!("{path}?cursor=0{key}"));
            let opened = opened.header("origin", PAGE).header("sec-fetch-site", "cross-site");
            let mut stream = opened.header("last-event-id", "1").stream().await.expect("it opens");
            assert_eq!(stream.headers()["access-control-allow-origin"], PAGE);
            assert_eq!(stream.headers()["cache-control"], "no-cache, no-transform");
            assert_eq!(stream.headers()["x-content-type-options"], "nosniff");
            assert_eq!(stream.next_event().await.id, Some(2));
            let socket = Socket::open(server.address(), &format!("/v1/ws?cursor=0{key}"), &page[..2]).await;
            assert!(socket.is_ok());
        }
        let (wrong, status) =
            if token.is_some() { ("http://evil.example", 200) } else { ("http://evil.example", 403) };
        let other = get(&client, "/v1/events", &[("origin", wrong), ("x-api-key", "t")]).await;
        assert_eq!((other.status, other.header("access-control-allow-origin")), (status, None));
        assert_eq!(other.header("cross-origin-resource-policy"), Some("same-origin"));
        if token.is_some() {
            let mut last = 401;
            while last == 401 {
                let refused = get(&client, "/v1/events", &[("origin", PAGE)]).await;
                check_cors(&refused);
                last = refused.status;
            }
            assert_eq!(last, 429);
            assert_eq!(
                preflight(&client, SAY, PAGE).send().await.status,
                204,
                "preflight requests are not counted"
            );
        }
    }
}

#[track_caller]
fn check_cors(answer: &Answer) {
    assert_eq!(answer.header("access-control-allow-origin"), Some(PAGE), "{} {}", answer.status, answer.text);
    assert_eq!(answer.header("cross-origin-resource-policy"), Some("cross-origin"));
    assert_eq!(answer.header("vary"), Some("origin"));
}

/// Without the setting, a preflight request is a request like others.
#[tokio::test]
async fn preflight_without_allowed_origins_is_no_special_request() {
    let server = launch().env("API_AUTH_TOKEN", "t").start().await;
    let client = server.client();
    let _ = preflight(&client, SAY, PAGE).send().await.error(401, "ERR_FORBIDDEN");
    let inside = preflight(&client, SAY, PAGE).header("x-api-key", "t").send().await;
    let _ = inside.error(404, "ERR_UNSUPPORTED_ACTION");
    let order_made = order(&client.clone().with_header("x-api-key", "t"), "Nova", "main").await;
    assert_eq!(order_made, 1);
    let with_token = client.with_header("x-api-key", "t").with_header("origin", PAGE);
    assert_ne!(
        log(&with_token).await,
        Vec::<Value>::new(),
        "a token proves who asks, whatever page sends it"
    );
    assert!(Socket::open(server.address(), "/v1/ws?apiKey=t", &[("origin", PAGE)]).await.is_ok());
    let refused = Socket::open(server.address(), "/v1/ws", &[("origin", PAGE)]).await;
    assert_eq!(refused.map(drop), Err(Some(401)));
}
