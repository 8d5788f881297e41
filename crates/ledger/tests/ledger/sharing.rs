//! Several instances on one PostgreSQL.

use std::{collections::HashSet, time::Duration};

use ledger::{Config, Ledger, LedgerError, Reservation};
use prometheus::Registry;

use crate::support::{
    Bench, completion, decision, decision_id, key, keyed, promising, provisional,
};

async fn instance(bench: &Bench, lease: u64) -> Ledger {
    let config = Config { lease: Duration::from_millis(lease), ..bench.config() };
    Ledger::open(config, &Registry::new()).await.unwrap()
}

#[tokio::test]
async fn no_work_is_given_twice_and_the_chain_takes_turns() {
    let bench = Bench::postgres().await;
    let [a, b] = [instance(&bench, 15_000).await, instance(&bench, 15_000).await];
    let append = async |ledger: &Ledger, from: u32| {
        for n in from..from + 100 {
            ledger.append(provisional(n)).await.unwrap();
        }
    };
    tokio::join!(append(&a, 0), append(&b, 1000));
    let claim = async |ledger: &Ledger| {
        let mut claimed = Vec::new();
        loop {
            let work = ledger.claim(7).await.unwrap();
            if work.is_empty() {
                return claimed;
            }
            claimed.extend(work.into_iter().map(|work| work.decision.decision_id));
        }
    };
    let (by_a, by_b) = tokio::join!(claim(&a), claim(&b));
    assert_eq!(by_a.len() + by_b.len(), 200);
    let all: HashSet<_> = by_a.iter().chain(&by_b).collect();
    assert_eq!(all.len(), 200);
    let verification = a.verify(|_| {}).await.unwrap();
    assert_eq!((verification.entries, verification.fault_count), (200, 0), "{verification:?}");
    tokio::join!(a.close(), b.close());
}

#[tokio::test]
async fn an_instance_waits_for_another_one_that_migrates_for_longer_than_for_an_answer() {
    let mut bench = Bench::postgres().await;
    bench.open().await.unwrap().close().await;
    let migrates =
        bench.execute("BEGIN; LOCK TABLE _sqlx_migrations; SELECT pg_sleep(1.5); COMMIT");
    let opens = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let config = Config { answer_timeout: Duration::from_millis(300), ..bench.config() };
        let ledger = Ledger::open(config, &Registry::new()).await.unwrap();
        // Everything else is bounded as before.
        let locked = bench.execute("BEGIN; LOCK TABLE sequence; SELECT pg_sleep(1.5); COMMIT");
        let appends = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert!(ledger.append(decision(1)).await.is_err());
        };
        let (locked, ()) = tokio::join!(locked, appends);
        locked.unwrap();
        ledger.close().await;
    };
    let (migrated, ()) = tokio::join!(migrates, opens);
    migrated.unwrap();
}

/// A planner that believes a table to hold one row may look for what is free once for each row.
#[tokio::test]
async fn no_more_is_taken_than_asked_for_whatever_the_server_believes_of_its_tables() {
    let bench = Bench::postgres().await;
    let ledger = instance(&bench, 15_000).await;
    ledger.append(provisional(0)).await.unwrap();
    ledger.append(promising(100)).await.unwrap();
    ledger.append_completion(completion(100)).await.unwrap();
    bench.execute("DELETE FROM deliveries WHERE endpoint = 'second'; ANALYZE").await.unwrap();
    for n in 1..40 {
        ledger.append(provisional(n)).await.unwrap();
        ledger.append(promising(100 + n)).await.unwrap();
        ledger.append_completion(completion(100 + n)).await.unwrap();
    }
    assert_eq!(ledger.claim(4).await.unwrap().len(), 4);
    assert_eq!(ledger.claim_deliveries("first", 4).await.unwrap().len(), 4);
    ledger.close().await;
}

#[tokio::test]
async fn the_work_of_a_dead_instance_is_taken_up_and_finished_once() {
    let bench = Bench::postgres().await;
    let (dead, living) = (instance(&bench, 400).await, instance(&bench, 15_000).await);
    dead.append(provisional(1)).await.unwrap();
    assert_eq!(dead.claim(1).await.unwrap().len(), 1);
    assert!(living.claim(1).await.unwrap().is_empty());
    tokio::time::sleep(Duration::from_millis(600)).await;
    let work = living.claim(1).await.unwrap();
    assert_eq!(work[0].decision.decision_id, decision_id(1));
    // It was not dead after all, and finishes as well.
    let (first, second) = tokio::join!(
        living.append_completion(completion(1)),
        dead.append_completion(completion(1))
    );
    let duplicate =
        |result: &Result<(), LedgerError>| matches!(result, Err(LedgerError::DuplicateDecision(_)));
    assert!(first.is_ok() && duplicate(&second) || second.is_ok() && duplicate(&first));
    tokio::join!(dead.close(), living.close());
}

#[tokio::test]
async fn a_key_is_reserved_by_one_instance_and_answered_by_all() {
    let bench = Bench::postgres().await;
    let [a, b] = [instance(&bench, 15_000).await, instance(&bench, 15_000).await];
    let k = key("k", 1);
    let reserved = tokio::join!(a.reserve(&k), b.reserve(&k));
    let is_reserved =
        |result: &Result<Reservation, LedgerError>| matches!(result, Ok(Reservation::Reserved));
    assert_ne!(is_reserved(&reserved.0), is_reserved(&reserved.1));
    let (holder, other) = if is_reserved(&reserved.0) { (&a, &b) } else { (&b, &a) };
    assert_eq!(other.reserve(&k).await.unwrap(), Reservation::InFlight);
    assert_eq!(other.reserve(&key("k", 2)).await.unwrap(), Reservation::Mismatch);
    holder.append(keyed(1, &k)).await.unwrap();
    assert!(matches!(other.reserve(&k).await.unwrap(), Reservation::Answered(_)));
    tokio::join!(a.close(), b.close());
}

#[tokio::test]
async fn a_key_whose_holder_died_is_free_after_its_lease() {
    let bench = Bench::postgres().await;
    let (dead, living) = (instance(&bench, 300).await, instance(&bench, 15_000).await);
    let k = key("k", 1);
    assert_eq!(dead.reserve(&k).await.unwrap(), Reservation::Reserved);
    assert_eq!(living.reserve(&k).await.unwrap(), Reservation::InFlight);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(living.reserve(&k).await.unwrap(), Reservation::Reserved);
    living.append(keyed(1, &k)).await.unwrap();
    let late = dead.append(keyed(2, &k)).await;
    assert!(matches!(late, Err(LedgerError::KeyTaken(_))), "{late:?}");
    tokio::join!(dead.close(), living.close());
}

#[tokio::test]
async fn what_others_record_is_read_and_replayed_from_where_one_was() {
    let bench = Bench::postgres().await;
    let [a, b] = [instance(&bench, 15_000).await, instance(&bench, 15_000).await];
    a.append(decision(1)).await.unwrap();
    let seen = b.replay_since(jiff::Timestamp::MIN).await.unwrap().until();
    a.append(decision(2)).await.unwrap();
    let mut later = b.replay_after(seen).await.unwrap();
    let page = later.next_page().await.unwrap();
    assert_eq!(page.len(), 1);
    assert!(a.is_shared());
    tokio::join!(a.close(), b.close());
}

/// A claim whose answer was lost looks so to the instance that made it.
#[tokio::test]
async fn what_was_claimed_and_never_heard_of_comes_free_although_its_owner_lives() {
    let bench = Bench::postgres().await;
    let config = Config { lease: Duration::from_millis(300), ..bench.config() };
    let ledger = Ledger::open(config.clone(), &Registry::new()).await.unwrap();
    let same = Ledger::open(config, &Registry::new()).await.unwrap();
    ledger.append(provisional(1)).await.unwrap();
    assert_eq!(same.claim(1).await.unwrap().len(), 1);
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ledger.renew().await.unwrap();
    }
    assert_eq!(ledger.claim(1).await.unwrap().len(), 1);
    // And what it knows of, it keeps.
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ledger.renew().await.unwrap();
    }
    assert!(same.claim(1).await.unwrap().is_empty());
    tokio::join!(ledger.close(), same.close());
}

#[tokio::test]
async fn a_key_left_over_from_an_attempt_of_ones_own_is_taken_again() {
    let bench = Bench::postgres().await;
    let config = bench.config();
    let ledger = Ledger::open(config.clone(), &Registry::new()).await.unwrap();
    let same = Ledger::open(config, &Registry::new()).await.unwrap();
    let k = key("k", 1);
    assert_eq!(same.reserve(&k).await.unwrap(), Reservation::Reserved);
    assert_eq!(ledger.reserve(&k).await.unwrap(), Reservation::Reserved);
    assert_eq!(ledger.reserve(&k).await.unwrap(), Reservation::InFlight);
    tokio::join!(ledger.close(), same.close());
}
