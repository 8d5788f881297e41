//! The engine's own rules: pieces of prompts, runs of forced tokens, either kind of graph, other
//! ways to choose.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

mod common;

use std::num::NonZeroUsize;

use batching::{SequenceId, SequenceModel, StepOutcome};
use common::decoder::{
    OPTIMUM, assert_valid, config, engine, golden, load, load_from, metrics, prompt, run_all, spec,
};
use common::texts;
use onnx::{
    DecodeRequest, DecoderConfig, DecoderEngine, EncodedPrompt, Extent, Generation, Opening,
    Sampling,
};

fn size(value: usize) -> NonZeroUsize {
    NonZeroUsize::new(value).unwrap()
}

fn prompts(count: usize, seed: u64) -> Vec<EncodedPrompt> {
    let encoder = load(None, config()).unwrap().encoder();
    texts(count, 14, seed).iter().map(|text| encoder.encode(text).unwrap()).collect()
}

/// The outcomes of the steps until the sequence has its first output.
fn steps_to_open(engine: &mut DecoderEngine, id: SequenceId) -> (usize, Opening) {
    for steps in 1..100 {
        for (of, outcome) in engine.step().unwrap() {
            if let (true, StepOutcome::Opened(opening)) = (of == id, outcome) {
                return (steps, opening);
            }
        }
    }
    panic!("it never opened");
}

#[test]
fn a_prompt_is_computed_in_pieces_and_its_verdict_is_the_same() {
    let line = &golden()[0];
    let tokens = line.input_ids.len();
    let whole = engine(Some(&spec()), config()).generate(prompt(&line.input_ids)).unwrap();
    for piece in [2, 3, 7] {
        let pieces = DecoderConfig { prefill_chunk: size(piece), ..config() };
        let mut engine = engine(Some(&spec()), pieces);
        engine.join(vec![(SequenceId(1), prompt(&line.input_ids).into())]);
        let (steps, opening) = steps_to_open(&mut engine, SequenceId(1));
        assert!(steps >= tokens.div_ceil(piece), "{steps} steps for {tokens} tokens");
        assert_eq!(opening, whole.opening, "to the bit");
    }
}

#[test]
fn between_two_steps_of_the_running_sequences_there_is_one_piece_of_a_prompt() {
    let golden = golden();
    let pieces = DecoderConfig { prefill_chunk: size(4), ..config() };
    let mut engine = engine(Some(&spec()), pieces);
    engine.join(vec![(SequenceId(0), prompt(&golden[0].input_ids).into())]);
    steps_to_open(&mut engine, SequenceId(0));
    let joiner = &golden[1].input_ids;
    engine.join(vec![(SequenceId(1), prompt(joiner).into())]);
    let mut alive = 0;
    let (steps, _) = steps_to_open(&mut engine, SequenceId(1));
    assert!(steps > 2, "the prompt must be long enough to prove anything");
    for (id, outcome) in engine.step().unwrap() {
        alive += usize::from(id == SequenceId(0) && matches!(outcome, StepOutcome::Running));
    }
    assert_eq!(alive, 1, "the first sequence went on meanwhile");
}

#[test]
fn answers_are_the_same_whatever_runs_beside_them_for_every_size_of_piece_and_run() {
    let prompts = prompts(16, 11);
    for (piece, run) in [(3, 2), (16, 4), (64, 1), (64, 1000)] {
        let rules = DecoderConfig { prefill_chunk: size(piece), forced_run: size(run), ..config() };
        let mut engine = engine(Some(&spec()), rules);
        let alone: Vec<_> =
            prompts.iter().map(|prompt| engine.generate(prompt.clone()).unwrap()).collect();
        assert_eq!(alone, run_all(&mut engine, &prompts), "pieces of {piece}, runs of {run}");
    }
}

#[test]
fn runs_of_forced_tokens_take_fewer_steps() {
    let line = &golden()[0];
    let steps = |run: usize| {
        let mut engine = engine(Some(&spec()), DecoderConfig { forced_run: size(run), ..config() });
        engine.join(vec![(SequenceId(0), prompt(&line.input_ids).into())]);
        (1..).find(|_| {
            let outcomes = engine.step().unwrap();
            outcomes.iter().any(|(_, outcome)| matches!(outcome, StepOutcome::Finished(_)))
        })
    };
    let (one_by_one, together) = (steps(1000).unwrap(), steps(2).unwrap());
    assert!(together + 5 < one_by_one, "{together} steps against {one_by_one}");
}

#[test]
fn a_graph_of_optimum_answers_as_the_model_builders_does() {
    let (builder, optimum) =
        (load(Some(&spec()), config()), load_from(OPTIMUM, Some(&spec()), config()));
    let mut builder = builder.unwrap().into_engine(metrics()).unwrap();
    let mut optimum = optimum.unwrap().into_engine(metrics()).unwrap();
    let prompts = prompts(12, 12);
    let expected = run_all(&mut builder, &prompts);
    let found = run_all(&mut optimum, &prompts);
    for (found, expected) in found.iter().zip(&expected) {
        let pairs = found.opening.choice_log_probs.iter().zip(&expected.opening.choice_log_probs);
        for (found, expected) in pairs {
            assert!((found - expected).abs() < 1e-3, "{found} against {expected}");
        }
        assert_valid(found);
    }
    let same = found.iter().zip(&expected).filter(|(a, b)| a.tokens == b.tokens).count();
    assert!(same * 10 >= expected.len() * 9, "{same} of {} answers agree", expected.len());
    let alone: Vec<Generation> =
        prompts.iter().map(|prompt| optimum.generate(prompt.clone()).unwrap()).collect();
    assert_eq!(alone, found);
}

#[test]
fn a_graph_of_optimum_takes_an_instruction_prefix_too() {
    let instruction = "card payment transfer refund cash wallet online store device ";
    let cached = DecoderConfig { instruction_prefix: Some(instruction.into()), ..config() };
    let decoder = load_from(OPTIMUM, Some(&spec()), cached).unwrap();
    let encoder = decoder.encoder();
    let mut with = decoder.into_engine(metrics()).unwrap();
    let mut without =
        load_from(OPTIMUM, Some(&spec()), config()).unwrap().into_engine(metrics()).unwrap();
    for text in texts(6, 8, 13) {
        let prompt = encoder.encode(&format!("{instruction}{text}")).unwrap();
        let a = with.generate(prompt.clone()).unwrap();
        let b = without.generate(prompt).unwrap();
        assert!(a.opening.cached_tokens > 5 && b.opening.cached_tokens == 0);
        for (a, b) in a.opening.choice_log_probs.iter().zip(&b.opening.choice_log_probs) {
            assert!((a - b).abs() < 1e-3, "{a} against {b}");
        }
    }
}

#[test]
fn a_verdict_alone_generates_nothing_and_is_that_of_the_whole_answer() {
    let line = &golden()[0];
    let mut engine = engine(Some(&spec()), config());
    let whole = engine.generate(prompt(&line.input_ids)).unwrap();
    let choice = DecodeRequest { extent: Extent::Choice, ..prompt(&line.input_ids).into() };
    let verdict = engine.generate(choice).unwrap();
    assert_eq!(verdict.opening, whole.opening);
    assert_eq!((verdict.text.as_str(), verdict.generated_tokens), ("", 0));
}

#[test]
fn a_seed_repeats_its_answer_alone_and_in_company_and_every_answer_fits_the_schema() {
    let prompts = prompts(4, 14);
    let mut engine = engine(Some(&spec()), config());
    let request = |prompt: &EncodedPrompt, seed| DecodeRequest {
        sampling: Sampling::Nucleus { temperature: 1.5, top_p: 0.95, seed },
        ..prompt.clone().into()
    };
    let alone: Vec<Generation> = (0..4)
        .map(|seed| engine.generate(request(&prompts[seed as usize], seed)).unwrap())
        .collect();
    let mut together = vec![None; 4];
    for (seed, prompt) in (0..).zip(&prompts) {
        engine.join(vec![(SequenceId(seed), request(prompt, seed))]);
        for (id, outcome) in engine.step().unwrap() {
            if let StepOutcome::Finished(answer) = outcome {
                together[id.0 as usize] = Some(answer);
            }
        }
    }
    while together.iter().any(Option::is_none) {
        for (id, outcome) in engine.step().unwrap() {
            if let StepOutcome::Finished(answer) = outcome {
                together[id.0 as usize] = Some(answer);
            }
        }
    }
    for (alone, together) in alone.iter().zip(together) {
        assert_valid(alone);
        assert_eq!(Some(alone), together.as_ref());
    }
    let other = engine.generate(request(&prompts[0], 99)).unwrap();
    assert_ne!(other.text, alone[0].text, "another seed, another answer");
    assert_eq!(other.opening, alone[0].opening, "a verdict is never drawn");
    let senseless = DecodeRequest {
        sampling: Sampling::Nucleus { temperature: 0.0, top_p: 1.0, seed: 0 },
        ..prompts[0].clone().into()
    };
    assert!(engine.generate(senseless).is_err());
}
