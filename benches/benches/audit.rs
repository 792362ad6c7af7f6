//! What does it cost a deciding thread to have a decision recorded, and how long is one record on its way
//! to the device? One producer, real files with real syncs.
#![allow(missing_docs, clippy::expect_used, reason = "a bench fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis_audit::{Audit, AuditOptions, Durability, HotRecord, Name, Names, Outcome};
use portcullis_benches::results_folder;
use portcullis_model::{
    DecisionId, EntityIndex, EntityUid, Intent, PolicyRef, Reason, Revision, SessionId, Timestamp, Verdict,
};

/// Fewer than the ring holds.
const RECORDS_AT_A_TIME: u64 = 4_096;

struct Table {
    uid: EntityUid,
    policy: PolicyRef,
}

impl Names for Table {
    fn entity(&self, _: EntityIndex) -> Option<EntityUid> {
        Some(self.uid.clone())
    }

    fn policy(&self, _: u32, _: u32) -> Option<PolicyRef> {
        Some(self.policy.clone())
    }
}

fn record(number: u64) -> HotRecord<'static> {
    HotRecord {
        decision_id: DecisionId::from_words([number, 1]),
        time: Timestamp::from_millis(1_795_459_205_007),
        session: Some(SessionId::from_words([number, 2])),
        subject: EntityIndex::new(1),
        agents: &const { [EntityIndex::new(7)] },
        action: Name::Number(EntityIndex::new(2)),
        resource: Name::Number(EntityIndex::new(3)),
        outcome: Outcome::Decision(Verdict::Allow, Reason::Permitted),
        revision: Revision::new(1, 12),
        policy_set: 1,
        policies: &[3, 4],
        grant: None,
        intent: Intent::Perform,
        mode: Durability::Durable,
        latency_ns: 412,
        client: "bench",
        input: None,
    }
}

fn append(criterion: &mut Criterion) {
    let folder = tempfile::TempDir::new_in(results_folder().expect("a folder")).expect("a folder");
    let table = Table {
        uid: EntityUid::of("Document", "document-7").expect("a name"),
        policy: PolicyRef { id: "group-1-tool/7".into(), file: "users.cedar".into(), line: 7 },
    };
    let (audit, _) = Audit::open(folder.path(), AuditOptions::new(Arc::new(table))).expect("the audit log opens");
    let mut producer = audit.producer().expect("a producer");
    let mut number = 0;
    let mut group = criterion.benchmark_group("audit");
    // Only the pushes are timed; what fits the ring is waited out between them.
    group.bench_function("push", |bench| {
        bench.iter_custom(|iterations| {
            let mut left = iterations;
            let mut elapsed = Duration::ZERO;
            while left > 0 {
                let count = left.min(RECORDS_AT_A_TIME);
                let began = Instant::now();
                for _ in 0..count {
                    number += 1;
                    let _ = producer.push(&record(number)).expect("the ring has room");
                }
                elapsed += began.elapsed();
                audit.flush().expect("they are stored");
                left -= count;
            }
            elapsed
        });
    });
    group.sample_size(20);
    group.bench_function("push_until_durable", |bench| {
        bench.iter(|| {
            number += 1;
            let ticket = producer.push(&record(number)).expect("the ring has room");
            producer.nudge();
            audit.wait_durable(ticket).expect("it is stored");
        });
    });
    group.finish();
    drop(producer);
    audit.close().expect("the audit log closes");
}

criterion_group!(benches, append);
criterion_main!(benches);
