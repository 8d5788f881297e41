//! A ledger that an earlier version wrote, from before there was a chain.

use std::path::Path;

use domain::{DecisionStatus, Outcome};
use ledger::{DecisionFilter, Ledger};
use sqlx::{
    ConnectOptions, Connection, SqlStr, SqliteConnection,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::SqliteConnectOptions,
};
use uuid::Uuid;

use crate::support::{Bench, at, completion, decision, decision_id, label, transaction_id};

const BEFORE: [&str; 2] = [
    include_str!("../../migrations/sqlite/0001_initial.sql"),
    include_str!("../../migrations/sqlite/0002_completions.sql"),
];

/// As the version before the chain wrote it: decisions 0..4 at the odd places, each with a label
/// behind it, then a completion of decision 1.
async fn write_old_file(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    let migrations = (1..).zip(["initial", "completions"]).zip(BEFORE);
    let migrations = migrations.map(|((version, name), sql)| {
        let sql = SqlStr::from_static(sql);
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect()).run(&mut connection).await.unwrap();
    for n in 0..4 {
        write_old_decision(&mut connection, n).await;
    }
    sqlx::query("INSERT INTO completions VALUES (9, $1, $2, $3, $4)")
        .bind(decision_id(1).0)
        .bind(at(1001).as_microsecond())
        .bind(completion(1).record)
        .bind(completion(1).response)
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query("UPDATE sequence SET last = 9").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn write_old_decision(connection: &mut SqliteConnection, n: u32) {
    let new = decision(n);
    sqlx::query("INSERT INTO decisions VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)")
        .bind(i64::from(n) * 2 + 1)
        .bind(new.decision.decision_id.0)
        .bind(new.decision.transaction_id.as_str())
        .bind(new.account_id.as_str())
        .bind(new.event_time.as_microsecond())
        .bind(new.decision.decided_at.as_microsecond())
        .bind(new.decision.outcome.as_str())
        .bind(new.decision.status.as_str())
        .bind(new.decision.decided_by.as_str())
        .bind(new.decision.score.value())
        .bind(new.record)
        .bind(new.response)
        .execute(&mut *connection)
        .await
        .unwrap();
    sqlx::query("INSERT INTO labels VALUES ($1, $2, $3, 'fraud', 'chargeback', $4, 0, $4)")
        .bind(i64::from(n) * 2 + 2)
        .bind(new.decision.transaction_id.as_str())
        .bind(None::<Uuid>)
        .bind(at(i64::from(n)).as_microsecond())
        .execute(connection)
        .await
        .unwrap();
}

/// Opens what an earlier version wrote.
async fn opened(bench: &mut Bench) -> Ledger {
    write_old_file(&bench.path()).await;
    bench.open().await.unwrap()
}

/// How many entries are chained, older than the chain, and erased; there are no faults.
async fn verified(ledger: &Ledger) -> (u64, u64, u64) {
    let found = ledger.verify(|_| {}).await.unwrap();
    assert_eq!(found.fault_count, 0, "{found:?}");
    (found.entries, found.unchained, found.erased)
}

#[tokio::test]
async fn what_an_earlier_version_wrote_is_read_as_it_was_and_the_chain_begins_after_it() {
    let mut bench = Bench::sqlite();
    let ledger = opened(&mut bench).await;
    let page = ledger.decisions(DecisionFilter::default()).await.unwrap();
    assert_eq!(page.items.len(), 4);
    let stored = ledger.decision(decision_id(1)).await.unwrap().unwrap();
    assert_eq!((stored.outcome, stored.status), (Outcome::Challenge, DecisionStatus::Final));
    assert_eq!((stored.completed_at, stored.audited), (Some(at(1001)), false));
    let content = stored.content.unwrap();
    assert_eq!(content.transaction_id, transaction_id(1));
    assert_eq!(content.record, decision(1).record);
    assert_eq!(content.first_response, decision(1).response);
    assert_eq!(content.response, completion(1).response);
    assert_eq!(ledger.labels(&transaction_id(2)).await.unwrap().len(), 1);
    assert_eq!(verified(&ledger).await, (0, 9, 0));

    ledger.append(decision(10)).await.unwrap();
    ledger.append_label(label(0, 5, true)).await.unwrap();
    assert_eq!(verified(&ledger).await, (2, 9, 0));
    ledger.close().await;
    let ledger = bench.open().await.unwrap();
    assert_eq!(verified(&ledger).await, (2, 9, 0));
    ledger.close().await;
}

#[tokio::test]
async fn what_is_older_than_the_chain_can_be_erased() {
    let mut bench = Bench::sqlite();
    let ledger = opened(&mut bench).await;
    ledger.append(decision(10)).await.unwrap();
    let erased = ledger.erase_account(&"acc-1".parse().unwrap(), "asked for", at(5000)).await;
    let erased = erased.unwrap();
    assert_eq!((erased.decisions, erased.labels), (5, 4));
    for n in [0, 1, 10] {
        assert!(ledger.decision(decision_id(n)).await.unwrap().unwrap().is_erased(), "{n}");
    }
    // The new decision and the erasure.
    assert_eq!(verified(&ledger).await, (2, 9, 1));
    ledger.close().await;
}

#[tokio::test]
async fn retention_takes_what_is_older_than_the_chain_first() {
    let mut bench = Bench::sqlite();
    let ledger = opened(&mut bench).await;
    for n in 10..14 {
        ledger.append(decision(n)).await.unwrap();
    }
    // Decision 2 and all after it stay: three decisions, with a label each, and the completion.
    let retained = ledger.apply_retention(at(2)).await.unwrap();
    assert_eq!((retained.decisions, retained.labels), (2, 2));
    assert_eq!(verified(&ledger).await, (5, 5, 0));
    // The completion was written at 1001 s.
    let retained = ledger.apply_retention(at(1000)).await.unwrap();
    assert_eq!((retained.decisions, retained.labels), (2, 2));
    assert_eq!(verified(&ledger).await, (6, 1, 0));
    let retained = ledger.apply_retention(at(1002)).await.unwrap();
    assert_eq!((retained.decisions, retained.labels), (4, 0));
    assert_eq!(verified(&ledger).await.1, 0);
    ledger.close().await;
}
