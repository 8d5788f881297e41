use domain::{DecidedBy, DecisionStatus, Outcome};
use jiff::Timestamp;
use ledger::{Ledger, OutcomeRow, Outcomes};
use tokio::task::JoinSet;

use crate::support::{
    Bench, at, completion, decision, decision_id, label, provisional, transaction_id,
};

async fn all(mut walk: Outcomes) -> Vec<OutcomeRow> {
    let mut rows = Vec::new();
    loop {
        let page = walk.next_page().await.unwrap();
        if page.is_empty() {
            return rows;
        }
        rows.extend(page);
    }
}

fn names(rows: &[OutcomeRow]) -> Vec<u128> {
    rows.iter().map(|row| row.decision_id.0.as_u128()).collect()
}

async fn tell(ledger: &Ledger, ids: impl IntoIterator<Item = u32>) {
    for n in ids {
        ledger.append(decision(n)).await.unwrap();
    }
}

async fn a_walk_over_outcomes_keeps_to_its_period_and_tells_what_stands_now(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    tell(&ledger, 1..=5).await;
    ledger.append(provisional(6)).await.unwrap();
    ledger.append(provisional(7)).await.unwrap();
    ledger.append_completion(completion(7)).await.unwrap();

    let rows = all(ledger.outcomes(at(3), at(7)).await.unwrap()).await;
    assert_eq!(names(&rows), [3, 4, 5, 6]);
    let stored = ledger.decision(decision_id(3)).await.unwrap().unwrap();
    let row = &rows[0];
    assert_eq!((row.seq, row.decided_at), (stored.seq, stored.decided_at));
    assert_eq!((row.outcome, row.audited), (stored.outcome, true));
    assert_eq!(row.transaction_id, Some(transaction_id(3)));
    assert_eq!(row.policy_sha256.as_deref(), Some("00"));
    assert_eq!(rows[3].status, DecisionStatus::Provisional);

    let all_of_them = all(ledger.outcomes(Timestamp::MIN, Timestamp::MAX).await.unwrap()).await;
    assert_eq!(names(&all_of_them), [1, 2, 3, 4, 5, 6, 7]);
    let last = &all_of_them[6];
    assert_eq!(
        (last.outcome, last.status, last.decided_by),
        (Outcome::Decline, DecisionStatus::Final, DecidedBy::Analysis)
    );
    assert!(all(ledger.outcomes(at(100), at(200)).await.unwrap()).await.is_empty());
    ledger.close().await;
}

async fn a_walk_goes_on_where_another_ended(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    tell(&ledger, 1..=3).await;
    let first = ledger.outcomes(at(2), Timestamp::MAX).await.unwrap();
    let seen = first.last();
    // What comes after the beginning of a walk is for the next one, wherever its time lies.
    tell(&ledger, [4, 0]).await;
    assert_eq!(names(&all(first).await), [2, 3]);
    assert_eq!(names(&all(ledger.outcomes_after(seen).await.unwrap()).await), [4, 0]);
    ledger.close().await;
}

async fn a_walk_of_more_than_a_page_leaves_nothing_out(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    let mut appending = JoinSet::new();
    for n in 0..1_234 {
        let ledger = ledger.clone();
        appending.spawn(async move { ledger.append(decision(n)).await });
    }
    for result in appending.join_all().await {
        result.unwrap();
    }
    let rows = all(ledger.outcomes(Timestamp::MIN, Timestamp::MAX).await.unwrap()).await;
    assert!(rows.is_sorted_by(|a, b| a.seq < b.seq));
    let mut found = names(&rows);
    found.sort_unstable();
    assert_eq!(found, (0..1_234).collect::<Vec<u128>>());
    ledger.close().await;
}

async fn outcomes_are_found_by_transaction_and_labels_by_place(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    tell(&ledger, 1..=80).await;
    let ids: Vec<_> = (2..=71).chain([999]).map(transaction_id).collect();
    let mut found = names(&ledger.outcomes_of(&ids).await.unwrap());
    found.sort_unstable();
    assert_eq!(found, (2..=71).collect::<Vec<u128>>());
    assert!(ledger.outcomes_of(&[]).await.unwrap().is_empty());

    let before = ledger.outcomes_after(0).await.unwrap().last();
    let first = ledger.append_label(label(9, 10, false)).await.unwrap();
    let second = ledger.append_label(label(8, 10, true)).await.unwrap();
    let labelled = ledger.labelled_after(before).await.unwrap();
    assert_eq!(labelled, [(first.0, transaction_id(9)), (second.0, transaction_id(8))]);
    assert_eq!(ledger.labelled_after(first.0).await.unwrap().len(), 1);
    assert!(ledger.labelled_after(second.0).await.unwrap().is_empty());
    ledger.close().await;
}

on_both_stores!(
    a_walk_over_outcomes_keeps_to_its_period_and_tells_what_stands_now,
    a_walk_goes_on_where_another_ended,
    a_walk_of_more_than_a_page_leaves_nothing_out,
    outcomes_are_found_by_transaction_and_labels_by_place,
);
