use std::time::Duration;

use ledger::{Config, DecisionFilter, Ledger, LedgerError};
use tokio::task::JoinSet;

use crate::support::{Bench, at, decision, decision_id, event, transaction_id};

async fn what_was_appended_survives_reopening(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    let new = decision(7);
    ledger.append(new.clone()).await.unwrap();
    ledger.close().await;

    let ledger = bench.open().await.unwrap();
    let stored = ledger.decision(decision_id(7)).await.unwrap().unwrap();
    assert_eq!(stored.decision_id, new.decision.decision_id);
    let content = stored.content.clone().unwrap();
    assert_eq!(content.transaction_id, new.decision.transaction_id);
    assert_eq!(content.account_id, new.account_id);
    assert_eq!((stored.event_time, stored.decided_at), (new.event_time, new.decision.decided_at));
    assert_eq!(stored.outcome, new.decision.outcome);
    assert_eq!(stored.status, new.decision.status);
    assert_eq!(stored.decided_by, new.decision.decided_by);
    assert_eq!(stored.score, new.decision.score);
    assert_eq!((content.record, content.response), (new.record, new.response));
    assert_eq!(ledger.decision(decision_id(8)).await.unwrap(), None);
    ledger.close().await;
}

/// Appends decisions `ids` at once; the errors, with the number of the decision.
async fn append_all(ledger: &Ledger, ids: impl Iterator<Item = u32>) -> Vec<(u32, LedgerError)> {
    let mut tasks = JoinSet::new();
    for n in ids {
        let ledger = ledger.clone();
        tasks.spawn(async move { (n, ledger.append(decision(n)).await) });
    }
    let results = tasks.join_all().await.into_iter();
    results.filter_map(|(n, result)| result.err().map(|error| (n, error))).collect()
}

async fn concurrent_appends_are_all_there_and_share_commits(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    assert!(append_all(&ledger, 0..500).await.is_empty());
    let (commits, rows) = bench.groups();
    assert_eq!(rows, 500);
    assert!(commits < rows, "{commits} commits");
    assert_eq!(bench.queue_depth(), 0);

    let filter = DecisionFilter { limit: 1000, ..DecisionFilter::default() };
    let page = ledger.decisions(filter).await.unwrap();
    let mut found: Vec<_> = page.items.iter().map(|d| d.decision_id).collect();
    found.sort();
    assert_eq!(found, (0..500).map(decision_id).collect::<Vec<_>>());
    ledger.close().await;
}

async fn a_duplicate_fails_alone(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    ledger.append(decision(3)).await.unwrap();
    let errors = append_all(&ledger, 0..10).await;
    assert!(matches!(
        errors.as_slice(),
        [(3, LedgerError::DuplicateDecision(id))] if *id == decision_id(3)
    ));
    for n in 0..10 {
        assert!(ledger.decision(decision_id(n)).await.unwrap().is_some(), "{n}");
    }
    assert_eq!(bench.errors("duplicate_decision"), 1);
    ledger.close().await;
}

async fn an_entry_that_the_store_refuses_fails_alone(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    bench.refuse_transaction("tx-4").await;
    let errors = append_all(&ledger, 0..10).await;
    assert!(matches!(errors.as_slice(), [(4, LedgerError::Refused { .. })]), "{errors:?}");
    for n in 0..10 {
        assert_eq!(ledger.decision(decision_id(n)).await.unwrap().is_some(), n != 4, "{n}");
    }
    ledger.close().await;
}

async fn a_failed_group_tells_everyone_and_the_next_one_succeeds(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    bench.lose_group_of("tx-4").await;
    let (first, fourth) = tokio::join!(ledger.append(decision(1)), ledger.append(decision(4)));
    assert!(fourth.is_err(), "{fourth:?}");
    let kept = ledger.decision(decision_id(1)).await.unwrap().is_some();
    assert_eq!(first.is_ok(), kept, "told {first:?}");

    bench.refuse_nothing().await;
    ledger.append(decision(4)).await.unwrap();
    ledger.check().await.unwrap();
    ledger.close().await;
}

async fn recorded_entries_cannot_be_changed(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    ledger.append(decision(1)).await.unwrap();
    for change in ["UPDATE decisions SET outcome = 'approve'", "DELETE FROM decisions"] {
        let error = bench.execute(change).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
    ledger.close().await;
}

async fn a_full_queue_refuses_and_says_when_to_come_back(mut bench: Bench) {
    let config = Config { queue_depth: 2, ..bench.config() };
    let ledger = bench.open_with(config).await.unwrap();
    // The writer cannot run before this test waits, so exactly two find room.
    let errors = append_all(&ledger, 0..5).await;
    assert_eq!(errors.len(), 3);
    for (_, error) in errors {
        let LedgerError::Overloaded { retry_after } = error else { panic!("{error}") };
        assert!(retry_after > Duration::ZERO);
    }
    assert_eq!((bench.errors("overloaded"), bench.queue_depth()), (3, 0));
    ledger.close().await;
}

async fn closing_writes_what_waits_and_refuses_the_rest(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    // Now the writer is idle, and what comes next waits before it looks again.
    ledger.append(decision(50)).await.unwrap();
    let close = async {
        tokio::task::yield_now().await;
        ledger.clone().close().await;
    };
    let (errors, ()) = tokio::join!(append_all(&ledger, 0..20), close);
    // Which came too late is a matter of luck; that no one is deceived is not.
    assert!(errors.iter().all(|(_, error)| matches!(error, LedgerError::Closed)), "{errors:?}");
    let late: Vec<_> = errors.into_iter().map(|(n, _)| n).collect();
    assert!(late.len() < 20);

    assert!(matches!(ledger.append(decision(99)).await, Err(LedgerError::Closed)));
    assert!(matches!(ledger.check().await, Err(LedgerError::Closed)));
    assert!(matches!(ledger.decision(decision_id(1)).await, Err(LedgerError::Closed)));
    tokio::join!(ledger.clone().close(), ledger.close());

    let ledger = bench.open().await.unwrap();
    for n in 0..20 {
        let found = ledger.decision(decision_id(n)).await.unwrap().is_some();
        assert_eq!(found, !late.contains(&n), "{n}");
    }
    ledger.close().await;
}

async fn an_abandoned_append_is_whole_or_absent(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    let mut abandoned = JoinSet::new();
    for n in 0..50 {
        let ledger = ledger.clone();
        abandoned.spawn(async move { ledger.append(decision(n)).await });
    }
    tokio::task::yield_now().await;
    abandoned.shutdown().await;
    ledger.close().await;

    let ledger = bench.open().await.unwrap();
    for n in 0..50 {
        if let Some(stored) = ledger.decision(decision_id(n)).await.unwrap() {
            assert_eq!(stored.content.unwrap().response, decision(n).response);
        }
    }
    ledger.close().await;
}

async fn events_are_recorded_once_and_can_be_pruned(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    assert_eq!(ledger.append_events(Vec::new()).await.unwrap(), 0);
    assert_eq!(ledger.append_events((0..1000).map(event).collect()).await.unwrap(), 1000);
    assert_eq!(ledger.append_events((900..1100).map(event).collect()).await.unwrap(), 100);
    ledger.append(decision(5)).await.unwrap();

    // Event 500 happened at 499 s.
    assert_eq!(ledger.prune_events_before(at(499)).await.unwrap(), 500);
    assert!(!ledger.has_transaction(&transaction_id(499)).await.unwrap());
    assert!(ledger.has_transaction(&transaction_id(500)).await.unwrap());
    assert!(ledger.has_transaction(&transaction_id(5)).await.unwrap(), "decisions stay");
    ledger.close().await;
}

on_both_stores!(
    what_was_appended_survives_reopening,
    concurrent_appends_are_all_there_and_share_commits,
    a_duplicate_fails_alone,
    an_entry_that_the_store_refuses_fails_alone,
    a_failed_group_tells_everyone_and_the_next_one_succeeds,
    recorded_entries_cannot_be_changed,
    a_full_queue_refuses_and_says_when_to_come_back,
    closing_writes_what_waits_and_refuses_the_rest,
    an_abandoned_append_is_whole_or_absent,
    events_are_recorded_once_and_can_be_pruned,
);
