//! What do frames cost? Encoding a question and an answer into a reused buffer, and reading them from one.
#![allow(missing_docs, clippy::expect_used, reason = "a bench fails by panicking")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis_wire::frames::{DecideV1, DecisionV1, DetailsV1, RevisionV1};
use portcullis_wire::{FrameReader, FrameWriter, Payload};

/// Frames in one write, as a pipelined lane has them.
const FRAMES: u32 = 16;

fn question() -> DecideV1 {
    let details = DetailsV1 { intent: 1, ..DetailsV1::default() };
    DecideV1 { session: 1 << 32 | 7, at_least: RevisionV1::default(), action: 3, resource: 900, details }
}

fn answer() -> DecisionV1 {
    DecisionV1 { id: [7; 16], seq: 12, epoch: 1, node_ns: 99, reason: 1, verdict: 1, ..DecisionV1::default() }
}

fn encode<P: Payload>(criterion: &mut Criterion, name: &str, payload: &P) {
    let mut writer = FrameWriter::default();
    let mut group = criterion.benchmark_group("wire_encode");
    group.throughput(Throughput::Elements(FRAMES.into()));
    group.bench_function(format!("{name}_x16"), |bench| {
        bench.iter(|| {
            writer.clear();
            (0..FRAMES).for_each(|corr| writer.append(corr, black_box(payload)).expect("it fits"));
            black_box(writer.bytes().len())
        });
    });
    group.finish();
}

fn decode<P: Payload>(criterion: &mut Criterion, name: &str, payload: &P, mut reader: FrameReader) {
    let mut writer = FrameWriter::default();
    (0..FRAMES).for_each(|corr| writer.append(corr, payload).expect("it fits"));
    let mut group = criterion.benchmark_group("wire_decode");
    group.throughput(Throughput::Elements(FRAMES.into()));
    group.bench_function(format!("{name}_x16"), |bench| {
        bench.iter(|| {
            assert_eq!(reader.push(black_box(writer.bytes())), writer.len());
            let mut count = 0;
            while let Some(frame) = reader.next_frame().expect("a frame") {
                black_box(frame.access::<P>().expect("its payload"));
                count += 1;
            }
            assert_eq!(count, FRAMES);
        });
    });
    group.finish();
}

fn wire(criterion: &mut Criterion) {
    encode(criterion, "decide", &question());
    encode(criterion, "decision", &answer());
    decode(criterion, "decide", &question(), FrameReader::for_server());
    decode(criterion, "decision", &answer(), FrameReader::for_client());
}

criterion_group!(benches, wire);
criterion_main!(benches);
