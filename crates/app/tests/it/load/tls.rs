//! `agentcafe load` over TLS, against a server that closes the connection after each response, as some proxies do.

use std::io::{BufRead, BufReader};
use std::path::Path;

use super::*;

/// Answers every path with a `ready` frame, over TLS and HTTP/1.0, with a length unless the path is a stream's.
const SERVER: &str = r#"
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"event: ready\ndata: {}\n\n"
        self.send_response(200)
        if "stream" not in self.path:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// A process that is killed when dropped.
struct ChildGuard(Child);

impl Drop for ChildGuard {
    fn drop(&mut self) {
        // Fails if it has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Creates a key and a self-signed certificate for `localhost`.
fn create_certificate(certificate: &Path, key: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-out")
        .arg(certificate)
        .arg("-keyout")
        .arg(key)
        .output()
        .expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A server behind TLS is tested if its certificate is trusted.
#[tokio::test(flavor = "multi_thread")]
async fn load_over_tls_requires_a_trusted_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = (directory.path().join("certificate.pem"), directory.path().join("key.pem"));
    create_certificate(&certificate, &key);
    let server = Command::new("python3")
        .args(["-c", SERVER])
        .args([&certificate, &key])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut server = ChildGuard(server.unwrap());
    let mut port = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let url = format!("https://localhost:{}", port.trim());
    let arguments = ["load", "--url", &url, "--duration-ms", "300"];
    let few = [("LOAD_CONCURRENCY", "2"), ("LOAD_STREAM_FANOUT", "4")];
    let trusted = [&[("SSL_CERT_FILE", certificate.to_str().unwrap())] as &[_], &few, &LENIENT].concat();
    let result = run(&arguments, &trusted).await;
    assert!(
        result.passed && result.report["config"]["targetUrl"] == url.as_str(),
        "{} {}",
        result.stderr,
        result.report
    );
    assert_eq!((&result.report["api"]["errors"], &result.report["stream"]["count"]), (&0.into(), &4.into()));
    let result = run(&arguments, &trusted[1..]).await;
    assert!(
        !result.passed && result.report.is_null() && result.stderr.contains("certificate"),
        "{}",
        result.stderr
    );
    let plain = url.replace("https", "http");
    let result = run(&["load", "--url", &plain], &[]).await;
    assert!(!result.passed && result.stderr.contains("cannot be reached"), "{}", result.stderr);
}
