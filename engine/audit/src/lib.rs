//! The audit log's write-ahead part: rings, batches, the durable watermark, recovery and search.
//!
//! Owns one folder of segments and one thread that writes them. Deciding threads push fixed-size
//! blocks into rings of their own and never lock, allocate or enter the kernel; the writer turns
//! numbers into names, hashes inputs, and stores batches with one write and one sync each.
//!
//! Never drops a record it took: a full queue refuses and counts, a failed write or sync poisons the
//! log for good, and what a crash took from memory is recorded as a gap at the next start.
//!
//! INVARIANT: a record is durable when its producer's watermark has reached its number; then every
//! later opening of the folder finds it, or refuses to open.
//!
//! There is no hash tree over the entries yet: batches are chained by checksums, which find damage
//! and loss, not tampering. The newest batch stands alone: damage to it is taken for a torn write.
#![warn(missing_docs)]

mod audit;
mod batch;
mod change;
mod code;
mod control;
mod disk;
mod entry;
mod error;
mod health;
mod hot;
mod lane;
pub mod limits;
mod lock;
mod names;
mod options;
mod producer;
mod reader;
mod recovery;
mod refusals;
mod resolve;
mod scan;
mod search;
mod segment;
mod shared;
mod store;
mod writer;

pub use audit::Audit;
pub use disk::{Disk, FileSystem};
pub use entry::{AuditEntry, DigestError, Durability, Entry, EntryKind, InputDigest, SCHEMA_VERSION};
pub use error::{AuditError, PushError};
pub use health::{Health, HealthState};
pub use hot::{HotRecord, Name, Outcome};
pub use limits::POLICIES_MAX;
pub use names::Names;
pub use options::{AuditOptions, Clock};
pub use producer::{Producer, Ticket, Watermark};
pub use reader::{AuditReader, Entries};
pub use recovery::{Gap, Recovery, Torn};
pub use scan::{SegmentScan, Tail, scan_segment};
pub use search::{Filter, Page, SearchPage, search};

#[cfg(test)]
mod tests;
