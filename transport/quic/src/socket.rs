//! UDP sockets with room for bursts, and what the system drops for want of it.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Once;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// A bound socket with large buffers. On a local network nearly all loss is a full receive buffer,
/// and the default of Linux holds fewer than 100 full packets.
pub(crate) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    let receive = enlarge(|bytes| socket.set_recv_buffer_size(bytes), || socket.recv_buffer_size());
    let send = enlarge(|bytes| socket.set_send_buffer_size(bytes), || socket.send_buffer_size());
    warn_once(receive, send);
    socket.bind(&SockAddr::from(address))?;
    Ok(socket.into())
}

/// Asks for the largest size first; the system clamps silently and reports the double of what it gave.
fn enlarge(set: impl Fn(usize) -> io::Result<()>, read: impl Fn() -> io::Result<usize>) -> usize {
    // What cannot be set stays as it is: that costs speed, not correctness.
    let _ = set(BUFFER_BYTES_WANTED);
    read().unwrap_or(0) / 2
}

fn warn_once(receive: usize, send: usize) {
    static WARNED: Once = Once::new();
    if receive.min(send) < BUFFER_BYTES_ENOUGH {
        WARNED.call_once(|| {
            tracing::warn!(
                receive_bytes = receive,
                send_bytes = send,
                "socket buffers are small: raise sysctl `net.core.rmem_max` and `net.core.wmem_max` to 8388608"
            );
        });
    }
}

/// `RcvbufErrors` of `/proc/net/snmp` and `/proc/net/snmp6`; 0 where the system has no such file.
pub(crate) fn receive_buffer_errors() -> u64 {
    let four = std::fs::read_to_string("/proc/net/snmp").map_or(0, |text| of_snmp(&text));
    let six = std::fs::read_to_string("/proc/net/snmp6").map_or(0, |text| of_snmp6(&text));
    four.saturating_add(six)
}

fn of_snmp(text: &str) -> u64 {
    let mut rows = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (Some(names), Some(values)) = (rows.next(), rows.next()) else { return 0 };
    let mut pairs = names.split(' ').zip(values.split(' '));
    pairs.find(|(name, _)| *name == "RcvbufErrors").and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

fn of_snmp6(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("Udp6RcvbufErrors"));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

const BUFFER_BYTES_WANTED: usize = 8 << 20;
/// Some 700 full packets: a burst of half a millisecond at 10 Gbit/s.
const BUFFER_BYTES_ENOUGH: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receive_buffer_errors_are_found_by_name() {
        let text = "Ip: A B\nIp: 1 2\nUdp: InDatagrams NoPorts RcvbufErrors SndbufErrors\nUdp: 5 6 77 8\nUdpLite: X\n";
        assert_eq!(of_snmp(text), 77);
        assert_eq!(of_snmp("Udp: InDatagrams\n"), 0);
        assert_eq!(of_snmp("Udp: RcvbufErrors\nUdp: many\n"), 0);
        assert_eq!(of_snmp6("Udp6InDatagrams 3\nUdp6RcvbufErrors                	9\n"), 9);
    }

    #[test]
    fn a_socket_has_the_buffers_that_the_system_gives() {
        let socket = bind(([127, 0, 0, 1], 0).into());
        assert!(socket.is_ok_and(|socket| socket.local_addr().is_ok_and(|address| address.port() != 0)));
    }
}
