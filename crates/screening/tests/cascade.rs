//! The cascade with stub models: every path of a decision, and what tier 2 may not do.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{sync::Arc, time::Duration};

use common::{Analyst, Harness, transaction, transaction_with};
use domain::{DecidedBy, Decision, DecisionStatus, Degraded, Outcome, ReasonCode, ReportStatus};
use screening::{AnalysisOptions, CompletionRecord, Narrative, Record, ScreenError, TierError};

#[tokio::test]
async fn a_low_score_is_cleared_by_tier_1_alone() {
    let harness = Harness::start(0.001, Analyst::Panics).await;
    let screened = harness.screen(transaction("tx-1", "12.50")).await.unwrap();
    let decision = &screened.decision;
    assert_eq!((decision.outcome, decision.decided_by), (Outcome::Approve, DecidedBy::Screening));
    assert!(decision.analysis.is_none() && decision.degraded.is_none());
    assert_eq!(decision.reasons[0].code, ReasonCode::ScreeningScore);
}

#[tokio::test]
async fn a_transaction_that_tier_1_has_no_place_for_does_not_count() {
    let full = TierError::Overloaded { retry_after: Duration::from_secs(1) };
    let harness = Harness::failing(full).await;
    let refused = harness.screen(transaction("tx-1", "12.50")).await;
    assert!(matches!(refused, Err(ScreenError::Overloaded { .. })), "{refused:?}");
    let seen = harness.screener.velocity().peek(&transaction("tx-2", "12.50"));
    assert_eq!(seen.account.h1.count, 0);
}

#[tokio::test]
async fn a_high_score_is_escalated_and_carries_the_report() {
    let harness = Harness::start(0.5, Analyst::says("fraud", 0.97)).await;
    let decision = harness.screen(transaction("tx-1", "900")).await.unwrap().decision;
    assert_eq!((decision.outcome, decision.decided_by), (Outcome::Decline, DecidedBy::Analysis));
    let analysis = decision.analysis.unwrap();
    assert_eq!(analysis.verdict.as_str(), "fraud");
    assert!((decision.score.value() - 0.97).abs() < 1e-12);
}

#[tokio::test]
async fn claims_that_the_facts_do_not_bear_out_are_dropped_and_counted() {
    let harness = Harness::start(0.5, Analyst::says("fraud", 0.9)).await;
    let analysis =
        harness.screen(transaction("tx-1", "900")).await.unwrap().decision.analysis.unwrap();
    // The stub claims NEW_DEVICE and a number; there is no device, and nobody gave that number.
    assert!(analysis.reasons.is_empty(), "{:?}", analysis.reasons);
    assert_eq!(analysis.narrative, None);
    let metrics = harness.metrics();
    assert!(metrics.contains("weir_analysis_ungrounded_total{kind=\"reason\"} 1"), "{metrics}");
    assert!(metrics.contains("weir_analysis_ungrounded_total{kind=\"narrative\"} 1"), "{metrics}");
}

#[tokio::test]
async fn tier_2_cannot_approve_above_its_band() {
    let harness = Harness::start(0.9, Analyst::says("legitimate", 0.0)).await;
    let decision = harness.screen(transaction("tx-1", "900")).await.unwrap().decision;
    assert_eq!(decision.outcome, Outcome::Review);
    let harness = Harness::start(0.2, Analyst::says("legitimate", 0.0)).await;
    let decision = harness.screen(transaction("tx-1", "900")).await.unwrap().decision;
    assert_eq!(decision.outcome, Outcome::Approve);
}

#[tokio::test]
async fn whatever_goes_wrong_in_tier_2_becomes_a_degraded_decision() {
    let full = TierError::Overloaded { retry_after: Duration::from_secs(1) };
    let cases = [
        (Analyst::fails(full), Degraded::AnalysisFull),
        (Analyst::fails(TierError::Failed("no".into())), Degraded::AnalysisFailed),
        (Analyst::writes("It looks fine to me."), Degraded::AnalysisFailed),
        (Analyst::writes("{\"verdict\":\"fraud\"}"), Degraded::AnalysisFailed),
        (Analyst::None, Degraded::AnalysisDisabled),
    ];
    for (analyst, expected) in cases {
        let harness = Harness::start(0.5, analyst).await;
        let decision = harness.screen(transaction("tx-1", "900")).await.unwrap().decision;
        assert_eq!(decision.degraded, Some(expected));
        assert_eq!((decision.outcome, decision.decided_by), (Outcome::Review, DecidedBy::Fallback));
    }
}

#[tokio::test]
async fn the_fallback_never_softens_what_tier_1_is_sure_of() {
    let harness = Harness::start(0.99, Analyst::fails(TierError::Deadline)).await;
    let decision = harness.screen(transaction("tx-1", "900")).await.unwrap().decision;
    assert_eq!(decision.outcome, Outcome::Decline);
}

#[tokio::test]
async fn a_decision_is_in_the_ledger_word_for_word_when_it_is_answered() {
    let harness = Harness::start(0.5, Analyst::says("fraud", 0.9)).await;
    let screened = harness.screen(transaction("tx-1", "900")).await.unwrap();
    let stored = harness.ledger.decision(screened.decision.decision_id).await.unwrap().unwrap();
    let content = stored.content.unwrap();
    assert_eq!(content.response, screened.response);
    let record: Record = serde_json::from_str(&content.record).unwrap();
    assert_eq!(record.decision, screened.decision);
    assert_eq!(record.facts, screened.facts);
    assert!(record.screening_text.contains("amt"), "{}", record.screening_text);
    let analysis = record.analysis;
    assert!(analysis.analysis_prompt.unwrap().contains("900"));
    assert_eq!(analysis.prompt_tokens, Some(7));
    assert!(analysis.prompt_sha256.is_some() && analysis.schema_sha256.is_some());
    assert!(analysis.analysis_text.unwrap().starts_with("{\"verdict\":\"fraud\""));
}

#[tokio::test]
async fn a_dry_run_leaves_no_trace() {
    let harness = Harness::start(0.5, Analyst::says("fraud", 0.9)).await;
    let first = harness.dry_run(transaction("tx-1", "900")).await.unwrap();
    assert!(harness.ledger.decision(first.decision.decision_id).await.unwrap().is_none());
    let second = harness.dry_run(transaction("tx-2", "900")).await.unwrap();
    assert_eq!(second.facts.velocity.account.h1.count, 0);
}

#[tokio::test]
async fn velocity_counts_in_the_order_of_the_calls() {
    let harness = Harness::start(0.001, Analyst::None).await;
    let first = harness.screen(transaction("tx-1", "10"));
    let second = harness.screen(transaction("tx-2", "10"));
    let second = second.await.unwrap();
    let first = first.await.unwrap();
    assert_eq!(first.facts.velocity.account.h1.count, 0);
    assert_eq!(second.facts.velocity.account.h1.count, 1);
}

#[tokio::test]
async fn tier_1_errors_are_the_callers_and_nothing_is_written() {
    let full = TierError::Overloaded { retry_after: Duration::from_secs(2) };
    let harness = Harness::failing(full).await;
    let error = harness.screen(transaction("tx-1", "10")).await.unwrap_err();
    assert!(matches!(error, ScreenError::Overloaded { retry_after } if retry_after.as_secs() == 2));
    let id = "tx-1".parse().unwrap();
    assert!(harness.ledger.decision_by_transaction(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_report_written_after_the_answer_is_added_to_the_decision() {
    let analyst = Analyst::says("fraud", 0.97);
    let harness = Harness::with_narrative(analyst, Narrative::After).await;
    let screened = harness.screen(transaction("tx-1", "900")).await.unwrap();
    let decision = &screened.decision;
    assert_eq!((decision.outcome, decision.status), (Outcome::Decline, DecisionStatus::Final));
    let verdict = decision.analysis.as_ref().unwrap();
    assert_eq!(verdict.report, ReportStatus::Pending);
    assert_eq!((verdict.typology, verdict.action), (None, None));
    harness.screener.finish().await;
    let stored = harness.ledger.decision(decision.decision_id).await.unwrap().unwrap();
    let content = stored.content.unwrap();
    let completed: Decision = serde_json::from_str(&content.response).unwrap();
    let report = completed.analysis.unwrap();
    assert_eq!(report.report, ReportStatus::Complete);
    assert_eq!(report.action, Some(Outcome::Decline));
    assert_eq!((report.score, completed.outcome), (verdict.score, decision.outcome));
    let record: CompletionRecord = serde_json::from_str(&content.completion.unwrap()).unwrap();
    assert!(record.analysis.analysis_text.unwrap().contains("\"verdict\":\"fraud\""));
}

#[tokio::test]
async fn a_report_that_never_comes_is_said_to_have_failed_and_the_verdict_stands() {
    let never = || Analyst::stops_after_its_verdict(TierError::Deadline);
    for (narrative, first) in
        [(Narrative::After, ReportStatus::Pending), (Narrative::Inline, ReportStatus::Failed)]
    {
        let harness = Harness::with_narrative(never(), narrative).await;
        let decision = harness.screen(transaction("tx-1", "900")).await.unwrap().decision;
        assert_eq!(decision.outcome, Outcome::Decline);
        assert_eq!(decision.decided_by, DecidedBy::Analysis);
        assert_eq!(decision.analysis.unwrap().report, first);
        harness.screener.finish().await;
        let stored = harness.ledger.decision(decision.decision_id).await.unwrap().unwrap();
        let content = stored.content.unwrap();
        let completed: Decision = serde_json::from_str(&content.response).unwrap();
        assert_eq!(completed.analysis.unwrap().report, ReportStatus::Failed);
    }
}

#[tokio::test]
async fn without_narratives_tier_2_only_judges() {
    let harness = Harness::with_narrative(Analyst::says("fraud", 0.97), Narrative::Off).await;
    let decision = harness.screen(transaction("tx-1", "900")).await.unwrap().decision;
    assert_eq!(decision.outcome, Outcome::Decline);
    assert_eq!(decision.analysis.unwrap().report, ReportStatus::Off);
}

#[tokio::test]
async fn a_dry_run_waits_for_no_report_that_nobody_would_keep() {
    let harness = Harness::with_narrative(Analyst::says("fraud", 0.97), Narrative::After).await;
    let decision = harness.dry_run(transaction("tx-1", "900")).await.unwrap().decision;
    assert_eq!(decision.analysis.unwrap().report, ReportStatus::Off);
}

#[tokio::test]
async fn with_a_second_pass_a_memo_that_sways_tier_2_makes_nothing_laxer() {
    let memo = "the usual one for aunt Agatha";
    let texts: Arc<[String]> = Arc::new([memo.to_owned()]);
    for (second_pass, expected) in [(false, Outcome::Approve), (true, Outcome::Decline)] {
        let options = AnalysisOptions { second_pass, ..AnalysisOptions::default() };
        let analyst = Analyst::obeying(0.97, &texts);
        let harness = Harness::build_with(Ok(0.2), analyst, options, Arc::default()).await;
        let transaction = transaction_with("tx-1", "900", None, Some(memo));
        let decision = harness.screen(transaction).await.unwrap().decision;
        assert_eq!(decision.outcome, expected);
        let without = decision.analysis.unwrap().score_without_memo;
        assert_eq!(without.is_some(), second_pass);
    }
}
