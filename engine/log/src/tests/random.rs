//! Random runs against the obvious model: a list.

use std::io::Read;

use proptest::prelude::*;
use tempfile::TempDir;

use super::support::*;
use crate::{Committed, EmbeddedLog, Entry, Opened, OrderedLog, Revision};

#[derive(Clone, Debug)]
enum Action {
    /// Appends entries without waiting in between; an id may be one used before.
    Append(Vec<(u8, u16)>),
    Snapshot,
    Reopen,
    /// Goes on with a copy of the files, taken without closing.
    Crash,
}

fn action() -> impl Strategy<Value = Action> {
    let entries = proptest::collection::vec((any::<u8>(), 0..3_000_u16), 1..40);
    prop_oneof![
        6 => entries.prop_map(Action::Append),
        1 => Just(Action::Snapshot),
        1 => Just(Action::Reopen),
        1 => Just(Action::Crash),
    ]
}

#[derive(Default)]
struct Model {
    entries: Vec<Committed>,
    snapshot: u64,
}

impl Model {
    fn append(&mut self, log: &EmbeddedLog, entries: Vec<(u8, u16)>) {
        let told: Vec<_> = entries
            .into_iter()
            .map(|(number, length)| {
                let entry = Entry { id: id(number.into()), payload: vec![number; length.into()] };
                let known = self.entries.iter().position(|found| found.id == entry.id);
                let place = known.unwrap_or(self.entries.len());
                let revision = Revision::new(1, place as u64 + 1);
                if known.is_none() {
                    self.entries.push(Committed { revision, id: entry.id, payload: entry.payload.clone().into() });
                }
                (send(log, entry), revision)
            })
            .collect();
        for (told, revision) in told {
            assert_eq!(told.recv().unwrap(), Ok(revision));
        }
        assert_eq!(log.tail().seq, self.entries.len() as u64);
    }

    fn snapshot(&mut self, log: &EmbeddedLog) {
        self.snapshot = self.entries.len() as u64;
        let at = Revision::new(1, self.snapshot);
        log.put_snapshot(at, &mut |to| to.write_all(&at.seq.to_le_bytes())).unwrap();
    }

    fn check(&self, opened: &mut Opened) {
        let snapshot = opened.snapshot.take().map_or(0, |(at, mut reader)| {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, at.seq.to_le_bytes());
            at.seq
        });
        assert_eq!(snapshot, self.snapshot);
        let after = usize::try_from(snapshot).unwrap();
        assert_eq!(replayed(opened), self.entries[after..]);
        assert_eq!(opened.recovered.torn_bytes_cut, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_run_equals_a_list(actions in proptest::collection::vec(action(), 1..24)) {
        let mut model = Model::default();
        let mut folder = TempDir::new().unwrap();
        let mut log = open_unread(folder.path());
        for action in actions {
            match action {
                Action::Append(entries) => model.append(&log, entries),
                Action::Snapshot => model.snapshot(&log),
                Action::Reopen => {
                    log.close().unwrap();
                    let mut opened = open(folder.path());
                    model.check(&mut opened);
                    log = opened.log;
                }
                Action::Crash => {
                    let copy = crash_copy(folder.path());
                    let mut opened = open(copy.path());
                    model.check(&mut opened);
                    log = opened.log;
                    folder = copy;
                }
            }
        }
    }
}
