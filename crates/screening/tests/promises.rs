//! What is promised with a first answer, how it is kept, and what is tried beside it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{sync::Arc, time::Duration};

use common::{Analyst, Harness, transaction};
use domain::{DecidedBy, Decision, DecisionStatus, Degraded, Escalation, Outcome};
use ledger::{DecisionFilter, NoteKind, PageRequest, Promise};
use policy::Policy;
use screening::{
    Fulfilled, Late, Mode, PolicyDesk, Projected, ScreenOptions, Screened, Shadow, ShadowRecord,
    TierError,
};
use tokio::time::Instant;

fn wanting(mode: Mode) -> ScreenOptions {
    ScreenOptions { mode, ..ScreenOptions::by(Instant::now() + Duration::from_secs(5)) }
}

async fn screen_async(harness: &Harness, id: &str, amount: &str) -> Screened {
    harness.screener.screen(transaction(id, amount), wanting(Mode::Async)).await.unwrap()
}

/// The decision as it stands in the ledger.
async fn stands(harness: &Harness, screened: &Screened) -> Decision {
    let id = screened.decision.decision_id;
    let stored = harness.ledger.decision(id).await.unwrap().unwrap();
    serde_json::from_str(&stored.content.unwrap().response).unwrap()
}

/// Does all that is owed.
async fn keep_all(harness: &Harness) -> Vec<Fulfilled> {
    let mut kept = Vec::new();
    for work in harness.ledger.claim(100).await.unwrap() {
        kept.push(harness.screener.fulfil(work).await.unwrap());
    }
    kept
}

#[tokio::test]
async fn an_escalated_transaction_in_async_mode_is_provisional_until_its_analysis_comes() {
    let harness = Harness::start(0.5, Analyst::says("legitimate", 0.01)).await;
    let first = screen_async(&harness, "tx-1", "900").await;
    let decision = &first.decision;
    assert_eq!((decision.status, decision.outcome), (DecisionStatus::Provisional, Outcome::Review));
    assert_eq!((decision.decided_by, decision.degraded), (DecidedBy::Fallback, None));
    assert_eq!(decision.escalated, Some(Escalation::Score));

    assert_eq!(keep_all(&harness).await, [Fulfilled::Done]);
    let completed = stands(&harness, &first).await;
    assert_eq!(completed.status, DecisionStatus::Final);
    assert_eq!(completed.decided_by, DecidedBy::Analysis);
    // 0.5 lies above the band in which tier 2 may lower.
    assert_eq!(completed.outcome, Outcome::Review);
    let provisional = completed.provisional.unwrap();
    assert_eq!(
        (provisional.outcome, provisional.decided_at),
        (Outcome::Review, decision.decided_at)
    );
    assert_eq!(completed.decision_id, decision.decision_id);
    assert!(keep_all(&harness).await.is_empty(), "nothing is owed any more");
}

#[tokio::test]
async fn what_tier_1_clears_is_final_at_once_in_either_mode() {
    let harness = Harness::start(0.001, Analyst::Panics).await;
    let decision = screen_async(&harness, "tx-1", "9").await.decision;
    assert_eq!((decision.status, decision.outcome), (DecisionStatus::Final, Outcome::Approve));
    assert!(harness.ledger.claim(1).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_late_analysis_is_promised_or_given_up_as_the_settings_say() {
    for (late, status, owed) in [
        (Late::Promise, DecisionStatus::Provisional, 1),
        (Late::Fallback, DecisionStatus::Final, 0),
    ] {
        let analyst = Analyst::fails(TierError::Deadline);
        let adjust = |parts: &mut screening::ScreenerParts| parts.options.late = late;
        let harness = Harness::build_parts(Ok(0.5), analyst, Arc::default(), adjust).await;
        let decision = harness.screen(transaction("tx-1", "900")).await.unwrap().decision;
        assert_eq!((decision.status, decision.outcome), (status, Outcome::Review));
        assert_eq!(decision.degraded, Some(Degraded::AnalysisLate));
        assert_eq!(harness.ledger.pending().await.unwrap().count, owed);
    }
}

#[tokio::test]
async fn no_more_is_promised_than_may_be_owed() {
    let adjust = |parts: &mut screening::ScreenerParts| parts.options.max_promised = 1;
    let says = Analyst::says("fraud", 0.9);
    let harness = Harness::build_parts(Ok(0.5), says, Arc::default(), adjust).await;
    let first = screen_async(&harness, "tx-1", "900").await.decision;
    let second = screen_async(&harness, "tx-2", "900").await.decision;
    assert_eq!(first.status, DecisionStatus::Provisional);
    // Past the bound the caller waits for tier 2, as without the mode.
    assert_eq!((second.status, second.decided_by), (DecisionStatus::Final, DecidedBy::Analysis));
}

#[tokio::test]
async fn an_analysis_that_keeps_failing_ends_in_the_fallback_for_good() {
    let harness = Harness::start(0.5, Analyst::fails(TierError::Failed("no".into()))).await;
    let first = screen_async(&harness, "tx-1", "900").await;
    let mut rounds = 0;
    loop {
        rounds += 1;
        let kept = keep_all(&harness).await;
        if kept == [Fulfilled::Done] {
            break;
        }
        assert_eq!(kept, [Fulfilled::Again], "round {rounds}");
        harness.ledger.give_back(&[first.decision.decision_id]).await.unwrap();
        assert!(rounds < 10);
    }
    let completed = stands(&harness, &first).await;
    assert_eq!(completed.status, DecisionStatus::Final);
    assert_eq!((completed.decided_by, completed.outcome), (DecidedBy::Fallback, Outcome::Review));
    assert_eq!(completed.degraded, Some(Degraded::AnalysisFailed));
}

#[tokio::test]
async fn of_two_who_do_the_same_work_one_completes_it() {
    let harness = Harness::start(0.5, Analyst::says("fraud", 0.97)).await;
    screen_async(&harness, "tx-1", "900").await;
    let work = harness.ledger.claim(1).await.unwrap().pop().unwrap();
    assert_eq!(work.promise, Promise::Analysis);
    assert_eq!(harness.screener.fulfil(work.clone()).await.unwrap(), Fulfilled::Done);
    assert_eq!(harness.screener.fulfil(work).await.unwrap(), Fulfilled::Already);
}

#[tokio::test]
async fn a_replay_comes_to_the_same_bytes_also_of_what_was_completed_later() {
    let harness = Harness::start(0.2, Analyst::says("fraud", 0.97)).await;
    harness.screen(transaction("tx-1", "900")).await.unwrap();
    screen_async(&harness, "tx-2", "90").await;
    screen_async(&harness, "tx-3", "91").await;
    assert_eq!(keep_all(&harness).await.len(), 2);
    let page = harness.ledger.decisions(DecisionFilter::default()).await.unwrap();
    assert_eq!(page.items.len(), 3);
    let policy = harness.screener.policies().current();
    for stored in &page.items {
        let recomputed = harness.screener.recompute(stored, &policy).await.unwrap();
        assert!(recomputed.agrees_with(stored), "{recomputed:#?}\n{stored:#?}");
    }
    // Another policy decides otherwise, and that is noticed.
    let strict = Policy::DEFAULT.replace("may_lower_below = 0.30", "may_lower_below = 0.01");
    let lenient = strict.replace("decline = 0.80", "decline = 0.99");
    let other = Arc::new(Policy::parse(&lenient).unwrap());
    let stored = page.items.first().unwrap();
    let recomputed = harness.screener.recompute(stored, &other).await.unwrap();
    assert!(!recomputed.agrees_with(stored));
    assert_eq!(recomputed.current().outcome, Outcome::Review);
}

#[tokio::test]
async fn a_shadow_policy_is_recorded_and_changes_nothing() {
    let lax = Policy::DEFAULT.replace("escalate = 0.02", "escalate = 0.9");
    let shadow = Shadow::new(Some(Arc::new(Policy::parse(&lax).unwrap())), None, 4);
    let adjust = |parts: &mut screening::ScreenerParts| parts.shadow = shadow;
    let says = Analyst::says("fraud", 0.97);
    let harness = Harness::build_parts(Ok(0.5), says, Arc::default(), adjust).await;
    let decision = harness.screen(transaction("tx-1", "900")).await.unwrap().decision;
    assert_eq!(decision.outcome, Outcome::Decline);
    harness.screener.finish().await;
    let notes = harness.ledger.notes(decision.decision_id).await.unwrap();
    assert_eq!(notes.len(), 1);
    let note = notes.first().unwrap();
    assert_eq!(note.kind, NoteKind::Shadow);
    let record: ShadowRecord = serde_json::from_str(&note.record).unwrap();
    let tried = record.policy.unwrap().projection;
    assert_eq!((tried.projected, tried.escalated), (Projected::Outcome(Outcome::Approve), false));
    assert!(harness.metrics().contains("weir_shadows_total{result=\"recorded\"} 1"));
    let since =
        harness.ledger.notes_since(NoteKind::Shadow, None, PageRequest::default()).await.unwrap();
    assert_eq!(since.items.len(), 1);
}

#[tokio::test]
async fn a_score_is_taken_apart_into_what_the_model_reads() {
    let harness = Harness::start(0.5, Analyst::says("fraud", 0.9)).await;
    let screened = harness.screen(transaction("tx-1", "900")).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    let id = screened.decision.decision_id;
    let attribution = harness.screener.attribute(id, &screened.facts, deadline).await.unwrap();
    assert_eq!(attribution.score, screened.decision.screening.score);
    // The stub scores whatever it reads alike.
    assert!(attribution.effects.iter().all(|effect| effect.effect.abs() < 1e-12));
    assert_eq!(harness.ledger.notes(id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_rule_decides_before_tier_2_and_gives_its_code() {
    let rules = "\n[[rules]]\nid = \"too-much\"\nwhen = \"derived.amount > 500.0\"\noutcome = \"decline\"\nreason = \"AMOUNT_LIMIT\"\n";
    let policy = format!("{}{rules}", Policy::DEFAULT);
    let desk = Arc::new(PolicyDesk::new(Arc::new(Policy::parse(&policy).unwrap())));
    let adjust = |parts: &mut screening::ScreenerParts| parts.policies = desk;
    let harness = Harness::build_parts(Ok(0.5), Analyst::Panics, Arc::default(), adjust).await;
    let decision = harness.screen(transaction("tx-1", "900")).await.unwrap().decision;
    assert_eq!((decision.outcome, decision.decided_by), (Outcome::Decline, DecidedBy::Rule));
    assert_eq!(decision.reasons.first().unwrap().code.to_string(), "AMOUNT_LIMIT");
    assert_eq!(decision.escalated, None);
}
