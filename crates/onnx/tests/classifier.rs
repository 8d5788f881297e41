//! Classifier exports: the same logits as PyTorch, whatever shares the batch.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod common;

use batching::BatchModel;
use common::{classifier, fixture, texts};
use onnx::{Classification, ClassifierWorker, EncodedText};
use package::{ClassifierGolden, read_golden};
use rand::{RngExt, SeedableRng, rngs::StdRng};

const TOLERANCE: f32 = 1e-4;
const ALL: [&str; 4] = ["tiny-bert", "tiny-roberta", "tiny-distilbert", "tiny-distilbert-int8"];

fn one(worker: &mut ClassifierWorker, text: &EncodedText) -> Classification {
    worker.run(&[text]).unwrap().pop().unwrap()
}

fn bits(classification: &Classification) -> (u64, Vec<u32>) {
    let logits = classification.logits.iter().map(|logit| logit.to_bits()).collect();
    (classification.probability.to_bits(), logits)
}

fn check_golden(name: &str) {
    let classifier = classifier(&fixture(name));
    let encoder = classifier.encoder();
    let mut worker = classifier.default_worker().unwrap();
    let golden: Vec<ClassifierGolden> = read_golden(&fixture(name).join("golden.jsonl")).unwrap();
    let spread = |values: Vec<f64>| {
        let top = values.iter().copied().fold(f64::MIN, f64::max);
        top - values.iter().copied().fold(f64::MAX, f64::min)
    };
    let probabilities = golden.iter().map(|line| line.probability).collect();
    assert!(spread(probabilities) > 0.1, "{name}: golden scores that never differ prove nothing");
    for line in &golden {
        let encoded = encoder.encode(&line.text).unwrap();
        assert_eq!(encoded.ids, line.input_ids, "{name}: {}", line.text);
        let answer = one(&mut worker, &encoded);
        for (logit, expected) in answer.logits.iter().zip(&line.logits) {
            assert!((logit - expected).abs() < TOLERANCE, "{name}: {logit} against {expected}");
        }
        assert!((answer.probability - line.probability).abs() < f64::from(TOLERANCE), "{name}");
    }
}

#[test]
fn every_export_answers_the_logits_that_pytorch_computed() {
    for name in ALL {
        check_golden(name);
    }
}

fn check_invariance(name: &str) {
    let classifier = classifier(&fixture(name));
    let encoder = classifier.encoder();
    let mut workers = classifier.workers(2, 1).unwrap();
    let encoded: Vec<EncodedText> =
        texts(200, 24, 1).iter().map(|text| encoder.encode(text).unwrap()).collect();
    let alone: Vec<_> = encoded.iter().map(|text| bits(&one(&mut workers[0], text))).collect();
    let mut rng = StdRng::seed_from_u64(2);
    for round in 0..60 {
        let size = rng.random_range(2..=16);
        let picked: Vec<usize> = (0..size).map(|_| rng.random_range(0..encoded.len())).collect();
        let batch: Vec<&EncodedText> = picked.iter().map(|&index| &encoded[index]).collect();
        let answers = workers[round % 2].run(&batch).unwrap();
        for (answer, &index) in answers.iter().zip(&picked) {
            assert_eq!(bits(answer), alone[index], "{name}: text {index} in a batch of {size}");
        }
    }
}

#[test]
fn a_score_is_the_same_to_the_bit_alone_and_in_any_batch() {
    for name in ALL {
        check_invariance(name);
    }
}

#[test]
fn a_score_does_not_depend_on_the_number_of_threads() {
    for name in ALL {
        let classifier = classifier(&fixture(name));
        let encoder = classifier.encoder();
        let mut narrow = classifier.workers(1, 1).unwrap().remove(0);
        let mut wide = classifier.workers(1, 3).unwrap().remove(0);
        for text in texts(40, 24, 3) {
            let encoded = encoder.encode(&text).unwrap();
            assert_eq!(
                bits(&one(&mut narrow, &encoded)),
                bits(&one(&mut wide, &encoded)),
                "{name}"
            );
        }
    }
}

#[test]
fn a_long_text_is_truncated_to_what_the_model_takes_and_keeps_its_special_tokens() {
    for (name, limit) in [("tiny-bert", 64), ("tiny-roberta", 128), ("tiny-distilbert", 128)] {
        let classifier = classifier(&fixture(name));
        let encoder = classifier.encoder();
        assert_eq!(encoder.max_tokens(), limit, "{name}");
        let short = encoder.encode("card").unwrap();
        let long = encoder.encode(&"card ".repeat(500)).unwrap();
        assert!(long.truncated && !short.truncated, "{name}");
        assert_eq!(long.ids.len(), limit, "{name}");
        assert_eq!(long.ids.first(), short.ids.first(), "{name}");
        assert_eq!(long.ids.last(), short.ids.last(), "{name}");
        let mut worker = classifier.default_worker().unwrap();
        assert!((0.0..=1.0).contains(&one(&mut worker, &long).probability), "{name}");
    }
}

#[test]
fn a_special_token_written_in_the_text_is_plain_text() {
    for (name, marker) in [("tiny-bert", "[SEP]"), ("tiny-roberta", "</s>")] {
        let classifier = classifier(&fixture(name));
        let encoder = classifier.encoder();
        let honest = encoder.encode("card").unwrap();
        let control = *honest.ids.last().unwrap();
        let hostile = encoder.encode(&format!("card {marker} {marker}card")).unwrap();
        let count = hostile.ids.iter().filter(|id| **id == control).count();
        assert_eq!(count, 1, "{name}: {:?}", hostile.ids);
        assert!(hostile.ids.len() > honest.ids.len() + 2, "{name}: the marker's letters stay");
    }
}

#[test]
fn an_empty_text_has_a_score_and_an_empty_batch_has_none() {
    let classifier = classifier(&fixture("tiny-bert"));
    let mut worker = classifier.default_worker().unwrap();
    let empty = classifier.encoder().encode("").unwrap();
    assert!((0.0..=1.0).contains(&one(&mut worker, &empty).probability));
    assert!(worker.run(&[]).unwrap().is_empty());
    let hollow = EncodedText { ids: vec![], type_ids: vec![], truncated: false };
    assert!(worker.run(&[&hollow]).is_err());
}

#[test]
fn an_id_beyond_the_vocabulary_is_an_error_and_the_worker_lives_on() {
    let classifier = classifier(&fixture("tiny-bert"));
    let mut worker = classifier.default_worker().unwrap();
    let stray = EncodedText { ids: vec![1_000_000], type_ids: vec![0], truncated: false };
    assert!(worker.run(&[&stray]).is_err());
    let honest = classifier.encoder().encode("card").unwrap();
    assert_eq!(worker.run(&[&honest]).unwrap().len(), 1);
}

#[test]
fn warming_up_runs_every_length_and_batch_size() {
    let classifier = classifier(&fixture("tiny-bert"));
    let mut worker = classifier.default_worker().unwrap();
    worker.warm_up(&[1, 16, 64], &[1, 4]).unwrap();
    assert!(worker.warm_up(&[65], &[1]).is_err(), "the model has 64 positions");
}

#[test]
fn the_shipped_graph_scores_to_the_bit_alone_in_one_large_batch_and_on_two_threads() {
    let dir = common::root().join("models/screening");
    let classifier = classifier(&dir);
    let encoder = classifier.encoder();
    let golden: Vec<ClassifierGolden> = read_golden(&dir.join("golden.jsonl")).unwrap();
    let encoded: Vec<EncodedText> =
        golden.iter().map(|line| encoder.encode(&line.text).unwrap()).collect();
    let mut narrow = classifier.workers(1, 1).unwrap().pop().unwrap();
    let mut wide = classifier.workers(1, 2).unwrap().pop().unwrap();
    let alone: Vec<_> = encoded.iter().map(|text| bits(&one(&mut narrow, text))).collect();
    // Far more tokens than one run computes: the parts must come back in order.
    let batch: Vec<&EncodedText> = encoded.iter().collect();
    for worker in [&mut narrow, &mut wide] {
        let together: Vec<_> = worker.run(&batch).unwrap().iter().map(bits).collect();
        assert_eq!(together, alone);
    }
    for (text, alone) in encoded.iter().zip(&alone) {
        assert_eq!(&bits(&one(&mut wide, text)), alone);
    }
}
