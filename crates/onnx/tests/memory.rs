//! Workers of the shipped classifier share its weights and keep their size. Alone in its binary:
//! it weighs the process.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![cfg(target_os = "linux")]

mod common;

use batching::BatchModel;
use common::{classifier, in_a_strict_heap, root};
use onnx::{ClassifierWorker, EncodedText};
use rand::{RngExt, SeedableRng, rngs::StdRng};

const LENGTHS: [usize; 8] = [8, 24, 40, 56, 72, 88, 104, 128];
const BATCH_SIZES: [usize; 4] = [1, 2, 4, 8];

fn resident_kilobytes() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Warms up on a thread of its own, as a server's workers do: the C library keeps a heap for each.
fn warmed(mut workers: Vec<ClassifierWorker>) -> Vec<ClassifierWorker> {
    let warm = |mut worker: ClassifierWorker| {
        worker.warm_up(&LENGTHS, &BATCH_SIZES).unwrap();
        worker
    };
    workers
        .drain(..)
        .map(|worker| std::thread::spawn(move || warm(worker)).join().unwrap())
        .collect()
}

#[test]
fn more_workers_weigh_their_activations_and_random_shapes_add_nothing() {
    if !in_a_strict_heap("more_workers_weigh_their_activations_and_random_shapes_add_nothing") {
        return;
    }
    let dir = root().join("models/screening");
    let model = i64::try_from(std::fs::metadata(dir.join("model.onnx")).unwrap().len()).unwrap();
    let classifier = classifier(&dir);
    let mut workers = warmed(classifier.workers(2, 1).unwrap());
    let before = resident_kilobytes();
    workers.extend(warmed(classifier.workers(4, 1).unwrap()));
    let each = (resident_kilobytes() - before) * 1024 / 4;
    assert!(each < model, "another worker took {each} bytes; the model has {model}");

    let before = resident_kilobytes();
    let mut rng = StdRng::seed_from_u64(5);
    for round in 0..120 {
        let ids: Vec<u32> = (0..rng.random_range(1..=128)).map(|id| id % 100 + 5).collect();
        let text = EncodedText { type_ids: vec![0; ids.len()], ids, truncated: false };
        let batch = vec![&text; rng.random_range(1..=8)];
        let slot = round % workers.len();
        assert_eq!(workers[slot].run(&batch).unwrap().len(), batch.len());
    }
    let growth = resident_kilobytes() - before;
    assert!(growth < 4096, "120 runs of random shapes after the warm-up took {growth} kB more");
}
