//! Readers and search: what they see while a node runs, and that a filter finds what a plain loop finds.

use std::sync::OnceLock;
use std::thread;

use portcullis_model::ErrorCode;
use proptest::prelude::*;

use super::*;
use crate::{AuditError, Entry, EntryKind, Filter, Page, search};

#[test]
fn reader_sees_what_is_synced_while_a_node_writes() {
    let folder = tempfile::tempdir().unwrap();
    let (audit, _) = open(folder.path());
    let mut producer = audit.producer().unwrap();
    thread::scope(|scope| {
        let writes = scope.spawn(move || {
            for n in 1..=3_000 {
                while producer.push(&record(n, Durability::Buffered)).is_err() {
                    thread::yield_now();
                }
            }
        });
        let elsewhere = AuditReader::open(folder.path()).unwrap();
        let mut seen = 0;
        loop {
            let finished = writes.is_finished();
            for reader in [&elsewhere, &audit.reader()] {
                let numbers: Vec<_> = reader.oldest_first(0).unwrap().map(|entry| entry.unwrap().number).collect();
                assert!(numbers.iter().copied().eq(1..=u64::try_from(numbers.len()).unwrap()));
                let mut back: Vec<_> =
                    reader.newest_first(u64::MAX).unwrap().map(|entry| entry.unwrap().number).collect();
                back.reverse();
                assert!(back.starts_with(&numbers));
                seen = numbers.len();
            }
            if finished {
                break;
            }
        }
        assert!(seen > 0);
    });
    audit.flush().unwrap();
    let synced = audit.reader().oldest_first(0).unwrap().map(Result::unwrap).last().unwrap();
    assert_eq!(synced.number, audit.health().entries);
    assert_eq!(synced.entry.time.as_millis(), 3_000);
    // From elsewhere nobody can tell that the newest batch is synced.
    let elsewhere = AuditReader::open(folder.path()).unwrap().newest_first(u64::MAX).unwrap().next().unwrap().unwrap();
    assert!(elsewhere.number < synced.number);
    audit.close().unwrap();
    let last = AuditReader::open(folder.path()).unwrap().newest_first(u64::MAX).unwrap().next().unwrap().unwrap();
    assert_eq!(last.entry.kind, EntryKind::Stop);
}

#[test]
fn reading_can_begin_anywhere() {
    let entries = sample();
    let reader = AuditReader::open(log()).unwrap();
    let last = entries.last().unwrap().number;
    for place in (0..=last + 1).step_by(17) {
        let after: Vec<_> = reader.oldest_first(place).unwrap().map(|entry| entry.unwrap().number).collect();
        assert!(after.into_iter().eq(place + 1..=last), "{place}");
        let before: Vec<_> = reader.newest_first(place).unwrap().map(|entry| entry.unwrap().number).collect();
        assert!(before.into_iter().eq((1..place.min(last + 1)).rev()), "{place}");
    }
}

#[test]
fn pages_outside_their_range_and_missing_folders_are_refused() {
    for page in [Page { limit: 0, ..Page::default() }, Page { limit: 1_001, ..Page::default() }] {
        assert!(matches!(search(log(), &Filter::default(), page), Err(AuditError::Option { option: "limit", .. })));
    }
    let none = Page { scan_max: 0, ..Page::default() };
    assert!(matches!(search(log(), &Filter::default(), none), Err(AuditError::Option { option: "scan_max", .. })));
    assert!(matches!(AuditReader::open(&log().join("missing")), Err(AuditError::Io { .. })));
}

/// A stopped log of a few hundred entries over several segments.
fn log() -> &'static Path {
    static LOG: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = LOG.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (audit, _) = open(folder.path());
        for n in 0..400_u64 {
            let ticket = audit.append(&entry(n)).unwrap();
            if n.is_multiple_of(5) {
                audit.wait_durable(ticket).unwrap();
            }
        }
        audit.close().unwrap();
        folder
    });
    folder.path()
}

fn sample() -> &'static [AuditEntry] {
    static ENTRIES: OnceLock<Vec<AuditEntry>> = OnceLock::new();
    ENTRIES.get_or_init(|| all(log()))
}

fn uid(entity_type: &str, n: u64) -> EntityUid {
    EntityUid::of(entity_type, &n.to_string()).unwrap()
}

fn entry(n: u64) -> Entry {
    let verdicts = [Some(Verdict::Allow), Some(Verdict::Deny), None];
    let reasons = [Some(Reason::Permitted), Some(Reason::NoPermit), None];
    let kinds = [EntryKind::Decision, EntryKind::Decision, EntryKind::Error, EntryKind::Refused];
    let pick = |of: u64| usize::try_from(n % of).unwrap();
    Entry {
        verdict: verdicts[pick(3)],
        reason: reasons[pick(3)],
        code: (n % 3 == 2).then_some(ErrorCode::Overloaded),
        subject: (!n.is_multiple_of(5)).then(|| uid("User", n % 4)),
        chain: (0..n % 3).map(|place| uid("Agent", (n + place) % 3)).collect(),
        session: n.is_multiple_of(2).then(|| SessionId::from_words([n % 6, 0])),
        action: Some(uid("Action", n % 3)),
        resource: Some(uid("Channel", n % 7)),
        detail: Some("x".repeat(2_000).into()),
        ..Entry::new(kinds[pick(4)], Timestamp::from_millis(1_000 + n * 7 % 400))
    }
}

fn filter() -> impl Strategy<Value = Filter> {
    let some = |of: u64| prop::option::weighted(0.3, 0..of);
    let time = || prop::option::weighted(0.3, 900_u64..1_500);
    (some(4), some(3), some(6), some(3), some(7), some(3), some(3), some(4), time(), time()).prop_map(
        |(subject, agent, session, action, resource, verdict, reason, kind, since, until)| Filter {
            subject: subject.map(|n| uid("User", n)),
            agent: agent.map(|n| uid("Agent", n)),
            session: session.map(|n| SessionId::from_words([n, 0])),
            action: action.map(|n| uid("Action", n)),
            resource: resource.map(|n| uid("Channel", n)),
            verdict: verdict.and_then(|n| entry(n).verdict),
            reason: reason.and_then(|n| entry(n).reason),
            kind: kind.map(|n| entry(n).kind),
            since: since.map(Timestamp::from_millis),
            until: until.map(Timestamp::from_millis),
        },
    )
}

/// The same by plain comparison.
fn naive(filter: &Filter, entry: &Entry) -> bool {
    let mut wanted = true;
    if let Some(subject) = &filter.subject {
        wanted &= entry.subject.as_ref().is_some_and(|found| found == subject);
    }
    if let Some(agent) = &filter.agent {
        wanted &= entry.chain.iter().any(|found| found == agent);
    }
    if filter.session.is_some() {
        wanted &= entry.session == filter.session;
    }
    if filter.action.is_some() {
        wanted &= entry.action == filter.action;
    }
    if filter.resource.is_some() {
        wanted &= entry.resource == filter.resource;
    }
    if filter.verdict.is_some() {
        wanted &= entry.verdict == filter.verdict;
    }
    if filter.reason.is_some() {
        wanted &= entry.reason == filter.reason;
    }
    if let Some(kind) = filter.kind {
        wanted &= entry.kind == kind;
    }
    let (since, until) = (filter.since.unwrap_or_default(), filter.until.unwrap_or(Timestamp::MAX));
    wanted && (since..until).contains(&entry.time)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pages_together_are_what_a_plain_loop_finds(filter in filter(), limit in 1_usize..200, scan_max in 50_u64..500) {
        let expected: Vec<_> = sample().iter().rev().filter(|entry| naive(&filter, &entry.entry)).cloned().collect();
        let mut found = Vec::new();
        let mut before = None;
        for _ in 0..1_000 {
            let page = search(log(), &filter, Page { limit, before, scan_max }).unwrap();
            prop_assert!(page.entries.len() <= limit && page.scanned <= scan_max);
            found.extend(page.entries);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        prop_assert_eq!(before, None);
        prop_assert_eq!(found, expected);
    }
}
