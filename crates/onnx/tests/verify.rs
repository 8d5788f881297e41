//! What `verify` finds in good packages and in bad ones.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod common;

use std::fs;
use std::path::Path;

use common::{copy, fixture, runtime};
use onnx::{
    ChoiceProbe, ClassifierConfig, DecoderConfig, Generation, GrammarSpec, Stage, Verification,
    VerifyConfig, verify_classifier, verify_decoder,
};
use package::Package;

fn quick() -> VerifyConfig {
    VerifyConfig { runs: 2, lengths: vec![8, 32, 5000], ..VerifyConfig::default() }
}

fn classifier(dir: &Path) -> Verification {
    let package = Package::open(dir).unwrap();
    verify_classifier(&runtime(), &package, &ClassifierConfig::default(), &quick()).unwrap()
}

fn failed(found: &Verification) -> Vec<&str> {
    found.checks.iter().filter(|check| !check.passed).map(|check| check.property).collect()
}

#[test]
fn every_fixture_passes_and_is_measured() {
    for name in ["tiny-bert", "tiny-roberta", "tiny-distilbert", "tiny-distilbert-int8"] {
        let found = classifier(&fixture(name));
        assert!(found.passed(), "{name}: {:?}", found.checks);
        assert_eq!(found.checks.len(), 3);
        assert!(found.checks.iter().all(|check| check.inputs >= 24), "{:?}", found.checks);
        let lengths: Vec<_> = found.latencies.iter().map(|found| found.tokens).collect();
        assert_eq!(lengths, [8, 8, 32, 32], "{name} takes no 5000 tokens");
        assert!(found.latencies.iter().all(|found| found.fastest <= found.median));
        assert_eq!(found.drift.is_some(), name == "tiny-distilbert-int8");
    }
}

#[test]
fn int8_drifts_from_fp32_but_not_far() {
    let drift = classifier(&fixture("tiny-distilbert-int8")).drift.unwrap();
    assert_eq!(drift.texts, 24);
    assert!(drift.mean > 0.0 && drift.mean <= drift.worst && drift.worst < 0.2, "{drift:?}");
}

#[test]
fn a_changed_golden_score_or_token_fails_with_the_line() {
    for (from, to) in [("\"probability\": 0.", "\"probability\": 1."), ("[2, ", "[2, 2, ")] {
        let dir = copy("tiny-bert");
        let path = dir.path().join("golden.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let found = classifier(dir.path());
        assert_eq!(failed(&found), ["golden vectors score as they did where they were made"]);
        assert!(found.checks[0].detail.starts_with("vector "), "{}", found.checks[0].detail);
    }
}

#[test]
fn a_folder_without_golden_vectors_is_measured_all_the_same() {
    let dir = copy("tiny-roberta");
    fs::remove_file(dir.path().join("golden.jsonl")).unwrap();
    let found = classifier(dir.path());
    assert!(found.passed());
    assert_eq!(found.checks.len(), 2);
}

#[test]
fn a_graph_whose_scale_follows_the_batch_fails_the_invariance_checks() {
    let dir = copy("tiny-distilbert");
    fs::copy(fixture("dynamic-int8.onnx"), dir.path().join("model.onnx")).unwrap();
    let found = classifier(dir.path());
    let failed = failed(&found);
    assert!(failed.contains(&"a padded text scores as it does alone, to the bit"), "{failed:?}");
    assert!(failed.contains(&"a text scores the same beside any other, to the bit"), "{failed:?}");
}

fn decoder(dir: &Path, max_new_tokens: usize) -> Verification {
    let schema_json = r#"{"type": "object", "properties": {
        "verdict": {"enum": ["fraud", "suspicious", "legitimate"]},
        "narrative": {"type": "string", "maxLength": 12}},
        "required": ["verdict", "narrative"], "additionalProperties": false}"#;
    let grammar = GrammarSpec {
        schema_json: schema_json.to_owned(),
        choice: ChoiceProbe {
            prefix: r#"{"verdict":""#.to_owned(),
            choices: ["fraud", "suspicious", "legitimate"].map(ToOwned::to_owned).to_vec(),
        },
    };
    let config = DecoderConfig {
        max_prompt_tokens: Some(120),
        max_new_tokens: Some(max_new_tokens),
        ..DecoderConfig::default()
    };
    let margin = |answer: &Generation| {
        let p = answer.opening.choice[0].1;
        (p / (1.0 - p)).ln()
    };
    let package = Package::open(dir).unwrap();
    verify_decoder(&runtime(), &package, &grammar, config, &margin, &quick()).unwrap()
}

#[test]
fn the_decoder_fixture_passes_and_is_measured() {
    let found = decoder(&fixture("tiny-llama"), 80);
    assert!(found.passed(), "{:?}", found.checks);
    assert_eq!(found.checks.len(), 3);
    let stages: Vec<_> = found.latencies.iter().map(|found| (found.stage, found.tokens)).collect();
    let (prefill, step) = (Stage::Prefill, Stage::Step);
    assert_eq!(stages, [(prefill, 8), (step, 8), (prefill, 32), (step, 32)]);
}

#[test]
fn a_decoder_with_wrong_golden_margins_or_cut_off_answers_fails() {
    assert_eq!(
        failed(&decoder(&fixture("tiny-llama"), 2)),
        ["every answer is complete within its limit"]
    );
    let dir = copy("tiny-llama");
    let path = dir.path().join("golden.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"margin\": -", "\"margin\": 4", 1)).unwrap();
    assert_eq!(
        failed(&decoder(dir.path(), 80)),
        ["golden prompts score as they did where they were made"]
    );
}
