#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{AdminListener, BindError, CONNECTIONS_MAX, Condition, Probes};

#[derive(Default)]
struct Fixed {
    conditions: Mutex<Vec<Condition>>,
    metrics: String,
}

impl Probes for Fixed {
    fn conditions(&self) -> Vec<Condition> {
        self.conditions.lock().unwrap().clone()
    }

    fn metrics(&self) -> String {
        self.metrics.clone()
    }
}

struct Node {
    address: SocketAddr,
    probes: Arc<Fixed>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

async fn start(probes: Fixed) -> Node {
    let listener =
        AdminListener::bind("127.0.0.1:0".parse().unwrap(), vec!["portcullis.internal".to_owned()]).await.unwrap();
    let (address, probes, (stop, stopped)) = (listener.address(), Arc::new(probes), oneshot::channel());
    let asked: Arc<dyn Probes> = probes.clone();
    let serving = tokio::spawn(listener.serve(asked, async {
        let _ = stopped.await;
    }));
    Node { address, probes, stop, serving }
}

impl Node {
    /// Sends bytes and reads until the node closes.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The node may answer and close before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        parts(&self.raw(request.as_bytes()).await)
    }
}

fn parts(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn three_routes_answer_and_everything_else_is_not_found() {
    let node = start(Fixed { metrics: "portcullis_up 1\n".to_owned(), ..Fixed::default() }).await;
    assert_eq!(node.ask("GET", "/livez").await, (200, "live\n".to_owned()));
    let (status, body) = node.ask("GET", "/metrics").await;
    assert!(status == 200 && body.starts_with("portcullis_up 1\n") && body.contains("portcullis_admin_refused_total"));
    for path in ["/", "/livez/", "/config", "/debug/pprof", "/metrics/../livez", "/LIVEZ", "/%6civez2"] {
        assert_eq!(node.ask("GET", path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn only_reading_methods_are_allowed() {
    let node = start(Fixed::default()).await;
    assert_eq!(node.ask("HEAD", "/livez").await, (200, String::new()));
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"] {
        let path = if method == "CONNECT" { node.address.to_string() } else { "/livez".to_owned() };
        assert_eq!(node.ask(method, &path).await.0, 405, "{method}");
    }
    let body = format!("GET /livez HTTP/1.1\r\nHost: {}\r\nContent-Length: 9999999999\r\n\r\n", node.address);
    assert_eq!(parts(&node.raw(body.as_bytes()).await).0, 200, "a body is not waited for");
}

#[tokio::test]
async fn readiness_names_what_is_missing_until_nothing_is() {
    let node = start(Fixed::default()).await;
    assert_eq!(node.ask("GET", "/readyz").await, (503, "not ready\n".to_owned()), "nothing known is not ready");
    *node.probes.conditions.lock().unwrap() =
        vec![Condition::holds("log", "replayed"), Condition::fails("policy", "no set in force")];
    assert_eq!(node.ask("GET", "/readyz").await, (503, "not ready\nwaiting policy: no set in force\n".to_owned()));
    node.probes.conditions.lock().unwrap()[1] = Condition::holds("policy", "20 policies");
    assert_eq!(node.ask("GET", "/readyz").await, (200, "ready\n".to_owned()));
    let verbose = "ready\nok log: replayed\nok policy: 20 policies\n";
    assert_eq!(node.ask("GET", "/readyz?verbose").await, (200, verbose.to_owned()));
}

#[tokio::test]
async fn foreign_missing_and_doubled_hosts_are_refused_and_counted() {
    let node = start(Fixed::default()).await;
    let port = node.address.port();
    for (head, expected) in [
        (format!("Host: evil.example:{port}\r\n"), 403),
        ("Host: 127.0.0.1:1\r\n".to_owned(), 403),
        (String::new(), 400),
        (format!("Host: localhost:{port}\r\nHost: evil.example:{port}\r\n"), 400),
        (format!("Host: localhost:{port}\r\n"), 200),
        (format!("Host: portcullis.internal:{port}\r\nX-Forwarded-Host: evil.example\r\n"), 200),
    ] {
        for path in ["/livez", "/readyz", "/metrics"] {
            let status = parts(&node.raw(format!("GET {path} HTTP/1.1\r\n{head}\r\n").as_bytes()).await).0;
            assert!(status == expected || (expected == 200 && path == "/readyz" && status == 503), "{head} {status}");
        }
    }
    let absolute = format!("GET http://evil.example:{port}/livez HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    assert_eq!(parts(&node.raw(absolute.as_bytes()).await).0, 403);
    let old = node.raw(b"GET /livez HTTP/1.0\r\n\r\n").await;
    assert_eq!(parts(&old).0, 400, "HTTP/1.0 without a Host");
    let (_, metrics) = node.ask("GET", "/metrics").await;
    assert!(metrics.contains("{reason=\"host\"} 14\n"), "{metrics}");
}

#[tokio::test]
async fn oversized_and_smuggling_heads_end_the_connection() {
    let node = start(Fixed::default()).await;
    let host = node.address;
    let long = format!("GET /livez HTTP/1.1\r\nHost: {host}\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    let many = format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    let smuggled = format!(
        "GET /livez HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n"
    );
    let controlled = format!("GET /livez HTTP/1.1\r\nHost: {host}\r\nX\0: y\r\n\r\n");
    for head in [&long, &many, &smuggled, &controlled, "\u{16}\u{3}\u{1} tls", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let answer = node.raw(head.as_bytes()).await;
        let statuses: Vec<&str> = answer.matches("HTTP/1.1 ").collect();
        assert!(statuses.len() <= 1, "one answer at most: {answer}");
    }
    assert!(node.raw(long.as_bytes()).await.is_empty() || node.raw(long.as_bytes()).await.contains(" 431 "));
    assert!(node.raw(many.as_bytes()).await.is_empty() || node.raw(many.as_bytes()).await.contains(" 431 "));
    assert_eq!(node.ask("GET", "/livez").await.0, 200, "others are served on");
}

#[tokio::test(start_paused = true)]
async fn slow_writers_and_slow_readers_are_cut() {
    let node = start(Fixed { metrics: "x".repeat(64 * 1024 * 1024), ..Fixed::default() }).await;
    let begun = tokio::time::Instant::now();
    let answer = node.raw(b"GET /livez HTTP/1.1\r\nHost: loc").await;
    assert!(!answer.contains(" 200 "), "{answer}");
    assert!(begun.elapsed() <= Duration::from_secs(10));

    let mut reader = TcpStream::connect(node.address).await.unwrap();
    reader.write_all(format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", node.address).as_bytes()).await.unwrap();
    let mut first = [0; 16];
    reader.read_exact(&mut first).await.unwrap();
    tokio::time::sleep(Duration::from_secs(11)).await;
    let mut rest = Vec::new();
    let _ = reader.read_to_end(&mut rest).await;
    assert!(rest.len() < 64 * 1024 * 1024, "the node gave up on a client that does not read");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_unanswered() {
    let node = start(Fixed::default()).await;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        held.push(TcpStream::connect(node.address).await.unwrap());
    }
    let request = format!("GET /livez HTTP/1.1\r\nHost: {}\r\n\r\n", node.address);
    assert_eq!(node.raw(request.as_bytes()).await, "");
    // A held connection still gets its answer, and its place is free afterwards.
    held[0].write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    held[0].read_to_string(&mut answer).await.unwrap();
    assert_eq!(parts(&answer).0, 200);
}

#[tokio::test]
async fn shutdown_closes_the_port_and_returns() {
    let node = start(Fixed::default()).await;
    let taken = AdminListener::bind(node.address, Vec::new()).await;
    assert!(matches!(taken, Err(BindError::InUse { address }) if address == node.address));
    node.stop.send(()).unwrap();
    node.serving.await.unwrap();
    assert!(TcpStream::connect(node.address).await.is_err());
}
