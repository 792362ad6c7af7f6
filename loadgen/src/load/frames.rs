//! Requests encoded before anything is measured.

use portcullis_wire::frames::{DecideV1, DetailsV1, RevisionV1};
use portcullis_wire::{FrameWriter, WireError};

/// Most requests that are prepared; then they come round again.
pub(crate) const PREPARED_MAX: usize = 16_384;
/// Where a frame's correlation number stands.
const CORR: std::ops::Range<usize> = 12..16;

/// Frames of one length, one after the other.
pub(crate) struct Frames {
    bytes: Vec<u8>,
    frame_bytes: usize,
}

impl Frames {
    /// A question for each pair of session handle, and registered action and resource, round robin over both
    /// until every pair has come or [`PREPARED_MAX`] are prepared.
    pub(crate) fn decide(handles: &[u64], names: &[(u32, u32)]) -> Result<Self, WireError> {
        let mut writer = FrameWriter::default();
        let count = handles.len().max(names.len()).min(PREPARED_MAX);
        for (place, (session, (action, resource))) in
            handles.iter().cycle().zip(names.iter().cycle()).take(count).enumerate()
        {
            let details = DetailsV1 { intent: 1, ..DetailsV1::default() };
            let frame = DecideV1 {
                session: *session,
                at_least: RevisionV1::default(),
                action: *action,
                resource: *resource,
                details,
            };
            writer.append(u32::try_from(place).unwrap_or(0), &frame)?;
        }
        Ok(Self { bytes: writer.bytes().to_vec(), frame_bytes: writer.len() / count.max(1) })
    }

    /// Blocks of zeros for an echo.
    pub(crate) fn blank(frame_bytes: usize) -> Self {
        Self { bytes: vec![0; frame_bytes], frame_bytes }
    }

    /// Appends frame `number`, counted round, with a correlation number to `out`.
    #[inline]
    pub(super) fn append(&self, number: usize, corr: u32, out: &mut Vec<u8>) {
        let place = number % (self.bytes.len() / self.frame_bytes) * self.frame_bytes;
        let begin = out.len();
        out.extend_from_slice(&self.bytes[place..place + self.frame_bytes]);
        out[begin..][CORR].copy_from_slice(&corr.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use portcullis_wire::FrameReader;

    use super::*;

    #[test]
    fn prepared_frames_are_what_a_node_reads() {
        let frames = Frames::decide(&[7, 8, 9], &[(1, 2), (3, 4)]).unwrap();
        let mut out = Vec::new();
        (0..4).for_each(|number| frames.append(number, 100 + u32::try_from(number).unwrap(), &mut out));
        let mut reader = FrameReader::for_server();
        assert_eq!(reader.push(&out), out.len());
        for (corr, session, names) in [(100, 7, (1, 2)), (101, 8, (3, 4)), (102, 9, (1, 2)), (103, 7, (1, 2))] {
            let frame = reader.next_frame().unwrap().unwrap();
            let question = frame.read::<DecideV1>().unwrap();
            assert_eq!((frame.header.corr, question.session), (corr, session));
            assert_eq!((question.action, question.resource), names);
        }
        reader.finish().unwrap();
    }
}
