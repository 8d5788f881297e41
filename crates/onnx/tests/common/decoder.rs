//! The decoder fixture, and engines made of it.

use std::collections::HashMap;

use batching::{SequenceId, SequenceModel, StepOutcome};
use onnx::{
    ChoiceProbe, DecodeRequest, Decoder, DecoderConfig, DecoderEngine, DecoderMetrics,
    EncodedPrompt, Generation, GrammarSpec,
};
use package::Package;
use prometheus::Registry;
use serde::Deserialize;

use super::{fixture, runtime};

pub(crate) const SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "verdict": {"enum": ["fraud", "suspicious", "legitimate"]},
        "typology": {"enum": ["takeover", "mule", "none"]},
        "reasons": {
            "type": "array", "maxItems": 3,
            "items": {"enum": ["velocity", "mismatch", "night"]}
        },
        "narrative": {"type": "string", "maxLength": 30}
    },
    "required": ["verdict", "typology", "reasons", "narrative"],
    "additionalProperties": false
}"#;
pub(crate) const VERDICTS: [&str; 3] = ["fraud", "suspicious", "legitimate"];

#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) prompt: String,
    pub(crate) verdict: String,
    pub(crate) margin: f64,
    pub(crate) input_ids: Vec<u32>,
    pub(crate) greedy: Vec<u32>,
    pub(crate) choice_log_probs: Vec<f64>,
}

pub(crate) fn golden() -> Vec<Golden> {
    package::read_golden(&fixture("tiny-llama").join("golden.jsonl")).unwrap()
}

pub(crate) fn spec() -> GrammarSpec {
    GrammarSpec {
        schema_json: SCHEMA.to_owned(),
        choice: ChoiceProbe {
            prefix: r#"{"verdict":""#.to_owned(),
            choices: VERDICTS.map(ToOwned::to_owned).to_vec(),
        },
    }
}

pub(crate) fn load(spec: Option<&GrammarSpec>, config: DecoderConfig) -> Result<Decoder, String> {
    load_from("tiny-llama", spec, config)
}

/// The same weights in another layout.
pub(crate) const OPTIMUM: &str = "tiny-llama-optimum";

pub(crate) fn load_from(
    folder: &str,
    spec: Option<&GrammarSpec>,
    config: DecoderConfig,
) -> Result<Decoder, String> {
    let package = Package::open(&fixture(folder)).unwrap();
    Decoder::load(&runtime(), &package, spec, config).map_err(|error| error.to_string())
}

pub(crate) fn config() -> DecoderConfig {
    DecoderConfig {
        max_batch_size: 4,
        max_prompt_tokens: Some(120),
        max_new_tokens: Some(100),
        ..DecoderConfig::default()
    }
}

pub(crate) fn metrics() -> DecoderMetrics {
    DecoderMetrics::register(&Registry::new()).unwrap()
}

pub(crate) fn engine(spec: Option<&GrammarSpec>, config: DecoderConfig) -> DecoderEngine {
    load(spec, config).unwrap().into_engine(metrics()).unwrap()
}

pub(crate) fn prompt(ids: &[u32]) -> EncodedPrompt {
    EncodedPrompt { ids: ids.to_vec() }
}

/// Runs all prompts through the engine, as many at once as it takes.
pub(crate) fn run_all(engine: &mut DecoderEngine, prompts: &[EncodedPrompt]) -> Vec<Generation> {
    let requests = prompts.iter().cloned().map(DecodeRequest::from);
    let mut waiting: Vec<(SequenceId, DecodeRequest)> =
        (0..).map(SequenceId).zip(requests).collect();
    let mut done: HashMap<SequenceId, Generation> = HashMap::new();
    let mut widest = 0;
    while done.len() < prompts.len() {
        let room = engine.capacity().min(waiting.len());
        for (_, joined) in engine.join(waiting.drain(..room).collect()) {
            joined.unwrap();
        }
        let outcomes = engine.step().unwrap();
        widest = widest.max(outcomes.len());
        for (id, outcome) in outcomes {
            match outcome {
                StepOutcome::Running | StepOutcome::Opened(_) => {}
                StepOutcome::Finished(generation) => {
                    assert!(done.insert(id, generation).is_none(), "{id:?} answered twice");
                }
                StepOutcome::Failed(error) => panic!("{id:?}: {error}"),
            }
        }
    }
    assert!(prompts.len() < 2 || widest > 1, "nothing ever ran together");
    (0..prompts.len() as u64).map(|id| done.remove(&SequenceId(id)).unwrap()).collect()
}

pub(crate) fn decode(ids: &[u32]) -> String {
    let tokenizer =
        tokenizers::Tokenizer::from_file(fixture("tiny-llama").join("tokenizer.json")).unwrap();
    tokenizer.decode(ids, true).unwrap()
}

pub(crate) fn assert_valid(generation: &Generation) {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let report: serde_json::Value = serde_json::from_str(&generation.text)
        .unwrap_or_else(|error| panic!("{error}: {}", generation.text));
    assert!(jsonschema::is_valid(&schema, &report), "{}", generation.text);
    let keys: Vec<_> = report.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["verdict", "typology", "reasons", "narrative"], "{}", generation.text);
    assert_eq!(serde_json::to_string(&report).unwrap().len(), generation.text.len(), "not compact");
}
