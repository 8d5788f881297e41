//! The store: where a group of writes becomes one commit.

mod care;
mod decisions;
mod entries;
mod group;
mod work;

use std::{iter, path::Path, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

pub(crate) use self::care::{EraseRequest, Removed, RetainRequest};
pub(crate) use self::work::{
    KEY_LIFE, KEYS_CHUNK, RESERVATION_AGE_MAX, WorkRequest, micros, parse_claim, parse_delivery,
    run as run_work,
};
use crate::{
    Config, LedgerError, StoreConfig, postgres,
    sql::{Connection, Dialect, Pool, Statements, concerns_one_statement, failure},
    sqlite,
    writer::{Write, Written},
};

/// Between two attempts to find out what became of a commit.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the ledger is kept.
#[derive(Debug)]
pub(crate) enum Place {
    Sqlite(sqlite::File),
    Postgres(postgres::Database),
}

impl Place {
    /// Creates what is missing, connects and migrates.
    async fn open(config: &Config) -> Result<(Self, Connection), LedgerError> {
        match &config.store {
            StoreConfig::Sqlite { path } => {
                let (file, connection) = sqlite::File::open(Path::new(path), config).await?;
                Ok((Self::Sqlite(file), connection))
            }
            StoreConfig::Postgres { url } => {
                let (database, connection) = postgres::Database::open(url, config).await?;
                Ok((Self::Postgres(database), connection))
            }
        }
    }

    /// Whether several instances may use it.
    pub(crate) fn is_shared(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(_) => true,
        }
    }

    async fn connect(&self) -> Result<Connection, LedgerError> {
        match self {
            Self::Sqlite(file) => file.connect().await,
            Self::Postgres(database) => database.connect().await,
        }
    }

    /// Whether what was opened is still what a new caller would open.
    fn is_there(&self) -> Result<(), LedgerError> {
        match self {
            Self::Sqlite(file) => file.is_there(),
            // A connection that answers is to the database that was opened.
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Connections to read with.
    pub(crate) fn readers(&self) -> Pool {
        match self {
            Self::Sqlite(file) => file.readers(),
            Self::Postgres(database) => database.readers(),
        }
    }

    /// Connections for work that asks for no commit of entries; none where all writes take turns.
    pub(crate) fn workers(&self) -> Option<Pool> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(database) => Some(database.workers()),
        }
    }
}

/// What a group needs to know beside its writes.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Who holds what is promised.
    pub(crate) instance: Uuid,
    /// For how long.
    pub(crate) lease: Duration,
}

/// The writing side of the store. There is one per ledger.
pub(crate) struct Store {
    place: Arc<Place>,
    context: Context,
    /// How long to try to find out what became of a commit.
    patience: Duration,
    /// Absent after a failure, until the next group connects anew.
    connection: Option<Connection>,
}

impl Store {
    pub(crate) async fn open(config: &Config) -> Result<Self, LedgerError> {
        let (place, connection) = Place::open(config).await?;
        let lease = config.lease.max(Duration::from_millis(1));
        let context = Context { instance: config.instance, lease };
        // A file tells at once.
        let patience = if place.is_shared() { config.busy_timeout } else { Duration::ZERO };
        Ok(Self { place: Arc::new(place), context, patience, connection: Some(connection) })
    }

    pub(crate) fn place(&self) -> Arc<Place> {
        self.place.clone()
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// Writes all in one commit and answers each. When the store refuses one of them, the group
    /// is halved until that one is alone.
    pub(crate) async fn write_group(&mut self, writes: &[Write]) -> Vec<Written> {
        let mut answers = Vec::with_capacity(writes.len());
        let mut parts: Vec<_> = iter::once(0..writes.len()).collect();
        while let Some(part) = parts.pop() {
            match self.commit(&writes[part.clone()]).await {
                Ok(written) => answers.extend(written),
                Err(LedgerError::Refused { .. }) if part.len() > 1 => {
                    let middle = part.start + part.len() / 2;
                    parts.extend([middle..part.end, part.start..middle]);
                }
                Err(error) => {
                    tracing::warn!(writes = part.len(), %error, "a group of ledger writes failed");
                    answers.extend(part.map(|_| Err(error.clone())));
                }
            }
        }
        answers
    }

    /// Boxed, because the compiler cannot prove the unboxed future to be `Send`.
    fn commit<'a>(
        &'a mut self,
        writes: &'a [Write],
    ) -> BoxFuture<'a, Result<Vec<Written>, LedgerError>> {
        Box::pin(self.try_commit(writes))
    }

    /// An error means that nothing of these is known to be written.
    async fn try_commit(&mut self, writes: &[Write]) -> Result<Vec<Written>, LedgerError> {
        let mut connection = self.begin().await?;
        match group::run(&mut connection, writes, &self.context).await {
            Ok(answers) => {
                if writes.iter().any(|write| matches!(write, Write::Erase(_))) {
                    forget(&mut connection).await;
                }
                self.connection = Some(connection);
                Ok(answers)
            }
            Err(group::Failed { error, doubt }) => {
                let undone = doubt.is_none()
                    && concerns_one_statement(&error)
                    && connection.execute("ROLLBACK", &[]).await.is_ok();
                if undone {
                    self.connection = Some(connection);
                } else {
                    // What state it is in is anyone's guess. Closing it rolls back.
                    let _ = connection.close().await;
                }
                match doubt {
                    Some(doubt) => self.settle(doubt).await.ok_or(error),
                    None => Err(error),
                }
                .map_err(|error| failure("record this", error))
            }
        }
    }

    /// Whether a group was recorded whose commit was not answered: then its answers. None also
    /// when that cannot be found out.
    async fn settle(&mut self, doubt: group::Doubt) -> Option<Vec<Written>> {
        let deadline = Instant::now() + self.patience;
        let mut connection = loop {
            match self.begin().await {
                Ok(connection) => break connection,
                Err(_) if Instant::now() < deadline => sleep(PAUSE).await,
                Err(_) => return None,
            }
        };
        match doubt.settle(&mut connection).await {
            Ok(settled) => {
                self.connection = Some(connection);
                settled
            }
            Err(_) => {
                let _ = connection.close().await;
                None
            }
        }
    }

    /// A connection in a transaction. One that went stale while idle is replaced.
    async fn begin(&mut self) -> Result<Connection, LedgerError> {
        if let Some(mut connection) = self.connection.take() {
            let is_there = self.place.is_there();
            let begin = connection.dialect().begin();
            if is_there.is_ok() && connection.execute(begin, &[]).await.is_ok() {
                return Ok(connection);
            }
            let _ = connection.close().await;
            is_there?;
        }
        let mut connection = self.place.connect().await?;
        match connection.execute(connection.dialect().begin(), &[]).await {
            Ok(_) => Ok(connection),
            Err(error) => {
                let _ = connection.close().await;
                Err(failure("begin a transaction", error))
            }
        }
    }

    /// Closes the readers first: only a writer that is alone can fold SQLite's log into the file.
    pub(crate) async fn close(self) {
        if let Some(workers) = self.place.workers() {
            workers.close().await;
        }
        self.place.readers().close().await;
        if let Some(connection) = self.connection
            && let Err(error) = connection.close().await
        {
            tracing::error!(%error, "the ledger was not closed cleanly");
        }
    }
}

/// Lets go of SQLite's log, which holds what was erased as it was. The erasure itself is done: if a
/// reader is in the way, the log goes later.
async fn forget(connection: &mut Connection) {
    match connection.dialect() {
        Dialect::Sqlite => {
            let folded = connection.fetch("PRAGMA wal_checkpoint(TRUNCATE)", &[]).await;
            let is_gone = folded.is_ok_and(|rows| {
                rows.first().is_some_and(|row| row.get::<i64>("busy").is_ok_and(|busy| busy == 0))
            });
            if !is_gone {
                tracing::warn!("the ledger's log still holds what was erased");
            }
        }
        Dialect::Postgres => {}
    }
}
