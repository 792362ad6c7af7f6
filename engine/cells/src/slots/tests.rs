#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::{
    sync::{Mutex, mpsc::sync_channel},
    thread,
};

use super::{Handle, Slots};

#[test]
fn a_handle_reads_its_claim_until_the_release() {
    let slots = Slots::with_capacity_max(10);
    let first = slots.claim([1, 2, 3]).unwrap();
    let second = slots.claim([4, 5, 6]).unwrap();
    assert_eq!((slots.read(first), slots.read(second)), (Some([1, 2, 3]), Some([4, 5, 6])));
    assert_eq!(slots.occupied(), 2);
    assert!(slots.release(first));
    assert!(!slots.release(first));
    assert_eq!((slots.read(first), slots.read(second)), (None, Some([4, 5, 6])));
    assert_eq!(slots.occupied(), 1);
}

#[test]
fn a_stale_handle_does_nothing_to_the_next_claim() {
    let slots = Slots::with_capacity_max(1);
    let old = slots.claim([1]).unwrap();
    assert!(slots.release(old));
    let new = slots.claim([2]).unwrap();
    assert_eq!((old.index, old.generation + 1), (new.index, new.generation));
    assert!(!slots.store_word(old, 0, 9));
    assert!(!slots.release(old));
    assert_eq!((slots.read(old), slots.read(new)), (None, Some([2])));
}

#[test]
fn a_word_is_stored_alone() {
    let slots = Slots::with_capacity_max(1);
    let handle = slots.claim([1, 2]).unwrap();
    assert!(slots.store_word(handle, 1, 20));
    assert!(!slots.store_word(handle, 2, 30));
    assert_eq!(slots.read(handle), Some([1, 20]));
}

#[test]
fn made_up_handles_find_nothing() {
    let slots = Slots::with_capacity_max(2_000);
    let handle = slots.claim([7]).unwrap();
    let made_up = [
        Handle::from_word(0),
        Handle::from_word(u64::MAX),
        Handle { generation: 0, ..handle },
        Handle { generation: handle.generation + 1, ..handle },
        Handle { index: 1, ..handle },
        Handle { index: 1_999, ..handle },
        Handle { index: 2_000, ..handle },
    ];
    for stranger in made_up {
        assert_eq!(slots.read(stranger), None, "{stranger:?}");
        assert!(!slots.store_word(stranger, 0, 1), "{stranger:?}");
        assert!(!slots.release(stranger), "{stranger:?}");
    }
    assert_eq!((slots.occupied(), slots.read(handle)), (1, Some([7])));
}

#[test]
fn a_handle_survives_as_a_word() {
    for (index, generation) in [(0, 1), (5, 9), (u32::MAX, 1), (1, u32::MAX)] {
        let handle = Handle { index, generation };
        assert_eq!(Handle::from_word(handle.to_word()), handle);
        assert_ne!(handle.to_word(), 0);
    }
    assert_eq!(Handle { index: 2, generation: 3 }.to_word(), 0x0000_0003_0000_0002);
}

#[test]
fn slots_grow_to_the_maximum_and_are_reused() {
    const COUNT: u32 = 2_500;
    let slots = Slots::with_capacity_max(COUNT);
    let handles: Vec<_> = (0..u64::from(COUNT)).map(|number| slots.claim([number]).unwrap()).collect();
    assert_eq!(slots.claim([0]), None);
    for (number, handle) in (0..).zip(&handles) {
        assert_eq!(slots.read(*handle), Some([number]));
    }
    assert!(handles.iter().all(|handle| slots.release(*handle)));
    assert_eq!(slots.occupied(), 0);
    assert!((0..COUNT).all(|_| slots.claim([1]).is_some()));
    assert_eq!(slots.claim([0]), None);
    assert!(handles.iter().all(|handle| slots.read(*handle).is_none()));
    assert_eq!(Slots::with_capacity_max(0).claim([0]), None);
}

#[test]
fn a_slot_out_of_generations_is_not_used_again() {
    let slots = Slots::with_generation_first(1, u32::MAX - 1);
    let before_last = slots.claim([1]).unwrap();
    assert!(slots.release(before_last));
    let last = slots.claim([2]).unwrap();
    assert_eq!(last.generation, u32::MAX);
    assert!(slots.release(last));
    assert_eq!(slots.claim([3]), None);
    assert_eq!((slots.read(before_last), slots.read(last), slots.occupied()), (None, None, 0));
    assert!(!slots.release(Handle { index: 0, generation: 0 }));
}

#[test]
fn a_delayed_reader_never_gets_the_next_claims_words() {
    const CLAIMS: u64 = 20_000;
    let slots = Slots::<7>::with_capacity_max(2);
    let (sender, receiver) = sync_channel::<(Handle, u64)>(4);
    let live_reads = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut live_reads = 0;
            for (handle, number) in receiver {
                for _ in 0..8 {
                    if let Some(value) = slots.read(handle) {
                        assert_eq!(value, [number; 7]);
                        live_reads += 1;
                    }
                }
                assert!(!slots.store_word(handle, 7, 0));
            }
            live_reads
        });
        let kept = slots.claim([0; 7]).unwrap();
        sender.send((kept, 0)).unwrap();
        for number in 1..=CLAIMS {
            let handle = slots.claim([number; 7]).unwrap();
            sender.send((handle, number)).unwrap();
            assert!(slots.release(handle));
        }
        drop(sender);
        reader.join().unwrap()
    });
    assert!(live_reads >= 8, "the kept claim is always readable");
}

#[test]
fn no_slot_is_claimed_twice_at_once() {
    let slots = Slots::with_capacity_max(8);
    let owners: [Mutex<()>; 8] = Default::default();
    thread::scope(|scope| {
        for thread in 0..4 {
            let (slots, owners) = (&slots, &owners);
            scope.spawn(move || {
                for round in 0..5_000 {
                    let handle = slots.claim([thread, round]).unwrap();
                    let owner = owners[usize::try_from(handle.index).unwrap()].try_lock().unwrap();
                    assert!(slots.store_word(handle, 1, round + 1));
                    assert_eq!(slots.read(handle), Some([thread, round + 1]));
                    drop(owner);
                    assert!(slots.release(handle));
                }
            });
        }
    });
    assert_eq!(slots.occupied(), 0);
}
