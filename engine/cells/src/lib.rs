//! Cells that many threads read while one writes: the only module of the product that is built from bare atomics.
//!
//! Owns the memory orderings behind a decision's reads: versioned cells, the deny table, batch boundaries, audit rings and
//! session slots. Readers never lock, wait or allocate; writers that share a structure take turns at a `std` mutex, off the
//! decision way. It knows nothing of users, sessions or audit records: a value is a few words. It has no dependency, no
//! `unsafe`, no clock and no thread of its own, and never panics.
//!
//! INVARIANT: a reader gets one whole value that was written at once, or is told that it got none. Where a bounded number of
//! attempts does not settle which, the answer is the one that refuses.
//!
//! The orderings are proven by exhaustive schedules (bounded preemptions) with loom, in `loom_tests.rs`:
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p portcullis-cells --release --lib
//! ```
//!
//! Under `cfg(loom)` a few sizes shrink (each says so), so that a model visits every schedule within seconds.

mod boundary;
mod chunked;
mod deny;
mod line;
mod ring;
mod sequence;
mod slots;
mod sync;
mod versioned;

#[cfg(all(test, loom))]
mod loom_tests;

pub use boundary::{Boundary, Mark, WORKERS_MAX, Worker};
pub use chunked::{CHUNK_LEN, Chunked};
pub use deny::{DENY_MAX, DenyEntry, DenyTable, TableFull};
pub use ring::{RECORD_BYTES_MAX, RING_BYTES_MAX, RingConsumer, RingFull, RingProducer, ring};
pub use slots::{Handle, Slots};
pub use versioned::{ReadLate, Versioned};
