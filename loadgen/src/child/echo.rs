//! The echo, in a process like the node's.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use portcullis_quic::QuicOptions;
use portcullis_quic::echo::EchoServer;

use super::Running;
use super::credentials::{ECHO_FILE, Pki};
use crate::arguments::EchoSettings;
use crate::error::LoadError;
use crate::process::Ready;

pub(super) struct RunningEcho {
    server: EchoServer,
    address: SocketAddr,
}

/// Starts an echo with a certificate of its own, and writes how to reach it.
pub(super) async fn start(settings: &EchoSettings) -> Result<RunningEcho, LoadError> {
    let pki = Pki::create(&settings.folder)?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut options = QuicOptions::new(any, pki.tls()?, tokio::runtime::Handle::current());
    options.workers = settings.workers;
    let failed = |cause: String| LoadError::Child { what: "echo", problem: format!("does not start: {cause}") };
    let server = EchoServer::start(options, settings.request_bytes, settings.response_bytes)
        .map_err(|cause| failed(cause.to_string()))?;
    let address = *server.local_addresses().first().ok_or_else(|| failed("it has no address".to_owned()))?;
    pki.write_anonymous(ECHO_FILE, address)?;
    Ok(RunningEcho { server, address })
}

impl Running for RunningEcho {
    fn ready(&self) -> Ready {
        Ready { address: self.address.to_string(), evaluation: None }
    }

    async fn stop(self) {
        self.server.shutdown(Duration::from_secs(1)).await;
    }
}
