use ledger::{LabelId, NewLabel};

use crate::support::{Bench, at, decision, decision_id, event, label, transaction_id};

async fn labels_keep_their_order_and_their_reversals(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    ledger.append(decision(1)).await.unwrap();
    // Recorded in an order that is not that of their times.
    let given = [label(1, 50, false), label(1, 20, true), label(1, 30, false)];
    let mut ids: Vec<LabelId> = Vec::new();
    for new in given.clone() {
        ids.push(ledger.append_label(new).await.unwrap());
    }
    ledger.append_label(label(2, 10, false)).await.unwrap();
    ledger.close().await;

    let ledger = bench.open().await.unwrap();
    let stored = ledger.labels(&transaction_id(1)).await.unwrap();
    assert_eq!(stored.iter().map(|l| l.id).collect::<Vec<_>>(), ids);
    assert!(ids.is_sorted());
    for (stored, given) in stored.into_iter().zip(given) {
        assert_eq!(stored.transaction_id, given.transaction_id);
        assert_eq!(stored.decision_id, Some(decision_id(1)));
        assert_eq!(stored.label, given.label);
        assert_eq!(stored.recorded_at, given.recorded_at);
    }
    ledger.close().await;
}

async fn a_transaction_that_was_only_observed_can_be_labelled(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    assert!(!ledger.has_transaction(&transaction_id(1)).await.unwrap());
    ledger.append_events(vec![event(1)]).await.unwrap();
    assert!(ledger.has_transaction(&transaction_id(1)).await.unwrap());
    let new = NewLabel { decision_id: None, ..label(1, 0, false) };
    ledger.append_label(new).await.unwrap();
    let stored = ledger.labels(&transaction_id(1)).await.unwrap();
    assert_eq!((stored[0].decision_id, stored[0].recorded_at), (None, at(0)));
    ledger.close().await;
}

on_both_stores!(
    labels_keep_their_order_and_their_reversals,
    a_transaction_that_was_only_observed_can_be_labelled,
);
