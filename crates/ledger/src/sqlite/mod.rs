//! The store on SQLite; nothing above this module knows SQL.
//!
//! Write-ahead log with full synchronisation: a commit returns after the log was flushed.

mod read;
mod row;
mod schema;
mod write;

use std::{fs, io, path::Path, sync::Arc};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
    },
};

pub(crate) use self::read::Reader;
use crate::{Config, LedgerError};

/// How long the log grows before it is folded into the file, in pages of 4 KiB. A decision
/// takes about three, and each folding costs two more flushes.
const LOG_PAGES: &str = "8192";
/// The log is cut back to this size after a checkpoint, in bytes.
const LOG_BYTES_KEPT: &str = "67108864";

/// The writing side of the store. There is one per file and process.
pub(crate) struct Store {
    options: SqliteConnectOptions,
    /// Absent after a failure, until the next group connects anew.
    connection: Option<SqliteConnection>,
    readers: SqlitePool,
}

impl Store {
    /// Creates what is missing, connects and migrates.
    pub(crate) async fn open(config: &Config) -> Result<Self, LedgerError> {
        let path = &config.path;
        let action = || format!("open {}", path.display());
        create(path).map_err(|error| LedgerError::unavailable(action(), error))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(config.busy_timeout)
            .disable_statement_logging();
        let writing = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", LOG_PAGES)
            .pragma("journal_size_limit", LOG_BYTES_KEPT);
        let mut connection = writing.connect().await.map_err(|error| failure(&action(), error))?;
        schema::migrate(&mut connection).await.map_err(|error| failure(&action(), error))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(config.readers.max(1))
            .acquire_timeout(config.busy_timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            // A file has no connection that could have died meanwhile.
            .test_before_acquire(false)
            .connect_lazy_with(options.read_only(true));
        Ok(Self { options: writing, connection: Some(connection), readers })
    }

    /// The reading side.
    pub(crate) fn reader(&self) -> Reader {
        Reader::new(self.readers.clone())
    }

    /// Closes the readers first: only a writer that is alone can fold the log into the file.
    pub(crate) async fn close(self) {
        self.readers.close().await;
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            tracing::error!(%error, "the ledger was not closed cleanly");
        }
    }
}

/// Makes the folder and the file, the file for its owner's eyes only. SQLite gives the log
/// beside it the same permissions.
fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Translates an error, naming what was tried.
fn failure(action: &str, error: sqlx::Error) -> LedgerError {
    const CORRUPT: i32 = 11;
    const NOT_A_DATABASE: i32 = 26;
    if matches!(error, sqlx::Error::PoolClosed) {
        return LedgerError::Closed;
    }
    match result_code(&error) {
        Some(CORRUPT | NOT_A_DATABASE) => {
            LedgerError::Corrupt { what: format!("cannot {action}"), source: Some(Arc::new(error)) }
        }
        _ => LedgerError::unavailable(action, error),
    }
}

/// SQLite's primary result code: the low byte of the extended one.
fn result_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn commits_wait_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.sqlite");
        let mut store = Store::open(&Config { path, ..Config::default() }).await.unwrap();
        let connection = store.connection.as_mut().unwrap();
        let journal: String =
            sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await.unwrap();
        let synchronous: i64 =
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await.unwrap();
        assert_eq!((journal.as_str(), synchronous), ("wal", 2));
        store.close().await;
    }
}
