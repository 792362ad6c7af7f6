#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;

use serde_json::json;

use super::*;
use crate::testing::{NOW, Signer};

fn document(kid: &'static str) -> String {
    json!({"keys": [Signer::ed25519(kid).jwk()]}).to_string()
}

fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}").into_bytes()
}

/// A server on this machine that answers each connection with the next response, then stops.
struct Server {
    url: String,
    served: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(responses: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let served = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&served);
        let thread = std::thread::spawn(move || {
            for response in responses {
                let (stream, _) = listener.accept().unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                answer(stream, &response);
            }
        });
        Self { url, served, thread: Some(thread) }
    }

    fn keys(&self) -> Keys {
        Keys::new(KeySource::Url(self.url.clone()))
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }

    fn finish(mut self) -> usize {
        self.thread.take().unwrap().join().unwrap();
        self.served()
    }
}

fn answer(mut stream: TcpStream, response: &[u8]) {
    let mut request = Vec::new();
    let mut buffer = [0; 1_024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let length = stream.read(&mut buffer).unwrap();
        assert!(length > 0, "the request ended early");
        request.extend_from_slice(&buffer[..length]);
    }
    // A client that has enough hangs up before the end.
    stream.write_all(response).ok();
}

#[test]
fn an_address_is_fetched_when_due_and_not_in_between() {
    let server = Server::start(vec![response("200 OK", "", &document("a")), response("200 OK", "", &document("b"))]);
    let keys = server.keys();
    assert!(keys.snapshot(NOW).is_none());
    assert_eq!(keys.refresh_blocking(NOW, Demand::IfDue).unwrap(), Refresh::Replaced);
    assert_eq!(keys.snapshot(NOW).unwrap().len(), 1);
    let before = NOW.plus(KEYS_REFRESH_EVERY - Duration::from_millis(1));
    assert_eq!(keys.refresh_blocking(before, Demand::IfDue).unwrap(), Refresh::NotDue);
    assert_eq!(server.served(), 1);
    assert_eq!(keys.refresh_blocking(NOW.plus(KEYS_REFRESH_EVERY), Demand::IfDue).unwrap(), Refresh::Replaced);
    assert_eq!(server.finish(), 2);
}

#[test]
fn a_flood_of_unknown_keys_causes_one_fetch_a_pause() {
    let good = || response("200 OK", "", &document("a"));
    let server = Server::start(vec![good(), good()]);
    let keys = server.keys();
    assert_eq!(keys.refresh_blocking(NOW, Demand::Now).unwrap(), Refresh::Replaced);
    for second in 0..30 {
        keys.want();
        let now = NOW.plus(Duration::from_secs(second));
        assert_eq!(keys.refresh_blocking(now, Demand::IfDue).unwrap(), Refresh::NotDue, "{second}");
    }
    assert_eq!(server.served(), 1);
    let now = NOW.plus(KEYS_REFRESH_PAUSE);
    assert_eq!(keys.refresh_blocking(now, Demand::IfDue).unwrap(), Refresh::Replaced);
    assert_eq!(
        keys.refresh_blocking(now.plus(KEYS_REFRESH_PAUSE), Demand::IfDue).unwrap(),
        Refresh::NotDue,
        "wanted once"
    );
    assert_eq!(server.finish(), 2);
}

#[test]
fn a_clock_that_went_back_delays_nothing() {
    let good = || response("200 OK", "", &document("a"));
    let server = Server::start(vec![good(), good()]);
    let keys = server.keys();
    keys.refresh_blocking(NOW, Demand::Now).unwrap();
    let hour_ago = Timestamp::from_millis(NOW.as_millis() - 3_600_000);
    assert!(keys.snapshot(hour_ago).is_some());
    assert_eq!(keys.refresh_blocking(hour_ago, Demand::IfDue).unwrap(), Refresh::Replaced);
    assert_eq!(server.finish(), 2);
}

#[test]
fn bad_answers_leave_the_last_good_keys_for_a_day() {
    let secret = r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#;
    let large = "x".repeat(KEY_SET_BYTES_MAX + 1);
    let redirect = "Location: http://127.0.0.1:1/keys\r\n";
    let bad: Vec<Vec<u8>> = vec![
        response("500 Internal Server Error", "", &document("b")),
        response("404 Not Found", "", ""),
        response("302 Found", redirect, ""),
        response("307 Temporary Redirect", redirect, &document("b")),
        response("204 No Content", "", ""),
        response("200 OK", "", "not json"),
        response("200 OK", "", secret),
        response("200 OK", "", &large),
        // Promises more than it sends.
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{\"keys\":[]}".to_vec(),
        response("200 OK", &format!("X-Large: {}\r\n", "x".repeat(20_000)), &document("b")),
        b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
        Vec::new(),
    ];
    let count = bad.len();
    let server = Server::start([vec![response("200 OK", "", &document("a"))], bad].concat());
    let keys = server.keys();
    keys.refresh_blocking(NOW, Demand::Now).unwrap();
    let good = keys.snapshot(NOW).unwrap();
    let last = NOW.plus(KEYS_STALE_MAX);
    for attempt in 0..count {
        assert!(keys.refresh_blocking(last, Demand::Now).is_err(), "{attempt}");
        assert!(Arc::ptr_eq(&keys.snapshot(last).unwrap(), &good), "{attempt}");
    }
    assert_eq!(server.finish(), count + 1);
    assert!(keys.snapshot(last.plus(Duration::from_millis(1))).is_none());
}

#[test]
fn an_empty_set_takes_every_key_out_of_force() {
    let server = Server::start(vec![response("200 OK", "", &document("a")), response("200 OK", "", r#"{"keys":[]}"#)]);
    let keys = server.keys();
    keys.refresh_blocking(NOW, Demand::Now).unwrap();
    keys.refresh_blocking(NOW, Demand::Now).unwrap();
    assert!(keys.snapshot(NOW).unwrap().is_empty());
    server.finish();
}

#[test]
fn an_issuer_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let keys = Keys::with_timeout(KeySource::Url(url), Duration::from_millis(100));
    assert!(matches!(keys.refresh_blocking(NOW, Demand::Now), Err(KeysError::Fetch(FetchError::Exchange(_)))));
    assert!(keys.snapshot(NOW).is_none());
}

/// The provider is named, so TLS works although no process-wide one is installed: here up to the peer's garbage.
#[test]
fn tls_names_its_own_provider() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/keys", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut record = [0; 5];
        stream.read_exact(&mut record).unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").ok();
        record
    });
    let keys = Keys::with_timeout(KeySource::Url(url), Duration::from_secs(5));
    assert!(matches!(keys.refresh_blocking(NOW, Demand::Now), Err(KeysError::Fetch(FetchError::Exchange(_)))));
    assert_eq!(server.join().unwrap()[..2], [22, 3], "a TLS handshake record");
}

#[test]
fn a_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let keys = Keys::new(KeySource::File(path.clone()));
    assert!(matches!(keys.refresh_blocking(NOW, Demand::IfDue), Err(KeysError::File(_))));
    std::fs::write(&path, document("a")).unwrap();
    assert_eq!(keys.refresh_blocking(NOW, Demand::IfDue).unwrap(), Refresh::Replaced);
    assert_eq!(keys.refresh_blocking(NOW, Demand::IfDue).unwrap(), Refresh::NotDue);
    std::fs::write(&path, json!({"keys": [Signer::p256("a").jwk(), Signer::p256("b").jwk()]}).to_string()).unwrap();
    assert_eq!(keys.refresh_blocking(NOW, Demand::IfDue).unwrap(), Refresh::Replaced);
    assert_eq!(keys.snapshot(NOW).unwrap().len(), 2);
    // Seen unchanged is as good as read again.
    let later = NOW.plus(KEYS_STALE_MAX * 2);
    assert!(keys.snapshot(later).is_none());
    assert_eq!(keys.refresh_blocking(later, Demand::IfDue).unwrap(), Refresh::NotDue);
    assert!(keys.snapshot(later).is_some());
}

#[test]
fn a_bad_file_is_reported_until_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, document("a")).unwrap();
    let keys = Keys::new(KeySource::File(path.clone()));
    keys.refresh_blocking(NOW, Demand::Now).unwrap();
    for text in ["{".to_owned(), "x".repeat(KEY_SET_BYTES_MAX + 10)] {
        std::fs::write(&path, text).unwrap();
        for _ in 0..2 {
            assert!(matches!(keys.refresh_blocking(NOW, Demand::IfDue), Err(KeysError::KeySet(_))));
        }
    }
    assert_eq!(keys.snapshot(NOW).unwrap().len(), 1);
    let folder_as_file = Keys::new(KeySource::File(folder.path().into()));
    assert!(matches!(folder_as_file.refresh_blocking(NOW, Demand::Now), Err(KeysError::File(_))));
}
