//! Sending: connections, lanes, pacing and what is recorded.

mod frames;
mod lane;
mod link;
mod pace;
mod push;
mod recorder;
mod threads;
mod transport;

pub(crate) use frames::Frames;
pub(crate) use lane::{Lane, Probes};
pub(crate) use link::{Link, Opening, Reply};
pub(crate) use pace::Pacing;
pub(crate) use push::Seen;
pub(crate) use recorder::{INTERVAL, Recorder};
pub(crate) use threads::{ArmKind, ArmSettings, Layout, LoadThreads, Reach, Slice, endpoint_for, settle};
