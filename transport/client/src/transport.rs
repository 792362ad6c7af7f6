//! QUIC and TLS as Portcullis uses them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use portcullis_wire::ALPN;
use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{AckFrequencyConfig, ClientConfig, Endpoint, EndpointConfig, TransportConfig, VarInt};
use rustls::client::Resumption;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::error::ConnectError;
use crate::options::{ClientOptions, Credential};

/// Asked for as socket buffer in both directions; the system may give less. The default of Linux holds
/// fewer than 100 full packets, and on a local network nearly all loss is its overflow.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Bounds what the node can make this client hold for one stream.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Bounds what the node can make this client hold for the connection, and the other way round.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Streams that the node may open: the push stream, and some for later versions.
const PUSH_STREAMS_MAX: u32 = 4;

/// TLS 1.3 only, no early data, no resumption: a resumed handshake would skip the client certificate.
pub(crate) fn client_config(options: &ClientOptions) -> Result<ClientConfig, ConnectError> {
    let mut roots = rustls::RootCertStore::empty();
    for root in &options.roots {
        roots.add(root.clone()).map_err(ConnectError::Tls)?;
    }
    let builder = rustls::ClientConfig::builder_with_provider(options.provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(ConnectError::Tls)?
        .with_root_certificates(roots);
    let mut tls = match &options.credential {
        Credential::Certificate { chain, key } => {
            builder.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(ConnectError::Tls)?
        }
        Credential::Token(_) => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = Resumption::disabled();
    tls.enable_early_data = false;
    let crypto = QuicClientConfig::try_from(tls)
        .map_err(|error| ConnectError::Target(options.server_name.clone(), error.to_string()))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport_config()?));
    Ok(config)
}

/// Settings for small messages on a local network.
fn transport_config() -> Result<TransportConfig, ConnectError> {
    let mut acknowledge = AckFrequencyConfig::default();
    acknowledge.max_ack_delay(Some(Duration::from_millis(1))).ack_eliciting_threshold(VarInt::from_u32(10));
    let mut congestion = CubicConfig::default();
    congestion.initial_window(256 * 1024);
    let idle = Duration::from_secs(5)
        .try_into()
        .map_err(|error: quinn::VarIntBoundsExceeded| ConnectError::Target("idle".into(), error.to_string()))?;
    let mut transport = TransportConfig::default();
    transport
        .ack_frequency_config(Some(acknowledge))
        .initial_rtt(Duration::from_millis(10))
        .congestion_controller_factory(Arc::new(congestion))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(u64::from(CONNECTION_WINDOW_BYTES))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(PUSH_STREAMS_MAX))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(Duration::from_secs(1)));
    Ok(transport)
}

/// An endpoint of its own on any free port, which can reach `peer`.
pub(crate) fn endpoint(peer: SocketAddr) -> std::io::Result<Endpoint> {
    let (domain, any): (_, SocketAddr) = match peer {
        SocketAddr::V4(_) => (Domain::IPV4, (Ipv4Addr::UNSPECIFIED, 0).into()),
        SocketAddr::V6(_) => (Domain::IPV6, (Ipv6Addr::UNSPECIFIED, 0).into()),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    // Smaller buffers cost speed, not correctness.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.bind(&SockAddr::from(any))?;
    let socket = UdpSocket::from(socket);
    Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(quinn::TokioRuntime))
}
