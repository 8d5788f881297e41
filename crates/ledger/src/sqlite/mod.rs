//! SQLite: one file, one writer.
//!
//! Write-ahead log with full synchronisation: a commit returns after the log was flushed.

mod schema;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use parking_lot::RwLock;
use sqlx::{
    ConnectOptions, SqliteConnection,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
    },
};

use crate::{
    Config, LedgerError,
    sql::{Connection, Pool, failure},
};

/// How long the log grows before it is folded into the file, in pages of 4 KiB. A decision
/// takes about three, and each folding costs two more flushes.
const LOG_PAGES: &str = "8192";
/// The log is cut back to this size after a checkpoint, in bytes.
const LOG_BYTES_KEPT: &str = "67108864";

/// A ledger's file.
#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    options: SqliteConnectOptions,
    readers_max: u32,
    busy_timeout: Duration,
    opened: RwLock<Opened>,
}

/// The file as it was when the readers connected to it.
#[derive(Debug)]
struct Opened {
    identity: Option<Identity>,
    readers: SqlitePool,
}

/// What tells a file from another one that took its name.
type Identity = (u64, u64);

impl File {
    /// Creates what is missing, connects and migrates.
    pub(crate) async fn open(
        path: &Path,
        config: &Config,
    ) -> Result<(Self, Connection), LedgerError> {
        let action = || format!("open {}", path.display());
        create(path).map_err(|error| LedgerError::unavailable(action(), error))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(config.busy_timeout)
            .disable_statement_logging();
        let readers_max = config.readers.max(1);
        let busy_timeout = config.busy_timeout;
        let readers = readers(&options, readers_max, busy_timeout);
        let opened = RwLock::new(Opened { identity: identity(path), readers });
        let file = Self { path: path.to_owned(), options, readers_max, busy_timeout, opened };
        let mut connection = file.connect_raw().await.map_err(|error| failure(&action(), error))?;
        schema::migrate(&mut connection).await.map_err(|error| failure(&action(), error))?;
        Ok((file, Connection::Sqlite(connection)))
    }

    /// A connection to write with. Creates no file: an empty ledger in the place of one that was
    /// lost would hide the loss.
    pub(crate) async fn connect(&self) -> Result<Connection, LedgerError> {
        let action = format!("connect to {}", self.path.display());
        let found = identity(&self.path);
        if found.is_none() {
            return Err(LedgerError::unavailable(action, self.lost()));
        }
        let stale = {
            let mut opened = self.opened.write();
            let is_same = opened.identity == found;
            let fresh = || readers(&self.options, self.readers_max, self.busy_timeout);
            (!is_same).then(|| {
                opened.identity = found;
                std::mem::replace(&mut opened.readers, fresh())
            })
        };
        if let Some(stale) = stale {
            tracing::warn!(path = %self.path.display(), "the ledger's file was replaced");
            stale.close().await;
        }
        let mut connection = self.connect_raw().await.map_err(|error| failure(&action, error))?;
        schema::migrate(&mut connection).await.map_err(|error| failure(&action, error))?;
        Ok(Connection::Sqlite(connection))
    }

    /// Whether the file that is open is still the one of that name. SQLite itself would go on
    /// writing to a file that nobody can find any more.
    pub(crate) fn is_there(&self) -> Result<(), LedgerError> {
        if identity(&self.path) == self.opened.read().identity {
            return Ok(());
        }
        Err(LedgerError::unavailable(format!("find {}", self.path.display()), self.lost()))
    }

    pub(crate) fn readers(&self) -> Pool {
        Pool::Sqlite(self.opened.read().readers.clone())
    }

    fn lost(&self) -> io::Error {
        io::Error::new(io::ErrorKind::NotFound, "the file was removed or replaced")
    }

    async fn connect_raw(&self) -> Result<SqliteConnection, sqlx::Error> {
        self.options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("wal_autocheckpoint", LOG_PAGES)
            .pragma("journal_size_limit", LOG_BYTES_KEPT)
            // What is erased is overwritten, not only forgotten.
            .pragma("secure_delete", "ON")
            .connect()
            .await
    }
}

fn readers(options: &SqliteConnectOptions, max: u32, acquire_timeout: Duration) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(max)
        .acquire_timeout(acquire_timeout)
        .idle_timeout(None)
        .max_lifetime(None)
        // A file has no connection that could have died meanwhile.
        .test_before_acquire(false)
        .connect_lazy_with(options.clone().read_only(true))
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// Only whether it is there.
#[cfg(not(unix))]
fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|_| (0, 0))
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
