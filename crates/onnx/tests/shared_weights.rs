//! Workers of one classifier share its weights. Alone in its binary: it weighs the process.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![cfg(target_os = "linux")]

mod common;

use common::{classifier, full_size, in_a_strict_heap};

fn resident_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn another_worker_weighs_much_less_than_the_model() {
    if !in_a_strict_heap("another_worker_weighs_much_less_than_the_model") {
        return;
    }
    let dir = full_size();
    let model = std::fs::metadata(dir.join("model.onnx")).unwrap().len() / 1_000_000;
    assert!(model > 200, "the model has {model} MB");
    let classifier = classifier(&dir);
    let first = classifier.workers(1, 1).unwrap();
    let before = resident_megabytes();
    let more = classifier.workers(4, 1).unwrap();
    let growth = resident_megabytes().saturating_sub(before);
    assert!(growth < model / 10, "4 more workers took {growth} MB; the model has {model} MB");
    drop((first, more));
}
