//! A folder that cannot work is refused when it is loaded, with the file's name.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod common;

use std::fs;
use std::path::Path;

use common::{copy, fixture, runtime};
use onnx::{Classifier, ClassifierConfig, ExecutionProvider, SessionConfig};
use package::Package;

fn refusal(dir: &Path) -> String {
    match Package::open(dir) {
        Err(error) => error.to_string(),
        Ok(package) => Classifier::load(&runtime(), &package, &ClassifierConfig::default())
            .err()
            .expect("a bad folder was accepted")
            .to_string(),
    }
}

fn check(damage: impl Fn(&Path), expected: &[&str]) {
    let dir = copy("tiny-bert");
    damage(dir.path());
    let message = refusal(dir.path());
    for part in expected {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

fn edit_config(dir: &Path, edit: impl Fn(&mut serde_json::Value)) {
    let path = dir.join("config.json");
    let mut config = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut config);
    fs::write(path, config.to_string()).unwrap();
}

#[test]
fn a_missing_file_is_named() {
    for file in ["config.json", "tokenizer.json", "model.onnx"] {
        check(|dir| fs::remove_file(dir.join(file)).unwrap(), &[file]);
    }
}

#[test]
fn a_damaged_file_is_named() {
    for file in ["config.json", "tokenizer.json", "model.onnx"] {
        check(|dir| fs::write(dir.join(file), "\u{1}nonsense").unwrap(), &[file]);
        check(|dir| fs::write(dir.join(file), "").unwrap(), &[file]);
    }
}

#[test]
fn a_truncated_graph_is_named() {
    check(
        |dir| {
            let path = dir.join("model.onnx");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        },
        &["model.onnx", "cannot load it"],
    );
}

/// Renames an input inside the protobuf; the name keeps its length, so the file stays valid.
fn rename(dir: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let path = dir.join("model.onnx");
    let mut bytes = fs::read(&path).unwrap();
    let found: Vec<usize> = (0..bytes.len() - from.len())
        .filter(|&at| &bytes[at..at + from.len()] == from.as_bytes())
        .collect();
    assert!(!found.is_empty());
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_unknown_graph_input_is_named() {
    check(
        |dir| rename(dir, "token_type_ids", "speech_type_id"),
        &["model.onnx", "unknown graph input `speech_type_id`"],
    );
}

#[test]
fn a_graph_without_logits_is_refused() {
    check(|dir| rename(dir, "logits", "hidden"), &["model.onnx", "no output `logits`"]);
}

#[test]
fn a_tokenizer_with_more_tokens_than_the_model_has_rows_is_refused() {
    check(
        |dir| edit_config(dir, |config| config["vocab_size"] = 100.into()),
        &["tokenizer.json", "beyond the model's vocab_size of 100"],
    );
}

#[test]
fn labels_that_do_not_fit_the_graph_or_do_not_tell_fraud_are_refused() {
    let three = serde_json::json!({"0": "a", "1": "fraud", "2": "c"});
    check(
        |dir| edit_config(dir, |config| config["id2label"] = three.clone()),
        &["model.onnx", "3 labels"],
    );
    let vague = serde_json::json!({"0": "NEGATIVE", "1": "POSITIVE"});
    check(
        |dir| edit_config(dir, |config| config["id2label"] = vague.clone()),
        &["config.json", "NEGATIVE, POSITIVE", "fraud_label"],
    );
}

#[test]
#[cfg(not(any(feature = "openvino", feature = "cuda")))]
fn a_provider_that_was_not_built_in_is_refused_by_name() {
    for (provider, name) in
        [(ExecutionProvider::OpenVino, "openvino"), (ExecutionProvider::Cuda, "cuda")]
    {
        let session = SessionConfig { provider, ..SessionConfig::default() };
        let config = ClassifierConfig { session, ..ClassifierConfig::default() };
        let package = Package::open(&fixture("tiny-distilbert")).unwrap();
        let error = Classifier::load(&runtime(), &package, &config).err().unwrap().to_string();
        assert!(error.contains(&format!("without the feature `{name}`")), "{error}");
    }
}
