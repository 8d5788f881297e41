//! A DistilBERT of the dimensions of distilbert-base: a drop-in, not only in miniature.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod common;

use batching::BatchModel;
use common::{classifier, full_size};
use onnx::EncodedText;
use package::{ClassifierGolden, read_golden};

#[test]
fn a_full_size_export_answers_the_logits_of_an_independent_forward_pass_alone_and_in_a_batch() {
    let dir = full_size();
    let classifier = classifier(&dir);
    assert_eq!(classifier.encoder().max_tokens(), 512);
    let golden: Vec<ClassifierGolden> = read_golden(&dir.join("golden.jsonl")).unwrap();
    let encoder = classifier.encoder();
    let texts: Vec<EncodedText> =
        golden.iter().map(|line| encoder.encode(&line.text).unwrap()).collect();
    let mut worker = classifier.default_worker().unwrap();
    let batch: Vec<&EncodedText> = texts.iter().collect();
    let together = worker.run(&batch).unwrap();
    for ((line, text), together) in golden.iter().zip(&texts).zip(&together) {
        assert_eq!(text.ids, line.input_ids, "{}", line.text);
        let alone = worker.run(&[text]).unwrap().remove(0);
        for (logit, expected) in alone.logits.iter().zip(&line.logits) {
            assert!((logit - expected).abs() < 1e-4, "{logit} against {expected}");
        }
        assert!((alone.probability - line.probability).abs() < 1e-4);
        assert_eq!(&alone, together, "{} tokens in a padded batch", text.ids.len());
    }
}
