//! The one outgoing request of this crate: the keys of an issuer, over HTTP, bounded in time and size.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use crate::key_set::KEY_SET_BYTES_MAX;

/// Why a document could not be fetched. The keys in force stay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The configuration's: neither `https` nor `http` on a loopback address.
    #[error("the address is neither `https` nor on this machine")]
    Address,
    /// The network's or the issuer's: no answer in time, or not a complete one. May pass.
    #[error("the issuer did not answer as it should")]
    Exchange(#[source] Box<ureq::Error>),
    /// The issuer's: anything but 200, redirects included: keys come from the configured address or not at all.
    #[error("the issuer answered with status {0}")]
    Status(u16),
}

/// Fetches a document of at most [`KEY_SET_BYTES_MAX`] bytes. Blocks for at most `timeout`, follows no redirect.
///
/// # Errors
/// [`FetchError`].
pub(crate) fn document(url: &str, timeout: Duration) -> Result<Vec<u8>, FetchError> {
    let transport = transport_of(url).ok_or(FetchError::Address)?;
    let failed = |error| FetchError::Exchange(Box::new(error));
    let mut response = agent(transport, timeout).get(url).call().map_err(failed)?;
    if response.status().as_u16() != 200 {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let limit = u64::try_from(KEY_SET_BYTES_MAX).unwrap_or(u64::MAX);
    response.body_mut().with_config().limit(limit).read_to_vec().map_err(failed)
}

/// Whether keys may come from there.
pub(crate) fn is_allowed(url: &str) -> bool {
    transport_of(url).is_some()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tls,
    Loopback,
}

fn transport_of(url: &str) -> Option<Transport> {
    let address: Uri = url.parse().ok()?;
    // Credentials in an address end in logs.
    if url.contains('@') || url.len() > URL_BYTES_MAX {
        return None;
    }
    let host = address.host().filter(|host| !host.is_empty())?;
    match address.scheme_str()? {
        "https" => Some(Transport::Tls),
        "http" if is_loopback(host) => Some(Transport::Loopback),
        _ => None,
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn agent(transport: Transport, timeout: Duration) -> Agent {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::WebPki)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .https_only(transport == Transport::Tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_response_header_size(HEADER_BYTES_MAX)
        .accept("application/jwk-set+json, application/json")
        .user_agent("portcullis")
        .timeout_global(Some(timeout));
    match transport {
        Transport::Tls => config.build().new_agent(),
        // A proxy would carry the request off this machine.
        Transport::Loopback => config.proxy(None).build().new_agent(),
    }
}

const URL_BYTES_MAX: usize = 2_048;
/// BOUND: what HTTP servers send at most by default.
const HEADER_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_and_this_machine_are_fetched_from() {
        for url in ["https://id.example/keys", "http://127.0.0.1:8080/keys", "http://[::1]:1/k", "http://localhost/k"] {
            assert!(is_allowed(url), "{url}");
        }
        for url in [
            "",
            "keys",
            "/keys",
            "https://",
            "http://id.example/keys",
            "http://127.0.0.1.example/keys",
            "http://localhost.example/keys",
            "http://169.254.169.254/keys",
            "https://user:word@id.example/keys",
            "file:///etc/passwd",
            "ftp://127.0.0.1/keys",
        ] {
            assert!(!is_allowed(url), "{url}");
            assert!(matches!(document(url, Duration::from_millis(1)), Err(FetchError::Address)), "{url}");
        }
    }
}
