//! What a statement gives. What does not parse is corrupt, and says where.

use std::{fmt, str::FromStr, sync::Arc};

use domain::DecisionId;
use jiff::Timestamp;
use sqlx::{Decode, Postgres, Row as _, Sqlite, Type, postgres::PgRow, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{LedgerError, chain::Hash};

/// A row of either store.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn get<'r, T>(&'r self, column: &str) -> Result<T, sqlx::Error>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
    {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }

    /// A SHA-256; None when the column is null.
    pub(crate) fn hash(&self, column: &str) -> Result<Option<Hash>, sqlx::Error> {
        let bytes: Option<&[u8]> = self.get(column)?;
        let hash = bytes.map(TryInto::try_into).transpose();
        hash.map_err(|error| sqlx::Error::Decode(Box::new(error)))
    }
}

/// A row whose `seq` is known, so that a complaint can name it.
pub(crate) struct Fields {
    pub(crate) seq: i64,
    row: Row,
}

impl Fields {
    pub(crate) fn new(row: Row) -> Result<Self, LedgerError> {
        let seq = row.get("seq").map_err(|error| LedgerError::Corrupt {
            what: "an entry has no place in the sequence".to_owned(),
            source: Some(Arc::new(error)),
        })?;
        Ok(Self { seq, row })
    }

    pub(crate) fn corrupt(&self, column: &str, problem: impl fmt::Display) -> LedgerError {
        let what = format!("{column} of entry {}: {problem}", self.seq);
        LedgerError::Corrupt { what, source: None }
    }

    pub(crate) fn get<'r, T>(&'r self, column: &str) -> Result<T, LedgerError>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
    {
        self.row.get(column).map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn parse<T>(&self, column: &str) -> Result<T, LedgerError>
    where
        T: FromStr<Err = String>,
    {
        self.get::<&str>(column)?.parse().map_err(|error| self.corrupt(column, error))
    }

    /// None when the column is null.
    pub(crate) fn parse_if_there<T>(&self, column: &str) -> Result<Option<T>, LedgerError>
    where
        T: FromStr<Err = String>,
    {
        self.get::<Option<&str>>(column)?
            .map(|text| text.parse().map_err(|error| self.corrupt(column, error)))
            .transpose()
    }

    pub(crate) fn time(&self, column: &str) -> Result<Timestamp, LedgerError> {
        Timestamp::from_microsecond(self.get(column)?).map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn time_if_there(&self, column: &str) -> Result<Option<Timestamp>, LedgerError> {
        self.get::<Option<i64>>(column)?.map(|_| self.time(column)).transpose()
    }

    pub(crate) fn count(&self, column: &str) -> Result<u64, LedgerError> {
        let count: i64 = self.get(column)?;
        u64::try_from(count).map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn decision_id(&self) -> Result<DecisionId, LedgerError> {
        self.get::<Uuid>("decision_id").map(DecisionId)
    }
}
