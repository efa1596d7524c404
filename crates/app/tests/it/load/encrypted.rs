//! Servers behind TLS, and such that close the connection after each answer, as some proxies do.

use std::{
    io::{BufRead, BufReader},
    path::Path,
};

use super::*;

/// Answers every path with a stream that has begun, over TLS and HTTP/1.0; all but streams say how long they are.
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

/// A process that is killed when it is not needed any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes a key and a certificate of its own for `localhost`.
fn certify(certificate: &Path, key: &Path) {
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

/// The issue: a café behind TLS can be loaded, if it is who it says it is.
#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_server_is_loaded_if_it_is_believed() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = (directory.path().join("certificate.pem"), directory.path().join("key.pem"));
    certify(&certificate, &key);
    let server = Command::new("python3")
        .args(["-c", SERVER])
        .args([&certificate, &key])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut server = Running(server.unwrap());
    let mut port = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let url = format!("https://localhost:{}", port.trim());
    let arguments = ["load", "--url", &url, "--duration-ms", "300"];
    let few = [("LOAD_CONCURRENCY", "2"), ("LOAD_STREAM_FANOUT", "4")];
    let trusted = [&[("SSL_CERT_FILE", certificate.to_str().unwrap())] as &[_], &few, &LENIENT].concat();
    let ran = run(&arguments, &trusted).await;
    assert!(ran.passed && ran.report["config"]["targetUrl"] == url.as_str(), "{} {}", ran.said, ran.report);
    assert_eq!((&ran.report["api"]["errors"], &ran.report["stream"]["count"]), (&0.into(), &4.into()));
    let ran = run(&arguments, &trusted[1..]).await;
    assert!(!ran.passed && ran.report.is_null() && ran.said.contains("certificate"), "{}", ran.said);
    let plain = url.replace("https", "http");
    let ran = run(&["load", "--url", &plain], &[]).await;
    assert!(!ran.passed && ran.said.contains("cannot be reached"), "{}", ran.said);
}
