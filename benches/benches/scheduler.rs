//! What the scheduler costs for each request while so many wait.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use batching::{
    BatchShape, CostModel, DynamicConfig, DynamicScheduler, Priority, RequestId, RunTime,
    SessionKind, Sessions, Waiting,
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const DEADLINE: Duration = Duration::from_secs(3600);

/// Lengths as transactions have them, in no order: 24 to 88 tokens.
fn length(id: u64) -> usize {
    24 + (id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 58) as usize
}

fn request(id: u64, now: Instant) -> Waiting {
    Waiting::new(length(id), Priority::Interactive, now, now + DEADLINE)
}

fn admit_and_dispatch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admit, dispatch and complete one batch");
    for waiting in [8_u64, 128, 512] {
        group.bench_with_input(BenchmarkId::from_parameter(waiting), &waiting, |bench, waiting| {
            let now = Instant::now();
            let cost = CostModel::new(&[]);
            let config = DynamicConfig::default();
            let mut scheduler =
                DynamicScheduler::new(&config, Sessions::narrow(2), cost.clone(), cost);
            let mut next = 0;
            let mut refill = |scheduler: &mut DynamicScheduler| {
                while scheduler.waiting() < *waiting as usize {
                    scheduler.admit(RequestId(next), request(next, now));
                    next += 1;
                }
            };
            refill(&mut scheduler);
            bench.iter(|| {
                let dispatch = scheduler.dispatch(now, Sessions::narrow(1));
                let texts = dispatch.batch.map_or(0, |(_, ids)| ids.len());
                let shape = BatchShape { texts, tokens: 56 };
                let time = RunTime::undisturbed(Duration::from_millis(5));
                scheduler.completed(SessionKind::Narrow, shape, time);
                refill(&mut scheduler);
                black_box(texts)
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = admit_and_dispatch
}
criterion_main!(benches);
