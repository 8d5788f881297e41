use std::{error::Error, fs, path::PathBuf};

use ledger::{Config, DecisionFilter, Ledger, LedgerError, StoreConfig};
use prometheus::Registry;

use crate::support::{Bench, decision, decision_id};

async fn refusal(path: PathBuf) -> LedgerError {
    let config = Config::new(StoreConfig::Sqlite { path });
    Ledger::open(config, &Registry::new()).await.unwrap_err()
}

#[tokio::test]
async fn a_path_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.join("ledger.sqlite"), folder.path().to_owned()] {
        let error = refusal(path.clone()).await;
        assert!(matches!(error, LedgerError::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(error.source().is_some());
    }
}

#[tokio::test]
async fn a_file_of_garbage_is_called_corrupt_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    for garbage in [&b"garbage"[..], &[0xa5; 8192]] {
        fs::write(&path, garbage).unwrap();
        let error = refusal(path.clone()).await;
        assert!(matches!(error, LedgerError::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(fs::read(&path).unwrap(), garbage);
    }
}

#[tokio::test]
async fn damaged_pages_are_called_corrupt() {
    let mut bench = Bench::sqlite();
    let ledger = bench.open().await.unwrap();
    for n in 0..50 {
        ledger.append(decision(n)).await.unwrap();
    }
    ledger.close().await;
    let mut bytes = fs::read(bench.path()).unwrap();
    // The first page holds the header and the schema; all data behind it goes.
    bytes[4096..].fill(0xa5);
    fs::write(bench.path(), bytes).unwrap();

    let error = match bench.open().await {
        Err(error) => error,
        Ok(ledger) => ledger.decisions(DecisionFilter::default()).await.unwrap_err(),
    };
    assert!(matches!(error, LedgerError::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn opening_again_migrates_nothing_and_loses_nothing() {
    let mut bench = Bench::sqlite();
    for n in 0..3 {
        let ledger = bench.open().await.unwrap();
        ledger.append(decision(n)).await.unwrap();
        ledger.check().await.unwrap();
        ledger.close().await;
    }
    let ledger = bench.open().await.unwrap();
    for n in 0..3 {
        assert!(ledger.decision(decision_id(n)).await.unwrap().is_some(), "{n}");
    }
    ledger.close().await;
}

#[tokio::test]
async fn a_file_that_a_later_version_wrote_is_refused() {
    use sqlx::{ConnectOptions, Connection};
    let mut bench = Bench::sqlite();
    bench.open().await.unwrap().close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(bench.path());
    let mut connection = options.connect().await.unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET version = 999 WHERE version = 1")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let error = bench.open().await.unwrap_err();
    assert!(error.source().unwrap().to_string().contains("999"), "{:?}", error);
}

#[tokio::test]
async fn closing_folds_the_log_into_the_file() {
    let mut bench = Bench::sqlite();
    let ledger = bench.open().await.unwrap();
    ledger.append(decision(1)).await.unwrap();
    let log = bench.path().with_extension("sqlite-wal");
    assert!(log.exists());
    // A reader is connected too: it must not keep the log alive.
    ledger.decision(decision_id(1)).await.unwrap();
    ledger.close().await;
    assert!(!log.exists());
}

#[tokio::test]
async fn a_check_writes_to_the_disk() {
    let mut bench = Bench::sqlite();
    let ledger = bench.open().await.unwrap();
    ledger.append(decision(1)).await.unwrap();
    let log = bench.path().with_extension("sqlite-wal");
    let before = fs::metadata(&log).unwrap().len();
    ledger.check().await.unwrap();
    assert!(fs::metadata(&log).unwrap().len() > before);
    ledger.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let mut bench = Bench::sqlite();
    let ledger = bench.open().await.unwrap();
    ledger.append(decision(1)).await.unwrap();
    for extension in ["sqlite", "sqlite-wal", "sqlite-shm"] {
        let file = bench.path().with_extension(extension);
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
    ledger.close().await;
}
