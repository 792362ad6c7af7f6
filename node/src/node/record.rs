//! What a running node writes beside its data, so that a second command finds it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::node::data_dir::{DataDir, Mode, replace_file};

/// Where a running node listens. Written after it has bound, removed when it stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Version of this shape: 1.
    pub schema_version: u32,
    /// What runs.
    pub mode: Mode,
    /// Version of the program.
    pub version: String,
    /// Id of the process.
    pub pid: u32,
    /// UDP address for clients.
    pub quic: SocketAddr,
    /// TCP address of health and metrics.
    pub admin: SocketAddr,
}

impl NodeRecord {
    /// The record of this process.
    pub fn of_process(mode: Mode, quic: SocketAddr, admin: SocketAddr) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { schema_version: 1, mode, version, pid: std::process::id(), quic, admin }
    }

    /// The node that runs on a data folder now; `None` if none does, whatever an earlier one left there.
    pub fn find(data_dir: &Path) -> Option<Self> {
        let bytes = fs::read(data_dir.join(NODE_RECORD)).ok()?;
        let record: Self = serde_json::from_slice(&bytes).ok()?;
        DataDir::is_in_use(data_dir).then_some(record)
    }

    pub(crate) fn write(&self, data_dir: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        text.push(b'\n');
        replace_file(&data_dir.join(NODE_RECORD), &text, 0o600)
    }

    pub(crate) fn remove(data_dir: &Path) -> io::Result<()> {
        fs::remove_file(data_dir.join(NODE_RECORD))
    }
}

/// The record's name in the data folder.
pub const NODE_RECORD: &str = "node.json";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]
    use super::*;

    #[test]
    fn a_record_counts_while_its_node_runs() {
        let outer = tempfile::tempdir().unwrap();
        let path = outer.path().join("data");
        let data_dir = DataDir::open(&path, Mode::Dev).unwrap();
        let address = "127.0.0.1:7443".parse().unwrap();
        let record = NodeRecord::of_process(Mode::Dev, address, address);
        record.write(&path).unwrap();
        assert_eq!(NodeRecord::find(&path), Some(record.clone()));
        drop(data_dir);
        // Killed: the file is there, the node is not.
        assert!(path.join(NODE_RECORD).exists());
        assert_eq!(NodeRecord::find(&path), None);
        NodeRecord::remove(&path).unwrap();
        assert_eq!(NodeRecord::find(&path), None);
    }
}
