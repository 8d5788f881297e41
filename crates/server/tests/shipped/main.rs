//! The shipped packages, through the real runtime, schedulers and server.

#![allow(clippy::unwrap_used)]

mod calibrate;
#[path = "../../../screening/tests/data/mod.rs"]
mod data;
mod hostile;
mod replaying;
mod support;

use std::time::Duration;

use domain::{DecidedBy, Outcome, ParseContext, Score, Transaction};
use futures::future::join_all;
use package::{ClassifierGolden, DecoderGolden, Package, read_golden};
use screening::{
    AnalysisModel, Case, Extent, Facts, Judgement, Priority, Report, Scored, ScreenOptions,
    supported_reasons,
};
use server::models::Models;
use support::{Cascade, cases, models_dir, rendered_samples, screening_only, shipped};
use tokio::time::Instant;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(120)
}

/// The verdict and the report on a prompt.
async fn analyse(model: &dyn AnalysisModel, prompt: &str) -> (Judgement, String) {
    let case = Case {
        prompt: prompt.to_owned(),
        extent: Extent::Report,
        verdict_by: soon(),
        report_by: soon(),
        at_stake: 0.0,
    };
    let analysing = model.analyse(case).await.unwrap();
    let written = analysing.report.unwrap().await.unwrap();
    (analysing.judgement, written.text)
}

async fn score(models: &Models, text: &str) -> Scored {
    models.screening.reserve(Priority::Bulk, soon()).unwrap().score(text).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn tier_1_agrees_with_the_python_reference() {
    let models = screening_only();
    let package = Package::open(&models_dir("screening")).unwrap();
    let golden: Vec<ClassifierGolden> = read_golden(&package.dir().join("golden.jsonl")).unwrap();
    assert!(golden.len() >= 32, "{} vectors", golden.len());
    for vector in &golden {
        let scored = score(&models, &vector.text).await;
        let difference = (scored.score.value() - vector.probability).abs();
        assert!(difference < 1e-4, "{difference} apart on {:?}", vector.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_texts_score_the_same_to_the_bit_alone_and_in_batches() {
    let models = screening_only();
    let texts = rendered_samples(&models.renderer, 200);
    let mut alone = Vec::new();
    for text in &texts {
        alone.push(score(&models, text).await.score);
    }
    for _ in 0..3 {
        let together = join_all(texts.iter().map(|text| score(&models, text))).await;
        for ((text, alone), together) in texts.iter().zip(&alone).zip(together) {
            let together = together.score;
            assert_eq!(alone.value().to_bits(), together.value().to_bits(), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tier_1_clears_nine_in_ten_of_the_legitimate_samples_and_finds_most_fraud() {
    let cascade = Cascade::start(screening_only());
    let mut legitimate = (0, 0);
    let mut fraud = (0, 0);
    for case in cases() {
        let options = ScreenOptions::by(soon());
        cascade.release_labels(&case);
        let screened = cascade.screener.screen(case.transaction.clone(), options).await.unwrap();
        let cleared = screened.decision.decided_by == DecidedBy::Screening;
        let count = if case.fraud { &mut fraud } else { &mut legitimate };
        count.0 += usize::from(cleared);
        count.1 += 1;
    }
    assert!(legitimate.0 * 10 >= legitimate.1 * 9, "cleared {} of {}", legitimate.0, legitimate.1);
    assert!(fraud.0 * 2 <= fraud.1, "cleared {} of {} frauds", fraud.0, fraud.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tier_2_writes_reports_of_the_schema_that_agree_with_the_python_reference() {
    let models = shipped();
    let analysis = models.analysis.clone().unwrap();
    let package = Package::open(&models_dir("analysis")).unwrap();
    let golden: Vec<DecoderGolden> = read_golden(&package.dir().join("golden.jsonl")).unwrap();
    for vector in golden.iter().take(8) {
        let (judgement, text) = analyse(analysis.as_ref(), &vector.prompt).await;
        let report = Report::parse(&text).unwrap();
        assert_eq!(report.verdict.as_str(), vector.verdict);
        assert_eq!(judgement.verdict, report.verdict);
        let expected = vector.probability.unwrap();
        let difference = (judgement.score.value() - expected).abs();
        assert!(difference < 5e-3, "{} against {expected}", judgement.score.value());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_the_same_alone_and_among_others() {
    let models = shipped();
    let analysis = models.analysis.clone().unwrap();
    let package = Package::open(&models_dir("analysis")).unwrap();
    let golden: Vec<DecoderGolden> = read_golden(&package.dir().join("golden.jsonl")).unwrap();
    let prompts: Vec<&str> = golden.iter().take(6).map(|vector| vector.prompt.as_str()).collect();
    let mut alone = Vec::new();
    for prompt in &prompts {
        alone.push(analyse(analysis.as_ref(), prompt).await);
    }
    let together = join_all(prompts.iter().map(|prompt| analyse(analysis.as_ref(), prompt))).await;
    for ((alone, text), (together, text_together)) in alone.iter().zip(&together) {
        assert_eq!(alone.score.value().to_bits(), together.score.value().to_bits());
        assert_eq!(text, text_together);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn escalated_frauds_come_back_with_a_grounded_report() {
    let cascade = Cascade::start(shipped());
    let mut analysed = 0;
    for case in cases() {
        cascade.release_labels(&case);
        if !case.fraud || analysed == 5 {
            cascade.screener.velocity().observe(&case.transaction);
            continue;
        }
        let options = ScreenOptions::by(soon());
        let screened = cascade.screener.screen(case.transaction.clone(), options).await.unwrap();
        let Some(analysis) = screened.decision.analysis else { continue };
        analysed += 1;
        let supported: Vec<_> = supported_reasons(&screened.facts);
        assert!(analysis.reasons.iter().all(|reason| supported.contains(reason)));
        assert_eq!(screened.decision.decided_by, DecidedBy::Analysis);
        assert!(Outcome::ALL.contains(&screened.decision.outcome));
    }
    assert_eq!(analysed, 5, "too few of the samples' frauds were escalated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_the_required_fields_alone_is_read_by_both_models() {
    let cascade = Cascade::start(screening_only());
    let value = serde_json::json!({
        "id": "t", "timestamp": "2026-07-01T12:00:00Z", "amount": "12.50", "currency": "EUR",
        "account": { "id": "nobody" },
    });
    let context = ParseContext { now: "2026-07-01T12:00:00Z".parse().unwrap() };
    let transaction = Transaction::parse(&value, &context).unwrap();
    let facts = Facts::new(transaction.clone(), cascade.screener.velocity().peek(&transaction));
    let models = shipped();
    assert!(!models.renderer.screening_text(&facts).unwrap().is_empty());
    let facts = facts.with_score(Score::new(0.5).unwrap());
    let prompt = models.renderer.analysis_prompt(&facts).unwrap().unwrap();
    assert!(prompt.starts_with("payment untyped"), "{prompt}");
}
