//! QUIC as the client crate uses it, without what it does besides.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use portcullis_client::{ClientOptions, Credential};
use portcullis_wire::ALPN;
use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{AckFrequencyConfig, ClientConfig, Connection, Endpoint, EndpointConfig, TransportConfig, VarInt};
use rustls::client::Resumption;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::error::LoadError;

/// An endpoint on any free port of the peer's family. Many connections may share it.
pub(crate) fn endpoint(peer: SocketAddr) -> std::io::Result<Endpoint> {
    let (domain, any): (_, SocketAddr) = match peer {
        SocketAddr::V4(_) => (Domain::IPV4, (Ipv4Addr::UNSPECIFIED, 0).into()),
        SocketAddr::V6(_) => (Domain::IPV6, (Ipv6Addr::UNSPECIFIED, 0).into()),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    // The system may give less; what it drops then is counted in the report.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.bind(&SockAddr::from(any))?;
    Endpoint::new(EndpointConfig::default(), None, UdpSocket::from(socket), Arc::new(quinn::TokioRuntime))
}

/// Connects to the node of `options`.
pub(crate) async fn connect(endpoint: &Endpoint, options: &ClientOptions) -> Result<Connection, LoadError> {
    let unreachable = |problem: String| LoadError::Unreachable { address: options.address.clone(), problem };
    let address = options.address.parse().map_err(|_| unreachable("it is no address and port".to_owned()))?;
    let config = client_config(options).map_err(|cause| unreachable(cause.to_string()))?;
    let connecting =
        endpoint.connect_with(config, address, &options.server_name).map_err(|cause| unreachable(cause.to_string()))?;
    connecting.await.map_err(|cause| unreachable(cause.to_string()))
}

fn client_config(options: &ClientOptions) -> Result<ClientConfig, Box<dyn std::error::Error>> {
    let mut roots = rustls::RootCertStore::empty();
    for root in &options.roots {
        roots.add(root.clone())?;
    }
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&options.provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots);
    let mut tls = match &options.credential {
        Credential::Certificate { chain, key } => builder.with_client_auth_cert(chain.clone(), key.clone_key())?,
        _ => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = Resumption::disabled();
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport_config()?));
    Ok(config)
}

fn transport_config() -> Result<TransportConfig, Box<dyn std::error::Error>> {
    let mut acknowledge = AckFrequencyConfig::default();
    acknowledge.max_ack_delay(Some(Duration::from_millis(1))).ack_eliciting_threshold(VarInt::from_u32(10));
    let mut congestion = CubicConfig::default();
    congestion.initial_window(256 * 1024);
    let mut transport = TransportConfig::default();
    transport
        .ack_frequency_config(Some(acknowledge))
        .initial_rtt(Duration::from_millis(10))
        .congestion_controller_factory(Arc::new(congestion))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(u64::from(CONNECTION_WINDOW_BYTES))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(4))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(Duration::from_secs(5).try_into()?))
        .keep_alive_interval(Some(Duration::from_secs(1)));
    Ok(transport)
}

/// What the client crate asks for.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// What the client crate allows the node for one stream.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// What the client crate allows the node for one connection.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
