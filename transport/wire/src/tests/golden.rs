//! The format is frozen: one frame of every kind, byte for byte.

use super::samples::samples;
use crate::{FrameKind, FrameReader, inspect};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn frames_have_their_golden_bytes() {
    let written: String = samples().iter().map(|(kind, bytes)| format!("{kind} {}\n", hex(bytes))).collect();
    assert!(written == include_str!("golden.txt"), "the wire format has changed; what is written now:\n{written}");
}

#[test]
fn every_kind_has_a_golden_frame() {
    let kinds: Vec<FrameKind> = samples().into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, FrameKind::ALL);
}

#[test]
fn golden_frames_are_read() {
    for line in include_str!("golden.txt").lines() {
        let (kind, digits) = line.split_once(' ').expect("kind and bytes");
        let bytes: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal"))
            .collect();
        let mut reader = FrameReader::for_client();
        assert_eq!(reader.push(&bytes), bytes.len());
        let frame = reader.next_frame().expect("a frame").expect("whole");
        assert_eq!(frame.kind().map(|kind| kind.to_string()), Ok(kind.to_owned()));
        assert_eq!(inspect(&frame), Ok(()));
        assert!(reader.next_frame().expect("no error").is_none());
        assert_eq!(reader.finish(), Ok(()));
    }
}

#[test]
fn kinds_and_roles_have_one_number_each() {
    assert!(FrameKind::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
    for kind in FrameKind::ALL {
        assert_eq!(FrameKind::from_number(kind.number()), Some(*kind));
    }
    for role in crate::Role::ALL {
        assert_eq!(crate::Role::from_number(role.number()), Some(*role));
        assert_eq!(serde_json::to_value(role).ok(), Some(role.as_str().into()));
    }
}
