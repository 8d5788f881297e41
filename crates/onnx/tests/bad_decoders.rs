//! A decoder folder or a grammar that cannot work is refused when it is loaded.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod common;

use common::decoder::{SCHEMA, config, load, spec};
use common::runtime;
use onnx::{Decoder, DecoderConfig, GrammarSpec};
use package::Package;

fn refusal(spec: &GrammarSpec) -> String {
    load(Some(spec), config()).err().expect("a bad grammar was accepted")
}

#[test]
fn a_grammar_that_cannot_work_is_refused_with_the_reason() {
    let with = |edit: fn(&mut GrammarSpec)| {
        let mut spec = spec();
        edit(&mut spec);
        refusal(&spec)
    };
    let message = with(|spec| spec.schema_json = "{".into());
    assert!(message.contains("the schema is no JSON"), "{message}");
    let message = with(|spec| spec.schema_json = r#"{"type": "nothing"}"#.into());
    assert!(message.contains("cannot be compiled"), "{message}");
    let message = with(|spec| spec.choice.prefix = r#"{"outcome":""#.into());
    assert!(message.contains("does not force"), "{message}");
    let message = with(|spec| spec.choice.choices[1] = "weird".into());
    assert!(message.contains("does not allow `weird`"), "{message}");
    let message = with(|spec| spec.choice.choices.truncate(1));
    assert!(message.contains("at least two"), "{message}");
    let message = with(|spec| {
        spec.schema_json = SCHEMA.replace("\"fraud\"", "\"fraud\", \"fraud!\"");
    });
    assert!(message.contains("`fraud` does not settle"), "{message}");
    let message = with(|spec| spec.choice.choices[1] = "fraud".into());
    assert!(message.contains("start with one token"), "{message}");
}

#[test]
fn limits_that_do_not_fit_the_context_are_refused() {
    let message = load(None, DecoderConfig { max_prompt_tokens: Some(300), ..config() });
    assert!(message.err().unwrap().contains("context of 256"));
    let message = load(None, DecoderConfig { max_batch_size: 0, ..config() });
    assert!(message.err().unwrap().contains("max_batch_size"));
}

#[test]
fn a_damaged_decoder_folder_is_refused_with_the_files_name() {
    for file in ["genai_config.json", "tokenizer.json", "model.onnx", "model.onnx.data"] {
        for damage in [None, Some("nonsense")] {
            let dir = common::copy("tiny-llama");
            match damage {
                None => std::fs::remove_file(dir.path().join(file)).unwrap(),
                Some(text) => std::fs::write(dir.path().join(file), text).unwrap(),
            }
            let message = match Package::open(dir.path()) {
                Err(error) => error.to_string(),
                Ok(package) => Decoder::load(&runtime(), &package, Some(&spec()), config())
                    .err()
                    .unwrap_or_else(|| panic!("{file} {damage:?} was accepted"))
                    .to_string(),
            };
            assert!(message.contains(file.trim_end_matches(".data")), "{file}: {message}");
        }
    }
}

#[test]
fn a_decoder_whose_sizes_do_not_fit_its_graph_is_refused() {
    for (from, to) in [
        ("\"head_size\": 16", "\"head_size\": 32"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1"),
        ("\"vocab_size\": 424", "\"vocab_size\": 430"),
        ("\"vocab_size\": 424", "\"vocab_size\": 100"),
        ("\"eos_token_id\": 2", "\"eos_token_id\": 424"),
    ] {
        let dir = common::copy("tiny-llama");
        let path = dir.path().join("genai_config.json");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let package = Package::open(dir.path()).unwrap();
        assert!(Decoder::load(&runtime(), &package, None, config()).is_err(), "{to}");
    }
}
