//! What a request costs beside the model: JSON, velocity, template, tokens.

use std::{hint::black_box, path::Path, time::Duration};

use benches::tier1::texts::{transactions, warm_store};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use domain::{Decision, ParseContext, Transaction};
use jiff::Timestamp;
use onnx::{Classifier, ClassifierConfig, Runtime, RuntimeConfig};
use package::Package;
use screening::{Facts, Renderer};
use serde_json::{Value, json};
use velocity::{Config, VelocityStore};

/// `cargo bench` runs in the package's folder.
const ROOT: &str = "..";

fn sample(name: &str) -> Vec<Transaction> {
    let path = Path::new(ROOT).join("samples").join(name);
    transactions(&path).expect("samples are transactions")
}

fn warm() -> VelocityStore {
    let history = Path::new(ROOT).join("samples/history.ndjson");
    warm_store(&history).expect("samples are transactions")
}

/// Hands out the items in turn, for ever.
fn in_turn<'a, T>(items: &'a [T]) -> impl FnMut() -> &'a T {
    let mut next = 0;
    move || {
        next += 1;
        &items[next % items.len()]
    }
}

fn json(criterion: &mut Criterion) {
    let payments = sample("payments.ndjson");
    let bodies: Vec<String> =
        payments.iter().map(|payment| json!({"transaction": payment}).to_string()).collect();
    let mut body = in_turn(&bodies);
    let context = ParseContext { now: Timestamp::MAX };
    criterion.bench_function("parse a request", |bench| {
        bench.iter(|| {
            let value: Value = serde_json::from_str(body()).expect("JSON");
            Transaction::parse(&value["transaction"], &context).expect("a transaction")
        });
    });
    let decision: Decision = serde_json::from_value(decision()).expect("a decision");
    criterion.bench_function("write a decision", |bench| {
        bench.iter(|| serde_json::to_string(black_box(&decision)).expect("JSON"));
    });
}

fn decision() -> Value {
    let package = json!({"name": "weir-screening", "version": "1.0.0", "sha256": "0".repeat(64)});
    json!({
        "decision_id": "0198c9a4-7d5e-7000-8000-000000000000",
        "transaction_id": "tx_942495f8ca67",
        "decided_at": "2026-07-31T01:30:25Z",
        "outcome": "approve",
        "status": "final",
        "decided_by": "screening",
        "score": 0.012_345_678_901_234_5,
        "risk_level": "low",
        "reasons": [{"code": "NEW_COUNTERPARTY", "detail": "the account has never paid it"}],
        "screening": {"score": 0.012_345_678_901_234_5, "package": package},
        "policy": {"version": "1", "sha256": "0".repeat(64)},
        "timings_ms": {
            "velocity": 0.012, "screening_prepare": 0.15, "screening_queue": 1.2,
            "screening_run": 5.4, "total": 6.8
        }
    })
}

fn velocity(criterion: &mut Criterion) {
    let payments = sample("payments.ndjson");
    let store = warm();
    let mut payment = in_turn(&payments);
    criterion.bench_function("peek at velocity", |bench| {
        bench.iter(|| store.peek(black_box(payment())));
    });
    let history = sample("history.ndjson");
    criterion.bench_function("observe 1000 transactions", |bench| {
        let empty = || {
            let registry = prometheus::Registry::new();
            VelocityStore::new(Config::default(), &registry).expect("a fresh registry")
        };
        bench.iter_batched_ref(
            empty,
            |store| history.iter().take(1_000).for_each(|one| drop(store.observe(one))),
            BatchSize::LargeInput,
        );
    });
}

fn template_and_tokens(criterion: &mut Criterion) {
    let package = Package::open(&Path::new(ROOT).join("models/screening")).expect("the package");
    let template = package.template().expect("a template").expect("a template");
    let renderer = Renderer::new(template, None);
    let store = warm();
    let facts: Vec<Facts> = sample("payments.ndjson")
        .into_iter()
        .map(|payment| {
            let velocity = store.peek(&payment);
            Facts::new(payment, velocity)
        })
        .collect();
    let mut next = in_turn(&facts);
    criterion.bench_function("render a text", |bench| {
        bench.iter(|| renderer.screening_text(black_box(next())).expect("a text"));
    });
    let runtime = Runtime::load(&RuntimeConfig::default()).expect("ONNX Runtime");
    let classifier =
        Classifier::load(&runtime, &package, &ClassifierConfig::default()).expect("the model");
    let encoder = classifier.encoder();
    let texts: Vec<String> =
        facts.iter().map(|facts| renderer.screening_text(facts).expect("a text")).collect();
    let mut next = in_turn(&texts);
    criterion.bench_function("encode a text", |bench| {
        bench.iter(|| encoder.encode(black_box(next())).expect("tokens"));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = json, velocity, template_and_tokens
}
criterion_main!(benches);
