//! TLS and QUIC as Portcullis uses them.

use std::sync::Arc;
use std::time::Duration;

use portcullis_wire::ALPN;
use portcullis_wire::limits::LANES_MAX;
use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{AckFrequencyConfig, ServerConfig, TransportConfig, VarInt};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use crate::error::QuicError;
use crate::options::QuicOptions;

/// Bounds what a client can make the node hold for one lane.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Bounds what a client can make the node hold for one connection.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Most bytes of one connection that the transport has taken and that are not acknowledged: 16 KiB a
/// lane. quinn bounds this per connection only, so one lane may use what the others do not. The first
/// congestion window is larger, so what is taken leaves at once unless packets are being lost.
const SEND_WINDOW_BYTES: u64 = 64 * 1024;
/// The first burst is not held back to ten packets.
const FIRST_WINDOW_BYTES: u64 = 256 * 1024;
/// Most memory that one connection can take in the transport: both windows, what a lane's reader and
/// writer hold, and the packets under way.
pub(crate) const CONNECTION_BYTES_MAX: u64 = 2 << 20;
/// Handshakes that wait to be looked at, and the bytes that they may bring meanwhile.
const INCOMING_MAX: usize = 1_024;
const INCOMING_BYTES_MAX: u64 = 64 * 1024;
const INCOMING_BYTES_TOTAL_MAX: u64 = 16 * 1024 * 1024;

/// The configuration that all workers share, keys of retry tokens included.
pub(crate) fn server_config(options: &QuicOptions) -> Result<ServerConfig, QuicError> {
    let crypto = QuicServerConfig::try_from(tls_config(options)?)
        .map_err(|_| QuicError::Tls(rustls::Error::General("TLS 1.3 has no suite for QUIC".into())))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport_config(options.segmentation_offload)?))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BYTES_MAX)
        .incoming_buffer_size_total(INCOMING_BYTES_TOTAL_MAX);
    Ok(config)
}

/// TLS 1.3 only, no early data, no resumption: a resumed handshake would skip the client certificate,
/// and early data can be replayed.
fn tls_config(options: &QuicOptions) -> Result<rustls::ServerConfig, QuicError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(QuicError::Tls)?;
    let builder = match client_verifier(options, provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut tls =
        builder.with_single_cert(options.tls.chain.clone(), options.tls.key.clone_key()).map_err(QuicError::Tls)?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.max_early_data_size = 0;
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    Ok(tls)
}

/// A certificate need not be shown: a bearer token may take its place.
fn client_verifier(
    options: &QuicOptions,
    provider: Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, QuicError> {
    let Some(authorities) = &options.client_ca else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(QuicError::Tls)?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    builder.allow_unauthenticated().build().map(Some).map_err(QuicError::ClientAuthority)
}

/// Settings for small messages on a local network.
fn transport_config(segmentation_offload: bool) -> Result<TransportConfig, QuicError> {
    let mut acknowledge = AckFrequencyConfig::default();
    acknowledge.max_ack_delay(Some(Duration::from_millis(1))).ack_eliciting_threshold(VarInt::from_u32(10));
    let mut congestion = CubicConfig::default();
    congestion.initial_window(FIRST_WINDOW_BYTES);
    let idle = Duration::from_secs(5)
        .try_into()
        .map_err(|_| QuicError::Option { option: "idle timeout", range: "a QUIC duration" })?;
    let lanes = u32::try_from(LANES_MAX).unwrap_or(1);
    let mut transport = TransportConfig::default();
    transport
        .ack_frequency_config(Some(acknowledge))
        .initial_rtt(Duration::from_millis(10))
        .congestion_controller_factory(Arc::new(congestion))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .send_fairness(false)
        .max_concurrent_bidi_streams(VarInt::from_u32(lanes))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(idle))
        .enable_segmentation_offload(segmentation_offload);
    Ok(transport)
}
