//! Promised work: durable, done by one, completed once.

use std::{collections::HashSet, time::Duration};

use domain::{DecidedBy, DecisionStatus, Outcome};
use ledger::{Config, DecisionFilter, LedgerError, Promise};

use crate::support::{Bench, at, completion, decision, decision_id, promising, provisional};

async fn a_promise_outlives_its_instance_and_is_claimed_by_one(mut bench: Bench) {
    let config = Config { lease: Duration::from_millis(300), ..bench.config() };
    let first = bench.open_with(config).await.unwrap();
    first.append(promising(1)).await.unwrap();
    first.append(decision(2)).await.unwrap();
    assert!(first.claim(10).await.unwrap().is_empty(), "it is held by who promised it");
    let backlog = first.pending().await.unwrap();
    assert_eq!((backlog.count, backlog.oldest), (1, Some(at(1))));
    first.close().await;

    tokio::time::sleep(Duration::from_millis(400)).await;
    let second = bench.open().await.unwrap();
    let work = second.claim(10).await.unwrap();
    assert_eq!(work.len(), 1);
    assert_eq!(
        (work[0].promise, work[0].promised_at, work[0].attempts),
        (Promise::Report, at(1), 1)
    );
    assert_eq!(work[0].decision.decision_id, decision_id(1));
    assert_eq!(work[0].decision.promised, Some(Promise::Report));
    assert_eq!(work[0].decision.content.as_ref().unwrap().record, decision(1).record);
    assert!(second.claim(10).await.unwrap().is_empty(), "now it is held");
    second.close().await;
}

async fn an_analysis_is_anybodys_until_it_is_claimed(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    ledger.append(provisional(1)).await.unwrap();
    let work = ledger.claim(10).await.unwrap();
    assert_eq!((work[0].promise, work[0].attempts), (Promise::Analysis, 1));
    assert!(ledger.claim(10).await.unwrap().is_empty(), "now it is held");
    ledger.give_back_all().await.unwrap();
    assert_eq!(ledger.claim(10).await.unwrap().len(), 1);
    ledger.close().await;
}

async fn what_is_renewed_is_kept(mut bench: Bench) {
    let config = Config { lease: Duration::from_millis(500), ..bench.config() };
    let ledger = bench.open_with(config).await.unwrap();
    ledger.append(promising(1)).await.unwrap();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        ledger.renew().await.unwrap();
        assert!(ledger.claim(10).await.unwrap().is_empty());
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(ledger.claim(10).await.unwrap().len(), 1, "nobody is at it");
    ledger.close().await;
}

async fn what_is_given_back_is_claimed_oldest_first(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    for n in 0..5 {
        ledger.append(promising(n)).await.unwrap();
    }
    ledger.give_back(&[3, 1, 4].map(decision_id)).await.unwrap();
    let ids = |work: Vec<ledger::PendingWork>| -> Vec<_> {
        work.iter().map(|work| work.decision.decision_id).collect()
    };
    assert_eq!(ids(ledger.claim(2).await.unwrap()), [1, 3].map(decision_id));
    ledger.give_back(&[decision_id(1)]).await.unwrap();
    let work = ledger.claim(9).await.unwrap();
    assert_eq!(work.iter().map(|work| work.attempts).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(ids(work), [1, 4].map(decision_id));
    ledger.close().await;
}

async fn a_completion_keeps_the_promise_and_changes_the_decision(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    ledger.append(promising(1)).await.unwrap();
    ledger.append_completion(completion(1)).await.unwrap();
    let stored = ledger.decision(decision_id(1)).await.unwrap().unwrap();
    assert_eq!((stored.outcome, stored.status), (Outcome::Decline, DecisionStatus::Final));
    assert_eq!((stored.decided_by, stored.score.value()), (DecidedBy::Analysis, 0.75));
    assert_eq!((stored.promised, stored.completed_at), (None, Some(at(1001))));
    assert_eq!(stored.decided_at, at(1));
    let content = stored.content.unwrap();
    assert_eq!(
        (content.record, content.first_response),
        (decision(1).record, decision(1).response)
    );
    assert_eq!(content.response, completion(1).response);
    assert_eq!(content.completion, Some(completion(1).record));
    assert_eq!(ledger.pending().await.unwrap().count, 0);

    let again = ledger.append_completion(completion(1)).await;
    assert!(matches!(again, Err(LedgerError::DuplicateDecision(id)) if id == decision_id(1)));
    let (left, right) = tokio::join!(
        ledger.append_completion(completion(2)),
        ledger.append_completion(completion(2))
    );
    assert_eq!([left.is_ok(), right.is_ok()], [true, false]);
    ledger.close().await;
}

async fn decisions_are_found_by_the_outcome_they_have_now(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    // Decision 4 was an approval and is a decline now.
    for n in [3, 4, 8] {
        ledger.append(promising(n)).await.unwrap();
    }
    ledger.append_completion(completion(4)).await.unwrap();
    let found = |outcome| {
        let ledger = ledger.clone();
        async move {
            let filter = DecisionFilter { outcome: Some(outcome), ..DecisionFilter::default() };
            let page = ledger.decisions(filter).await.unwrap();
            page.items.iter().map(|d| d.decision_id).collect::<HashSet<_>>()
        }
    };
    assert_eq!(found(Outcome::Decline).await, [3, 4].map(decision_id).into());
    assert_eq!(found(Outcome::Approve).await, [8].map(decision_id).into());
    ledger.close().await;
}

async fn a_decision_recorded_after_its_completion_is_not_owed_for_ever(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    ledger.append_completion(completion(1)).await.unwrap();
    ledger.append(provisional(1)).await.unwrap();
    assert_eq!(ledger.claim(1).await.unwrap().len(), 1);
    let again = ledger.append_completion(completion(1)).await;
    assert!(matches!(again, Err(LedgerError::DuplicateDecision(_))), "{again:?}");
    assert_eq!(ledger.pending().await.unwrap().count, 0);
    ledger.close().await;
}

on_both_stores!(
    a_decision_recorded_after_its_completion_is_not_owed_for_ever,
    an_analysis_is_anybodys_until_it_is_claimed,
    a_promise_outlives_its_instance_and_is_claimed_by_one,
    what_is_renewed_is_kept,
    what_is_given_back_is_claimed_oldest_first,
    a_completion_keeps_the_promise_and_changes_the_decision,
    decisions_are_found_by_the_outcome_they_have_now,
);
