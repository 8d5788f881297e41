//! What the stores have in common: statements with `$1` in them, values, rows.
//!
//! Two drivers behind enums, so that each statement is written once. Times are microseconds
//! since 1970-01-01T00:00:00Z.

mod failure;
mod fields;
mod insert;
mod lists;
mod migration;
mod patience;
mod value;

use futures::future::BoxFuture;
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool, SqlSafeStr, SqlStr, SqliteConnection,
    SqlitePool, postgres::PgRow, sqlite::SqliteRow,
};

pub(crate) use self::{
    failure::{concerns_one_statement, failure},
    fields::{Fields, Row},
    insert::insert,
    lists::lists,
    migration::{Migrations, migrated, migrator},
    patience::Patience,
    value::{Value, values},
};

/// Which store a statement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// The store's own clock as a statement begins, in microseconds. One value for the whole
    /// statement, without which PostgreSQL would use no index by time.
    pub(crate) fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
            Self::Postgres => "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint",
        }
    }

    /// The store's own clock once a statement has waited for its locks, in microseconds.
    pub(crate) fn clock(self) -> &'static str {
        match self {
            Self::Sqlite => self.now(),
            Self::Postgres => "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
        }
    }

    /// Ends a query for rows to be changed, so that others who do the same take other rows.
    /// SQLite has one writer at a time.
    pub(crate) fn skip_locked(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// Ends a query for the row that all writers take turns on.
    pub(crate) fn lock(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }

    /// Begins a transaction that writes. Immediate, because one that starts as a reader can
    /// fail to become a writer; read committed, because a turn begins by waiting for the last.
    pub(crate) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        }
    }
}

/// The text of a statement. No value is ever part of it.
pub(crate) struct Sql(SqlStr);

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self(SqlStr::from_static(text))
    }
}

impl From<String> for Sql {
    fn from(text: String) -> Self {
        Self(AssertSqlSafe(text).into_sql_str())
    }
}

macro_rules! bound {
    ($sql:expr, $values:expr) => {{
        let mut query = sqlx::query($sql.0);
        for value in $values {
            query = match *value {
                Value::Integer(value) => query.bind(value),
                Value::Real(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
                Value::Id(value) => query.bind(value),
                Value::Flag(value) => query.bind(value),
            };
        }
        query
    }};
}

/// Whatever runs single statements.
pub(crate) trait Statements {
    fn dialect(&self) -> Dialect;

    /// How many rows it changed.
    fn execute<'a>(
        &'a mut self,
        sql: impl Into<Sql>,
        values: &'a [Value<'a>],
    ) -> BoxFuture<'a, Result<u64, sqlx::Error>>;

    fn fetch<'a>(
        &'a mut self,
        sql: impl Into<Sql>,
        values: &'a [Value<'a>],
    ) -> BoxFuture<'a, Result<Vec<Row>, sqlx::Error>>;
}

/// A connection to either store.
#[derive(Debug)]
pub(crate) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection, Patience),
}

impl Statements for Connection {
    fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(..) => Dialect::Postgres,
        }
    }

    fn execute<'a>(
        &'a mut self,
        sql: impl Into<Sql>,
        values: &'a [Value<'a>],
    ) -> BoxFuture<'a, Result<u64, sqlx::Error>> {
        let sql = sql.into();
        Box::pin(async move {
            match self {
                Self::Sqlite(connection) => {
                    Ok(bound!(sql, values).execute(connection).await?.rows_affected())
                }
                Self::Postgres(connection, patience) => {
                    let done = patience.wait_for(bound!(sql, values).execute(connection)).await?;
                    Ok(done.rows_affected())
                }
            }
        })
    }

    fn fetch<'a>(
        &'a mut self,
        sql: impl Into<Sql>,
        values: &'a [Value<'a>],
    ) -> BoxFuture<'a, Result<Vec<Row>, sqlx::Error>> {
        let sql = sql.into();
        Box::pin(async move {
            match self {
                Self::Sqlite(connection) => {
                    Ok(sqlite_rows(bound!(sql, values).fetch_all(connection).await?))
                }
                Self::Postgres(connection, patience) => {
                    let found =
                        patience.wait_for(bound!(sql, values).fetch_all(connection)).await?;
                    Ok(postgres_rows(found))
                }
            }
        })
    }
}

impl Connection {
    /// Closes it; what was not committed is rolled back.
    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection, patience) => patience.wait_for(connection.close()).await,
        }
    }
}

/// Connections to either store, each used for one statement at a time.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool, Patience),
}

impl Statements for Pool {
    fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(..) => Dialect::Postgres,
        }
    }

    fn execute<'a>(
        &'a mut self,
        sql: impl Into<Sql>,
        values: &'a [Value<'a>],
    ) -> BoxFuture<'a, Result<u64, sqlx::Error>> {
        let sql = sql.into();
        Box::pin(async move {
            match self {
                Self::Sqlite(pool) => {
                    Ok(bound!(sql, values).execute(&*pool).await?.rows_affected())
                }
                Self::Postgres(pool, patience) => {
                    let done = patience.wait_for(bound!(sql, values).execute(&*pool)).await?;
                    Ok(done.rows_affected())
                }
            }
        })
    }

    fn fetch<'a>(
        &'a mut self,
        sql: impl Into<Sql>,
        values: &'a [Value<'a>],
    ) -> BoxFuture<'a, Result<Vec<Row>, sqlx::Error>> {
        let sql = sql.into();
        Box::pin(async move {
            match self {
                Self::Sqlite(pool) => Ok(sqlite_rows(bound!(sql, values).fetch_all(&*pool).await?)),
                Self::Postgres(pool, patience) => {
                    let found = patience.wait_for(bound!(sql, values).fetch_all(&*pool)).await?;
                    Ok(postgres_rows(found))
                }
            }
        })
    }
}

impl Pool {
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool, _) => pool.close().await,
        }
    }
}

fn sqlite_rows(rows: Vec<SqliteRow>) -> Vec<Row> {
    rows.into_iter().map(Row::Sqlite).collect()
}

fn postgres_rows(rows: Vec<PgRow>) -> Vec<Row> {
    rows.into_iter().map(Row::Postgres).collect()
}
