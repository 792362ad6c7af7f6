//! How many records a second one writer stores durably: `cargo run --release -p portcullis-audit
//! --example throughput -- FOLDER [PRODUCERS] [SECONDS] [INPUT_BYTES]`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement fails by panicking and prints its figure")]

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_audit::{Audit, AuditOptions, AuditReader, Durability, HotRecord, Name, Names, Outcome};
use portcullis_model::{
    DecisionId, EntityIndex, EntityUid, GrantId, Intent, PolicyRef, Reason, Revision, SessionId, Timestamp, Verdict,
};

struct Table {
    uids: Vec<EntityUid>,
    policies: Vec<PolicyRef>,
}

impl Names for Table {
    fn entity(&self, entity: EntityIndex) -> Option<EntityUid> {
        self.uids.get(entity.index()).cloned()
    }

    fn policy(&self, _set: u32, policy: u32) -> Option<PolicyRef> {
        self.policies.get(usize::try_from(policy).ok()?).cloned()
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "target/portcullis/audit-throughput".to_owned()));
    let mut number = |default: u64| arguments.next().map_or(default, |text| text.parse().unwrap());
    let (producers, seconds, input_bytes) = (number(1), number(10), number(0));
    let names = Table {
        uids: (0..100_000).map(|n| EntityUid::of("Slack::Channel", &format!("channel-{n}")).unwrap()).collect(),
        policies: (0..1_000)
            .map(|n| PolicyRef { id: format!("allow-post-{n}").into(), file: "slack.cedar".into(), line: n })
            .collect(),
    };
    let (audit, recovery) = Audit::open(&folder, AuditOptions::new(Arc::new(names))).unwrap();
    let audit = Arc::new(audit);
    let began = Instant::now();
    let input = vec![b'x'; usize::try_from(input_bytes).unwrap()];
    let (taken, refused) = thread::scope(|scope| {
        let run = |_| {
            let mut producer = audit.producer().unwrap();
            let input = (!input.is_empty()).then_some(input.as_slice());
            scope.spawn(move || {
                let (mut taken, mut refused) = (0_u64, 0_u64);
                while began.elapsed() < Duration::from_secs(seconds) {
                    for _ in 0..64 {
                        match producer.push(&record(taken, input)) {
                            Ok(_) => taken += 1,
                            Err(_) => {
                                refused += 1;
                                thread::sleep(Duration::from_millis(1));
                            }
                        }
                    }
                }
                (taken, refused)
            })
        };
        let threads: Vec<_> = (0..producers).map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    audit.flush().unwrap();
    let elapsed = began.elapsed();
    let health = audit.health();
    audit.close().unwrap();
    let rate = u128::from(taken) * 1_000_000 / elapsed.as_micros();
    let (per_batch, per_entry) = (taken / health.batches.max(1), health.bytes / taken.max(1));
    println!("{taken} records in {elapsed:?}: {rate}/s durable, {refused} pauses at a full ring");
    println!("{} batches, {per_batch} records each, {per_entry} bytes a record", health.batches);
    let began = Instant::now();
    let read = AuditReader::open(&folder).unwrap().oldest_first(recovery.entries).unwrap().map(Result::unwrap);
    let found = read.filter(|entry| entry.worker > 0).count();
    println!("{found} read back in {:?}", began.elapsed());
}

fn record(n: u64, input: Option<&[u8]>) -> HotRecord<'_> {
    let scattered = u32::try_from(n.wrapping_mul(0x9E37_79B9) % 100_000).unwrap();
    HotRecord {
        decision_id: DecisionId::from_words([n, 1]),
        time: Timestamp::from_millis(1_795_459_205_007 + n / 100),
        session: Some(SessionId::from_words([u64::from(scattered), 2])),
        subject: EntityIndex::new(scattered),
        agents: &const { [EntityIndex::new(7)] },
        action: Name::Number(EntityIndex::new(scattered % 200)),
        resource: Name::Number(EntityIndex::new(99_999 - scattered)),
        outcome: Outcome::Decision(Verdict::Allow, Reason::Permitted),
        revision: Revision::new(1, 12),
        policy_set: 1,
        policies: &[3, 4],
        grant: Some(GrantId::from_words([3, n % 1_000])),
        intent: Intent::Perform,
        mode: Durability::Durable,
        latency_ns: 412,
        client: "platform-1",
        input,
    }
}
