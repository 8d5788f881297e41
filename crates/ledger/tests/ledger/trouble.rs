//! Stores that fail: clear errors meanwhile, nothing corrupt, and no restart.

use std::{error::Error, time::Duration};

use ledger::{Config, DecisionFilter, Ledger, LedgerError};
use prometheus::Registry;

use crate::{
    server::{Database, Server},
    support::{Bench, decision, decision_id, store_at},
};

/// Waits until the ledger can be used again.
async fn recovered(ledger: &Ledger) {
    for _ in 0..600 {
        if ledger.check().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the ledger did not recover");
}

async fn assert_sound(ledger: &Ledger) {
    let verification = ledger.verify(|_| {}).await.unwrap();
    assert_eq!(verification.fault_count, 0, "{verification:?}");
}

#[tokio::test]
async fn a_locked_file_is_unavailable_and_then_not() {
    use sqlx::{ConnectOptions, Connection};
    let mut bench = Bench::sqlite();
    let config = Config { busy_timeout: Duration::from_millis(100), ..bench.config() };
    let ledger = bench.open_with(config).await.unwrap();
    ledger.append(decision(1)).await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(bench.path());
    let mut other = options.connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let error = ledger.append(decision(2)).await.unwrap_err();
    assert!(matches!(error, LedgerError::Unavailable { .. }), "{error:?}");
    assert!(error.source().unwrap().to_string().contains("locked"), "{:?}", error.source());
    assert!(ledger.decision(decision_id(1)).await.unwrap().is_some(), "reading goes on");
    // What was answered all the same waits in memory.
    ledger.append_when_possible(decision(3)).await.unwrap();
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    recovered(&ledger).await;
    ledger.append(decision(2)).await.unwrap();
    while ledger.decision(decision_id(3)).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_sound(&ledger).await;
    ledger.close().await;
}

const FULL_VARIABLE: &str = "LEDGER_TEST_FULL_PATH";

/// A file that may not grow is all that a full disk is to who writes it.
#[tokio::test]
async fn a_full_disk_refuses_and_harms_nothing() {
    let mut bench = Bench::sqlite();
    bench.open().await.unwrap().close().await;
    let this = std::env::current_exe().unwrap();
    let script = "trap '' XFSZ; ulimit -f 4000; exec \"$0\" \"$@\"";
    let child = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(this)
        .args(["trouble::child_that_fills_its_disk", "--exact", "--ignored", "--nocapture"])
        .env(FULL_VARIABLE, bench.place())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{output}{}", String::from_utf8_lossy(&child.stderr));
    let written: u32 = output
        .lines()
        .find_map(|line| line.split_once("written ")?.1.parse().ok())
        .expect("the child tells how many it wrote");
    assert!(written > 0);
    let ledger = bench.open().await.unwrap();
    for n in 0..written {
        assert!(ledger.decision(decision_id(n)).await.unwrap().is_some(), "{n}");
    }
    ledger.append(decision(10_000)).await.unwrap();
    assert_sound(&ledger).await;
    ledger.close().await;
}

#[tokio::test]
#[ignore = "only the child of the test above"]
async fn child_that_fills_its_disk() {
    let Ok(place) = std::env::var(FULL_VARIABLE) else { return };
    let config = Config::new(store_at(&place));
    let ledger = Ledger::open(config, &Registry::new()).await.unwrap();
    let mut written = 0;
    let error = loop {
        let mut new = decision(written);
        new.record = "x".repeat(100_000);
        match ledger.append(new).await {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "the disk is not full");
    };
    assert!(matches!(error, LedgerError::Unavailable { .. }), "{error:?}");
    assert!(ledger.decision(decision_id(0)).await.unwrap().is_some(), "reading goes on");
    println!("written {written}");
    ledger.close().await;
}

#[tokio::test]
async fn a_lost_file_is_noticed_and_taken_up_when_it_is_back() {
    let mut bench = Bench::sqlite();
    let ledger = bench.open().await.unwrap();
    ledger.append(decision(1)).await.unwrap();
    let (path, away) = (bench.path(), bench.path().with_extension("away"));
    std::fs::rename(&path, &away).unwrap();
    let error = ledger.append(decision(2)).await.unwrap_err();
    assert!(matches!(error, LedgerError::Unavailable { .. }), "{error:?}");
    assert!(!path.exists(), "no empty ledger stands in for the lost one");
    std::fs::rename(&away, &path).unwrap();
    recovered(&ledger).await;
    ledger.append(decision(2)).await.unwrap();
    assert_sound(&ledger).await;
    ledger.close().await;
}

#[tokio::test]
async fn a_spool_has_a_bound_and_is_emptied_at_the_end() {
    let mut bench = Bench::sqlite();
    let config = Config { spool_depth: 2, ..bench.config() };
    let ledger = bench.open_with(config).await.unwrap();
    let mut refused = 0;
    for n in 0..20 {
        match ledger.append_when_possible(decision(n)).await {
            Ok(()) => {}
            Err(LedgerError::Overloaded { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0);
    ledger.close().await;
    let ledger = bench.open().await.unwrap();
    let mut found = 0;
    for n in 0..20 {
        found += usize::from(ledger.decision(decision_id(n)).await.unwrap().is_some());
    }
    assert_eq!(found, 20 - refused);
    ledger.close().await;
}

#[tokio::test]
async fn what_waits_is_recorded_in_order_and_what_is_refused_is_counted() {
    use sqlx::{ConnectOptions, Connection};
    let mut bench = Bench::sqlite();
    let config = Config { busy_timeout: Duration::from_millis(50), ..bench.config() };
    let ledger = bench.open_with(config).await.unwrap();
    bench.refuse_transaction("tx-7").await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(bench.path());
    let mut other = options.connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    for n in 0..1000 {
        ledger.append_when_possible(decision(n)).await.unwrap();
    }
    // Long enough for a few attempts in vain.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(bench.spooled(), (1000, 1000, 0));
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    while bench.spooled().0 > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(bench.spooled(), (0, 1000, 1));
    let filter = DecisionFilter { limit: 1000, ..DecisionFilter::default() };
    let page = ledger.decisions(filter).await.unwrap();
    let found: Vec<_> = page.items.iter().map(|stored| stored.decision_id).collect();
    let expected: Vec<_> = (0..1000).filter(|n| *n != 7).map(decision_id).collect();
    assert_eq!(found, expected);
    assert_sound(&ledger).await;
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_and_comes_back_is_used_again_without_a_restart() {
    // A server of this test's own: the others need theirs.
    let server: &'static Server = Box::leak(Box::new(Server::start()));
    let database = Database::create(server).await;
    let config = Config {
        busy_timeout: Duration::from_millis(500),
        ..Config::new(store_at(&database.url()))
    };
    let ledger = Ledger::open(config, &Registry::new()).await.unwrap();
    ledger.append(decision(1)).await.unwrap();
    server.stop();
    for n in 2..5 {
        let error = ledger.append(decision(n)).await.unwrap_err();
        assert!(matches!(error, LedgerError::Unavailable { .. }), "{error:?}");
        assert!(ledger.decision(decision_id(1)).await.is_err());
    }
    ledger.append_when_possible(decision(9)).await.unwrap();
    server.start_again();
    recovered(&ledger).await;
    ledger.append(decision(2)).await.unwrap();
    while ledger.decision(decision_id(9)).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(ledger.decision(decision_id(1)).await.unwrap().is_some());
    assert_sound(&ledger).await;
    ledger.close().await;
    server.stop();
}
