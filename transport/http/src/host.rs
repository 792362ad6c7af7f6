//! Which names a request may call this listener by: the defence against DNS rebinding.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use axum::http::Uri;
use axum::http::header::HOST;
use axum::http::uri::Authority;

/// The names that requests on one connection may use.
///
/// An address literal cannot be rebound, so loopback addresses and the address that the connection
/// itself reached are allowed; of names only `localhost` and the configured ones are.
#[derive(Clone, Debug)]
pub(crate) struct HostRule<'a> {
    /// The address that the connection reached.
    pub(crate) reached: SocketAddr,
    /// Further names, without port.
    pub(crate) names: &'a [String],
}

/// What is wrong with the name that a request used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostFault {
    /// There is not exactly one readable `Host` header.
    Malformed,
    /// The name is not one of ours.
    Foreign,
}

impl HostRule<'_> {
    /// Checks the `Host` header and, where the request line carries one, the authority in it.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), HostFault> {
        let mut given = headers.get_all(HOST).iter();
        let (Some(host), None) = (given.next(), given.next()) else { return Err(HostFault::Malformed) };
        let host = host.to_str().map_err(|_| HostFault::Malformed)?;
        let host: Authority = host.parse().map_err(|_| HostFault::Malformed)?;
        let known = self.is_known(&host) && uri.authority().is_none_or(|authority| self.is_known(authority));
        if known { Ok(()) } else { Err(HostFault::Foreign) }
    }

    fn is_known(&self, authority: &Authority) -> bool {
        let port = match (authority.port(), authority.port_u16()) {
            (None, _) => HTTP_PORT,
            (Some(_), Some(port)) => port,
            (Some(_), None) => return false,
        };
        port == self.reached.port() && !authority.as_str().contains('@') && self.is_known_name(authority.host())
    }

    fn is_known_name(&self, name: &str) -> bool {
        let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        match literal.parse::<IpAddr>() {
            Ok(address) => {
                let address = address.to_canonical();
                address.is_loopback() || address == self.reached.ip().to_canonical()
            }
            Err(_) => {
                name.eq_ignore_ascii_case("localhost") || self.names.iter().any(|ours| ours.eq_ignore_ascii_case(name))
            }
        }
    }
}

/// The port that an authority without one means.
const HTTP_PORT: u16 = 80;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn check(reached: &str, host: &str) -> Result<(), HostFault> {
        let names = ["portcullis.internal".to_owned()];
        let rule = HostRule { reached: reached.parse().unwrap(), names: &names };
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        rule.check(&Uri::from_static("/livez"), &headers)
    }

    #[test]
    fn loopback_own_address_and_configured_names_are_known() {
        for host in [
            "127.0.0.1:7480",
            "127.9.9.9:7480",
            "localhost:7480",
            "LocalHost:7480",
            "[::1]:7480",
            "portcullis.internal:7480",
        ] {
            assert_eq!(check("127.0.0.1:7480", host), Ok(()), "{host}");
        }
        assert_eq!(check("10.1.2.3:7480", "10.1.2.3:7480"), Ok(()));
        assert_eq!(check("[::ffff:10.1.2.3]:7480", "10.1.2.3:7480"), Ok(()));
        assert_eq!(check("127.0.0.1:80", "localhost"), Ok(()));
    }

    #[test]
    fn every_other_name_is_foreign() {
        for host in [
            "evil.example:7480",
            "localhost",
            "localhost:7481",
            "localhost.evil.example:7480",
            "localhost.:7480",
            "10.1.2.4:7480",
            "127.0.0.1.evil.example:7480",
            "evil@localhost:7480",
            "[::2]:7480",
            "2130706433:7480",
            "0x7f.1:7480",
        ] {
            assert_eq!(check("127.0.0.1:7480", host), Err(HostFault::Foreign), "{host}");
        }
    }

    #[test]
    fn no_host_two_hosts_and_noise_are_malformed() {
        let rule = HostRule { reached: "127.0.0.1:7480".parse().unwrap(), names: &[] };
        let mut headers = HeaderMap::new();
        assert_eq!(rule.check(&Uri::from_static("/"), &headers), Err(HostFault::Malformed));
        headers.append(HOST, "localhost:7480".parse().unwrap());
        assert_eq!(rule.check(&Uri::from_static("http://evil.example:7480/"), &headers), Err(HostFault::Foreign));
        assert_eq!(rule.check(&Uri::from_static("http://localhost:7480/"), &headers), Ok(()));
        headers.append(HOST, "localhost:7480".parse().unwrap());
        assert_eq!(rule.check(&Uri::from_static("/"), &headers), Err(HostFault::Malformed));
        for host in ["", "a b", "localhost:7480,evil.example", "localhost:7480/x"] {
            assert!(check("127.0.0.1:7480", host).is_err(), "{host}");
        }
    }
}
