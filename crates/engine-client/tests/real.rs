//! The client against an engine that really serves the shipped decoder.
//!
//! `ENGINE_URL=http://127.0.0.1:8080 cargo test -p engine-client --test real -- --ignored`, with
//! for instance `llama-server -m shipped.gguf` there: the decoder of `models/analysis` as GGUF.

use std::{env, fs, path::Path, time::Duration};

use engine_client::{Client, Config, Deadlines, Endpoint, Form, LogProbKind, Request};
use futures::future::join_all;
use prometheus::Registry;
use serde_json::{Value, json};
use tokio::time::Instant;

const WORDS: [&str; 3] = ["fraud", "suspicious", "legitimate"];

fn form() -> Form {
    let schema = json!({
        "type": "object",
        "properties": {
            "verdict": { "type": "string", "enum": WORDS },
            "narrative": { "type": "string", "maxLength": 120 },
        },
        "required": ["verdict", "narrative"],
        "additionalProperties": false,
    });
    Form::new(schema, "{\"verdict\":\"", &WORDS).expect("a form")
}

fn client(endpoint: Endpoint) -> Client {
    let base_url = env::var("ENGINE_URL").expect("ENGINE_URL names the engine");
    let config = Config { base_url, endpoint, max_concurrency: 4, ..Config::default() };
    Client::new(config, &Registry::new()).expect("a client")
}

fn golden() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/analysis/golden.jsonl");
    let text = fs::read_to_string(path).expect("the golden vectors");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn soon() -> Deadlines {
    Deadlines::both(Instant::now() + Duration::from_secs(120))
}

/// The package holds INT8 weights and the engine may hold others: margins agree to this much.
const TOLERANCE: f64 = 0.05;

#[tokio::test]
#[ignore = "needs an engine at ENGINE_URL that serves the shipped decoder"]
async fn the_shipped_decoder_behind_an_engine_gives_its_golden_margins() {
    let client = client(match env::var("ENGINE_ROUTE").as_deref() {
        Ok("chat") => Endpoint::Chat,
        _ => Endpoint::Completions,
    });
    let found = client.probe(soon().verdict).await.expect("capabilities");
    println!("{found:?}");
    assert!(found.honours_schema && found.streams);
    assert_ne!(found.log_probs, LogProbKind::None);
    let cases = golden();
    let asked = cases.iter().map(|case| {
        let prompt = case["prompt"].as_str().expect("a prompt").to_owned();
        client.generate(Request { prompt, form: form(), max_tokens: 128 }, soon())
    });
    let answers = join_all(asked.map(|answer| async {
        let answer = answer.await?;
        let choice = answer.choice;
        answer.rest.written().await.map(|_| choice)
    }))
    .await;
    let mut worst: f64 = 0.0;
    for (case, choice) in cases.iter().zip(answers) {
        let found = choice.expect("a report").log_probs.expect("log-probabilities");
        let [fraud, suspicious, legitimate] = [0, 1, 2].map(|i| found.by_choice[i].1);
        // The golden file's margin: `suspicious` counts half for either side.
        let half = 0.5 * suspicious.exp();
        let margin = ((fraud.exp() + half) / (legitimate.exp() + half)).ln();
        let expected = case["margin"].as_f64().expect("a margin");
        worst = worst.max((margin - expected).abs());
    }
    println!("{} cases, largest difference of a margin {worst:.4}", cases.len());
    assert!(worst <= TOLERANCE, "{worst}");
}

#[tokio::test]
#[ignore = "needs an engine at ENGINE_URL"]
async fn a_caller_that_leaves_at_the_verdict_leaves_the_engine_free_for_the_next() {
    let client = client(Endpoint::Chat);
    for case in golden().into_iter().take(8) {
        let prompt = case["prompt"].as_str().expect("a prompt").to_owned();
        let request = Request { prompt, form: form(), max_tokens: 128 };
        let answer = client.generate(request, soon()).await.expect("a verdict");
        assert!(WORDS.contains(&answer.choice.word.as_str()));
        drop(answer.rest);
    }
}
