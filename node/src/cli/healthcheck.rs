//! `healthcheck`: asks `/readyz`, so that a container without other programs can.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cli::arguments::{Global, HealthcheckOrder};
use crate::cli::{SCHEMA_VERSION, print, style};
use crate::exit::Exit;
use crate::node::NodeRecord;
use crate::output::{Failure, excerpt};

/// Asks, and says what was answered.
pub(crate) fn run(global: &Global, order: &HealthcheckOrder) -> Result<Exit, Failure> {
    let address = match (order.admin, NodeRecord::find(&global.data_dir())) {
        (Some(address), _) => address,
        (None, Some(record)) => record.admin,
        (None, None) => global.load_config()?.node.admin,
    };
    let answer = get(address, "/readyz").map_err(|error| {
        Failure::unreachable(
            format!("`http://{address}/readyz` does not answer: {error}"),
            "look whether the node runs",
        )
    })?;
    let is_ready = answer.status == 200;
    let document = json!({
        "schema_version": SCHEMA_VERSION,
        "ready": is_ready,
        "status": answer.status,
        "address": address,
        "body": answer.body,
    });
    print(global.output, &document, |_| {
        let word = if is_ready { style::good("✔ ready") } else { style::bad("✘ not ready") };
        format!("{word}  http://{address}/readyz answers {}  {}", answer.status, excerpt(answer.body.trim()))
    })?;
    Ok(if is_ready { Exit::Ok } else { Exit::Failure })
}

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The body's start.
    pub(crate) body: String,
}

/// Gets a path, within [`ANSWER_WAIT_MAX`].
pub(crate) fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    let deadline = Instant::now() + ANSWER_WAIT_MAX;
    let mut stream = TcpStream::connect_timeout(&reachable(address), ANSWER_WAIT_MAX)?;
    stream.set_write_timeout(Some(ANSWER_WAIT_MAX))?;
    let host = reachable(address);
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 1_024];
    while bytes.len() < ANSWER_BYTES_MAX {
        let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        stream.set_read_timeout(Some(left.ok_or(io::ErrorKind::TimedOut)?))?;
        match stream.read(&mut chunk)? {
            0 => break,
            count => bytes.extend(chunk.iter().take(count)),
        }
    }
    parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| io::Error::other("the answer is not HTTP"))
}

/// An address that listens everywhere is reached on this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::new([127, 0, 0, 1].into(), v4.port()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), v6.port())
        }
        other => other,
    }
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let rest = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "))?;
    let status = rest.get(..3)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

/// Longest wait for the whole answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(2);
/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use std::net::TcpListener;

    use super::*;

    fn served(answer: &'static str) -> (SocketAddr, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut chunk = [0; 1_024];
                let count = stream.read(&mut chunk).unwrap();
                assert!(count > 0, "the request ends early");
                request.extend(&chunk[..count]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        (address, server)
    }

    fn check(answer: &'static str) -> Result<Exit, Failure> {
        let (address, server) = served(answer);
        let exit = run(&Global::default(), &HealthcheckOrder { admin: Some(address) });
        let request = server.join().unwrap();
        assert!(request.starts_with("GET /readyz HTTP/1.1\r\n") && request.contains(&format!("Host: {address}\r\n")));
        exit
    }

    #[test]
    fn only_200_is_ready() {
        assert_eq!(check("HTTP/1.1 200 OK\r\n\r\nready\n"), Ok(Exit::Ok));
        assert_eq!(check("HTTP/1.1 503 Service Unavailable\r\n\r\nstarting\n"), Ok(Exit::Failure));
        assert_eq!(check("SSH-2.0-x\r\n\r\n").unwrap_err().exit, Exit::Unreachable);
    }

    #[test]
    fn nobody_there_is_unreachable() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let failure = run(&Global::default(), &HealthcheckOrder { admin: Some(address) }).unwrap_err();
        assert_eq!((failure.exit, failure.retryable), (Exit::Unreachable, true));
    }

    #[test]
    fn everywhere_is_reached_on_this_machine() {
        for (bound, reached) in [("0.0.0.0:7", "127.0.0.1:7"), ("[::]:7", "[::1]:7"), ("192.0.2.1:7", "192.0.2.1:7")] {
            assert_eq!(reachable(bound.parse().unwrap()).to_string(), reached);
        }
    }
}
