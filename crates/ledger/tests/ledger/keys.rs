//! Idempotency keys: one attempt at a time, one decision for ever.

use ledger::{LedgerError, Reservation};
use tokio::task::JoinSet;

use crate::support::{Bench, decision_id, key, keyed};

async fn a_key_is_reserved_once_then_answered(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    let k = key("k", 1);
    assert_eq!(ledger.reserve(&k).await.unwrap(), Reservation::Reserved);
    assert_eq!(ledger.reserve(&k).await.unwrap(), Reservation::InFlight);
    assert_eq!(ledger.reserve(&key("k", 2)).await.unwrap(), Reservation::Mismatch);
    ledger.append(keyed(1, &k)).await.unwrap();
    let Reservation::Answered(decision) = ledger.reserve(&k).await.unwrap() else { panic!() };
    assert_eq!(decision.decision_id, decision_id(1));
    assert_eq!(decision.content.unwrap().first_response, keyed(1, &k).response);
    assert_eq!(ledger.reserve(&key("k", 2)).await.unwrap(), Reservation::Mismatch);
    ledger.close().await;

    let ledger = bench.open().await.unwrap();
    assert!(matches!(ledger.reserve(&k).await.unwrap(), Reservation::Answered(_)));
    ledger.close().await;
}

async fn a_released_key_is_free_again(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    ledger.reserve(&key("k", 1)).await.unwrap();
    ledger.release(&key("k", 1)).await.unwrap();
    assert_eq!(ledger.reserve(&key("k", 2)).await.unwrap(), Reservation::Reserved);
    ledger.close().await;
}

async fn releasing_does_not_free_what_was_settled(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    let k = key("k", 1);
    ledger.reserve(&k).await.unwrap();
    ledger.append(keyed(1, &k)).await.unwrap();
    ledger.release(&k).await.unwrap();
    assert!(matches!(ledger.reserve(&k).await.unwrap(), Reservation::Answered(_)));
    ledger.close().await;
}

async fn of_two_decisions_with_one_key_the_first_stays(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    let k = key("k", 1);
    // In one group, and then in a later one.
    let (first, second) = tokio::join!(ledger.append(keyed(1, &k)), ledger.append(keyed(2, &k)));
    first.unwrap();
    assert!(matches!(second, Err(LedgerError::KeyTaken(id)) if id == decision_id(2)));
    let third = ledger.append(keyed(3, &k)).await;
    assert!(matches!(third, Err(LedgerError::KeyTaken(id)) if id == decision_id(3)));
    for n in [2, 3] {
        assert_eq!(ledger.decision(decision_id(n)).await.unwrap(), None);
    }
    // Sent again because its answer was lost: told apart from a stranger.
    let again = ledger.append(keyed(1, &k)).await;
    assert!(matches!(again, Err(LedgerError::DuplicateDecision(_))), "{again:?}");
    assert_eq!(bench.errors("key_taken"), 2);
    ledger.close().await;
}

async fn two_hundred_duplicates_are_one_attempt(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    let mut tasks = JoinSet::new();
    for n in 0..200 {
        let ledger = ledger.clone();
        tasks.spawn(async move {
            let k = key("k", 1);
            loop {
                match ledger.reserve(&k).await.unwrap() {
                    Reservation::Reserved => {
                        ledger.append(keyed(n, &k)).await.unwrap();
                        return (true, decision_id(n));
                    }
                    Reservation::InFlight => tokio::task::yield_now().await,
                    Reservation::Answered(decision) => return (false, decision.decision_id),
                    Reservation::Mismatch => panic!(),
                }
            }
        });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|(paid, _)| *paid).count(), 1);
    assert!(answers.iter().all(|(_, id)| *id == answers[0].1));
    ledger.close().await;
}

async fn a_key_is_forgotten_after_a_day(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    let k = key("k", 1);
    ledger.append(keyed(1, &k)).await.unwrap();
    let yesterday = "UPDATE idempotency_keys SET settled_at = settled_at - 86400000000";
    bench.execute(yesterday).await.unwrap();
    assert_eq!(ledger.reserve(&key("k", 2)).await.unwrap(), Reservation::Reserved);
    ledger.append(keyed(2, &key("k", 2))).await.unwrap();
    let Reservation::Answered(decision) = ledger.reserve(&key("k", 2)).await.unwrap() else {
        panic!()
    };
    assert_eq!(decision.decision_id, decision_id(2));
    ledger.close().await;
}

async fn all_keys_whose_life_is_over_are_forgotten(mut bench: Bench) {
    let ledger = bench.open().await.unwrap();
    let k = key("k", 1);
    ledger.append(keyed(1, &k)).await.unwrap();
    let many = "INSERT INTO idempotency_keys (key, fingerprint, decision_id, settled_at) \
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000) \
        SELECT 'old-' || i, fingerprint, decision_id, settled_at - 90000000000 \
        FROM n, idempotency_keys WHERE key = 'k'";
    bench.execute(many).await.unwrap();
    assert_eq!(ledger.prune_keys().await.unwrap(), 25_000);
    assert!(matches!(ledger.reserve(&k).await.unwrap(), Reservation::Answered(_)));
    ledger.close().await;
}

on_both_stores!(
    all_keys_whose_life_is_over_are_forgotten,
    a_key_is_reserved_once_then_answered,
    a_released_key_is_free_again,
    releasing_does_not_free_what_was_settled,
    of_two_decisions_with_one_key_the_first_stays,
    two_hundred_duplicates_are_one_attempt,
    a_key_is_forgotten_after_a_day,
);
