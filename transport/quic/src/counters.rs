//! What is counted, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts since the start, written with relaxed adds: once a batch, never once a decision.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        /// What a server has counted since its start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct QuicStats {
            /// Connections open now.
            pub connections: u64,
            $($(#[$doc])* pub $name: u64,)*
            /// Datagrams that the system dropped because a socket's receive buffer was full: of every
            /// socket of the machine, since it started; 0 where the system does not say.
            pub udp_receive_buffer_errors: u64,
        }

        impl Counters {
            pub(crate) fn read(&self, connections: u64, udp_receive_buffer_errors: u64) -> QuicStats {
                QuicStats {
                    connections,
                    $($name: self.$name.load(Ordering::Relaxed),)*
                    udp_receive_buffer_errors,
                }
            }
        }
    };
}

counters! {
    /// Handshakes that were completed.
    handshakes,
    /// Handshakes that failed or took too long.
    handshakes_failed,
    /// Handshakes that were refused or ignored because of a limit.
    handshakes_refused,
    /// Handshakes that were sent back to prove their address.
    handshakes_retried,
    /// Connections whose client is not known, or that did not say hello.
    unauthenticated,
    /// Frames from clients.
    frames,
    /// Frames that were not what they should be.
    frames_malformed,
    /// Batches that had a write.
    batches,
    /// Answers that were decided again because a restriction came before they left.
    decided_again,
    /// Requests refused because a bound was reached.
    overloaded,
    /// Connections closed because their client does not read.
    slow,
    /// Connections closed because a part of an answer had left that a revocation overtook.
    overtaken,
    /// Ends told on push streams.
    ends_told,
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
