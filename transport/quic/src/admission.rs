//! Who may begin a handshake: bounds on connections, handshakes, memory, and each address's share.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::lock::held;
use crate::options::QuicLimits;
use crate::tls::CONNECTION_BYTES_MAX;

/// The bounds that all workers of a server keep together.
pub(crate) struct Admission {
    limits: QuicLimits,
    connections_max: usize,
    table: Mutex<Table>,
    /// A permit for each handshake that may be computed now.
    pub(crate) handshakes: Arc<Semaphore>,
}

#[derive(Default)]
struct Table {
    /// Connections and handshakes, accepted and not yet over.
    open: usize,
    pending: usize,
    sources: HashMap<IpAddr, Source>,
}

/// What one address has, and may still begin.
struct Source {
    open: usize,
    tokens: u32,
    refilled: Instant,
}

/// What to do with a handshake.
pub(crate) enum Verdict {
    /// Go on; dropping the place gives it back.
    Accept(Place),
    /// Let it show that it is where it says, which costs nothing here.
    Retry,
    /// Say no.
    Refuse,
    /// Say nothing: an unproven address must not make the node send.
    Ignore,
}

impl Admission {
    pub(crate) fn new(limits: QuicLimits) -> Arc<Self> {
        let by_memory = limits.transport_bytes_max / CONNECTION_BYTES_MAX;
        let connections_max = limits.connections_max.min(usize::try_from(by_memory).unwrap_or(usize::MAX));
        let handshakes = Arc::new(Semaphore::new(limits.handshakes_max));
        Arc::new(Self { limits, connections_max, table: Mutex::default(), handshakes })
    }

    pub(crate) fn handshake_timeout(&self) -> Duration {
        self.limits.handshake_timeout
    }

    /// Connections that are open, handshakes not counted.
    pub(crate) fn connections(&self) -> usize {
        let table = held(&self.table);
        table.open.saturating_sub(table.pending)
    }

    /// Judges a handshake. `is_validated` says that the address has shown that it receives.
    pub(crate) fn judge(self: &Arc<Self>, address: IpAddr, is_validated: bool, now: Instant) -> Verdict {
        let no = if is_validated { Verdict::Refuse } else { Verdict::Ignore };
        let mut table = held(&self.table);
        if table.open >= self.connections_max {
            return no;
        }
        let crowded = table.pending >= self.limits.handshakes_max.div_ceil(4);
        if !is_validated && crowded {
            return Verdict::Retry;
        }
        let key = network_of(address);
        if !table.sources.contains_key(&key) && !table.make_room(now, &self.limits) {
            return if is_validated { Verdict::Refuse } else { Verdict::Retry };
        }
        let burst = self.limits.handshakes_per_address_burst;
        let source = table.sources.entry(key).or_insert(Source { open: 0, tokens: burst, refilled: now });
        source.refill(now, burst);
        if source.tokens == 0 {
            return if is_validated { Verdict::Refuse } else { Verdict::Retry };
        }
        if source.open >= self.limits.connections_per_address_max {
            return no;
        }
        source.tokens -= 1;
        source.open += 1;
        table.open += 1;
        table.pending += 1;
        Verdict::Accept(Place { admission: Arc::clone(self), key, is_pending: true })
    }
}

impl Table {
    /// Whether another address can be remembered, after forgetting those that have nothing to remember.
    fn make_room(&mut self, now: Instant, limits: &QuicLimits) -> bool {
        if self.sources.len() >= SOURCES_MAX {
            let burst = limits.handshakes_per_address_burst;
            self.sources.retain(|_, source| {
                source.refill(now, burst);
                source.open > 0 || source.tokens < burst
            });
        }
        self.sources.len() < SOURCES_MAX
    }
}

impl Source {
    /// A quarter of the burst a second.
    fn refill(&mut self, now: Instant, burst: u32) {
        let seconds = now.saturating_duration_since(self.refilled).as_millis() / REFILL_EVERY_MS;
        if seconds > 0 {
            let more = u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(burst.div_ceil(4));
            self.tokens = self.tokens.saturating_add(more).min(burst);
            self.refilled = now;
        }
    }
}

/// The place of one handshake and then connection.
pub(crate) struct Place {
    admission: Arc<Admission>,
    key: IpAddr,
    is_pending: bool,
}

impl Place {
    /// The handshake is over.
    pub(crate) fn established(&mut self) {
        if std::mem::take(&mut self.is_pending) {
            let mut table = held(&self.admission.table);
            table.pending = table.pending.saturating_sub(1);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.established();
        let mut table = held(&self.admission.table);
        table.open = table.open.saturating_sub(1);
        if let Some(source) = table.sources.get_mut(&self.key) {
            source.open = source.open.saturating_sub(1);
        }
    }
}

/// The address itself, or its /64 network for IPv6, of which one host may have all.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(four) => IpAddr::V4(four),
        IpAddr::V6(six) => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// BOUND: every connection from an address of its own, twice. When full, unproven addresses are sent
/// back to prove themselves, and proven ones refused until one is forgotten.
const SOURCES_MAX: usize = 4_096;
const REFILL_EVERY_MS: u128 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn limits() -> QuicLimits {
        QuicLimits {
            connections_max: 6,
            connections_per_address_max: 4,
            handshakes_max: 4,
            handshakes_per_address_burst: 8,
            ..QuicLimits::default()
        }
    }

    fn accept(admission: &Arc<Admission>, address: IpAddr) -> Option<Place> {
        match admission.judge(address, true, Instant::now()) {
            Verdict::Accept(place) => Some(place),
            _ => None,
        }
    }

    #[test]
    fn places_are_given_back() {
        let admission = Admission::new(limits());
        for _ in 0..20 {
            let mut places: Vec<_> = (0..4).filter_map(|_| accept(&admission, HOST)).collect();
            places.iter_mut().for_each(Place::established);
            assert_eq!(admission.connections(), places.len());
        }
        assert_eq!(admission.connections(), 0);
        assert_eq!(held(&admission.table).pending, 0);
    }

    #[test]
    fn one_address_has_its_share_and_all_together_theirs() {
        let admission = Admission::new(limits());
        let first: Vec<_> = (0..5).map(|_| accept(&admission, HOST)).collect();
        assert_eq!(first.iter().flatten().count(), 4);
        let second: Vec<_> = (0..5).map(|_| accept(&admission, OTHER)).collect();
        assert_eq!(second.iter().flatten().count(), 2);
        assert!(matches!(admission.judge(OTHER, false, Instant::now()), Verdict::Ignore));
    }

    #[test]
    fn unproven_addresses_prove_themselves_in_a_crowd() {
        let admission = Admission::new(limits());
        let place = admission.judge(HOST, false, Instant::now());
        assert!(matches!(place, Verdict::Accept(_)));
        assert!(matches!(admission.judge(OTHER, false, Instant::now()), Verdict::Retry));
        assert!(matches!(admission.judge(OTHER, true, Instant::now()), Verdict::Accept(_)));
    }

    #[test]
    fn an_address_that_begins_too_often_waits() {
        let admission = Admission::new(limits());
        let now = Instant::now();
        for _ in 0..8 {
            assert!(matches!(admission.judge(HOST, true, now), Verdict::Accept(_)));
        }
        assert!(matches!(admission.judge(HOST, true, now), Verdict::Refuse));
        assert!(matches!(admission.judge(HOST, false, now), Verdict::Retry));
        let later = now + Duration::from_secs(1);
        assert!(matches!(admission.judge(HOST, true, later), Verdict::Accept(_)));
    }

    #[test]
    fn memory_bounds_connections_too() {
        let admission = Admission::new(QuicLimits { transport_bytes_max: 2 * CONNECTION_BYTES_MAX, ..limits() });
        let places: Vec<_> = (0..3).map(|_| accept(&admission, HOST)).collect();
        assert_eq!(places.iter().flatten().count(), 2);
    }

    #[test]
    fn addresses_that_left_are_forgotten() {
        let admission = Admission::new(limits());
        let start = Instant::now();
        for number in 0..2 * u32::try_from(SOURCES_MAX).unwrap_or(0) {
            let address = IpAddr::V4(std::net::Ipv4Addr::from(number));
            let when = start + Duration::from_millis(u64::from(number) * 10);
            assert!(matches!(admission.judge(address, true, when), Verdict::Accept(_)), "{number}");
            assert!(held(&admission.table).sources.len() <= SOURCES_MAX);
        }
        let one: IpAddr = Ipv6Addr::new(1, 2, 3, 4, 5, 6, 7, 8).into();
        assert_eq!(network_of(one), IpAddr::V6(Ipv6Addr::new(1, 2, 3, 4, 0, 0, 0, 0)));
    }
}
