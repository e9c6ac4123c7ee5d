//! The time that a message takes: `cargo bench -p socket-ipc --bench messages`.
//!
//! Times depend on the machine and its load. To measure a change, compare with a run before it (`--save-baseline`,
//! `--baseline`), or count instructions, which has no noise (`instructions.rs`).

mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn messages(criterion: &mut Criterion) {
    for case in support::cases() {
        let mut group = criterion.benchmark_group(case.group);
        group.throughput(Throughput::Elements(case.messages as u64));
        group.bench_function(BenchmarkId::from_parameter(case.name), |bencher| {
            bencher.iter(|| case.run(case.messages));
        });
    }
}

criterion_group!(all, messages);
criterion_main!(all);
