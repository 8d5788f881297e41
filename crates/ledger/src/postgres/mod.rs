//! PostgreSQL: one database, which several instances may share.

use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::{
    ConnectOptions, PgConnection,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};
use tokio::time::timeout;

use crate::{
    Config, LedgerError, SecretUrl,
    sql::{Connection, Migrations, Patience, Pool, failure, migrated, migrator},
};

const MIGRATIONS: Migrations = &[
    ("initial", include_str!("../../migrations/postgres/0001_initial.sql")),
    ("changed outcomes", include_str!("../../migrations/postgres/0002_changed_outcomes.sql")),
];

/// Connections for claims, leases and keys.
const WORKERS: u32 = 4;

/// A ledger's database.
#[derive(Debug)]
pub(crate) struct Database {
    name: String,
    options: PgConnectOptions,
    /// How long connecting may take.
    connecting: Duration,
    patience: Patience,
    readers: PgPool,
    workers: PgPool,
}

impl Database {
    /// Connects and migrates; instances that start together take turns.
    pub(crate) async fn open(
        url: &SecretUrl,
        config: &Config,
    ) -> Result<(Self, Connection), LedgerError> {
        let name = url.to_string();
        let parsed = url.options().map_err(|error| failure(&format!("open {name}"), error))?;
        let limit = config.answer_timeout.max(Duration::from_millis(1));
        let patience = Patience::beyond(limit);
        let limit = &format!("{}ms", limit.as_millis().min(i32::MAX as u128));
        let options = parsed
            .application_name("weir")
            .options([
                // Answered means flushed, whatever the server's default.
                ("synchronous_commit", "on"),
                ("statement_timeout", limit),
                // An instance that is stopped or cut off must not keep the others from their turn.
                ("idle_in_transaction_session_timeout", limit),
            ])
            .disable_statement_logging();
        let connecting = config.busy_timeout;
        // With limits and bounds in sight: a plan for any of them is a bad one for few rows.
        let seeing = options.clone().options([("plan_cache_mode", "force_custom_plan")]);
        let pool = |max: u32| {
            PgPoolOptions::new()
                .max_connections(max)
                .acquire_timeout(connecting)
                .test_before_acquire(true)
                .connect_lazy_with(seeing.clone())
        };
        let (readers, workers) = (pool(config.readers.max(1)), pool(WORKERS));
        let options = options.clone();
        let database = Self { name, options, connecting, patience, readers, workers };
        let mut connection = database.connect_raw().await?;
        let action = format!("open {}", database.name);
        migrate(&mut connection).await.map_err(|error| failure(&action, error))?;
        Ok((database, Connection::Postgres(connection, patience)))
    }

    /// A connection to write with.
    pub(crate) async fn connect(&self) -> Result<Connection, LedgerError> {
        let connection = self.connect_raw().await?;
        Ok(Connection::Postgres(connection, self.patience))
    }

    pub(crate) fn readers(&self) -> Pool {
        Pool::Postgres(self.readers.clone(), self.patience)
    }

    pub(crate) fn workers(&self) -> Pool {
        Pool::Postgres(self.workers.clone(), self.patience)
    }

    async fn connect_raw(&self) -> Result<PgConnection, LedgerError> {
        let action = format!("connect to {}", self.name);
        match timeout(self.connecting, self.options.connect()).await {
            Ok(connected) => connected.map_err(|error| failure(&action, error)),
            Err(late) => Err(LedgerError::unavailable(action, late)),
        }
    }
}

/// Brings the tables up to date. A large table takes as long as it takes, and so does waiting for
/// another instance that is at it.
fn migrate(connection: &mut PgConnection) -> BoxFuture<'_, Result<(), sqlx::Error>> {
    Box::pin(async {
        sqlx::query("SET statement_timeout = 0").execute(&mut *connection).await?;
        migrated(migrator(MIGRATIONS).run_direct(None, connection, false).await)?;
        sqlx::query("RESET statement_timeout").execute(connection).await.map(drop)
    })
}
