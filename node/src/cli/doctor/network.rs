//! Ports, and what the system allows.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::config::Config;
use crate::node::NodeRecord;

/// Whether the addresses are free, or taken by the node that runs on the data folder.
pub(super) fn ports(config: Option<&Config>, record: Option<&NodeRecord>) -> Vec<Finding> {
    let quic = record.map(|record| record.quic).or(config.map(|config| config.node.quic));
    let admin = record.map(|record| record.admin).or(config.map(|config| config.node.admin));
    let mut findings = Vec::new();
    if let Some(address) = quic {
        findings.push(port("quic port", "node.quic", address, UdpSocket::bind(address).map(drop), record.is_some()));
    }
    if let Some(address) = admin {
        findings.push(port(
            "admin port",
            "node.admin",
            address,
            TcpListener::bind(address).map(drop),
            record.is_some(),
        ));
    }
    findings
}

fn port(check: &'static str, key: &str, address: SocketAddr, bound: io::Result<()>, runs: bool) -> Finding {
    match bound {
        Ok(()) if runs => {
            Finding::fail(check, format!("a node runs here, but nothing is bound to {address}"), "restart the node")
        }
        Ok(()) => Finding::pass(check, format!("{address} is free")),
        Err(error) if runs && error.kind() == io::ErrorKind::AddrInUse => {
            Finding::pass(check, format!("{address} is this node's"))
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let detail = format!("{address} is taken by another program or node");
            Finding::fail(check, detail, format!("stop it, or choose another address: `{key}`"))
        }
        Err(error) => {
            Finding::fail(check, format!("{address}: {error}"), format!("choose an address of this machine: `{key}`"))
        }
    }
}

/// Open files and socket buffers.
pub(super) fn limits() -> Vec<Finding> {
    vec![files(), buffers()]
}

fn files() -> Finding {
    const CHECK: &str = "open files";
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < FILES_MIN => {
            let detail = format!("at most {limit} files may be open: connections, logs and audit need {FILES_MIN}");
            Finding::warn(CHECK, detail, format!("ulimit -n {FILES_MIN}, or `LimitNOFILE={FILES_MIN}` in the unit"))
        }
        Some(limit) => Finding::pass(CHECK, format!("{limit} may be open")),
        None => Finding::pass(CHECK, "there is no limit"),
    }
}

/// What the kernel lets a socket buffer; larger wishes are cut without a word.
fn buffers() -> Finding {
    const CHECK: &str = "udp buffers";
    let read = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/net/core/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    match (read("rmem_max"), read("wmem_max")) {
        (Some(receive), Some(send)) if receive.min(send) >= BUFFER_BYTES => {
            Finding::pass(CHECK, format!("{receive} bytes to receive, {send} to send"))
        }
        (Some(receive), Some(send)) => {
            let detail = format!("{receive} bytes to receive, {send} to send: bursts are lost");
            let fix = format!("sysctl -w net.core.rmem_max={BUFFER_BYTES} net.core.wmem_max={BUFFER_BYTES}");
            Finding::warn(CHECK, detail, fix)
        }
        _ => Finding::warn(CHECK, "the system does not tell its limits", "look whether sockets may buffer 2 MiB"),
    }
}

/// What connections, logs and audit segments of a loaded node need.
const FILES_MIN: u64 = 4_096;
/// A burst of a loaded connection: 2 MiB.
const BUFFER_BYTES: u64 = 2 * 1024 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::super::Health;
    use super::*;

    #[test]
    fn a_port_is_free_ours_or_somebody_elses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let look = |runs| port("admin port", "node.admin", address, TcpListener::bind(address).map(drop), runs).status;
        assert_eq!((look(true), look(false)), (Health::Pass, Health::Fail));
        drop(listener);
        assert_eq!((look(true), look(false)), (Health::Fail, Health::Pass));
        let elsewhere = "203.0.113.1:1".parse().unwrap();
        let foreign = port("quic port", "node.quic", elsewhere, UdpSocket::bind(elsewhere).map(drop), false);
        assert_eq!(foreign.status, Health::Fail);
    }
}
