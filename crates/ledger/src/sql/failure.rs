//! What a store's errors mean.

use std::sync::Arc;

use sqlx::{postgres::PgDatabaseError, sqlite::SqliteError};

use crate::LedgerError;

/// Translates an error, naming what was tried.
pub(crate) fn failure(action: &str, error: sqlx::Error) -> LedgerError {
    match Meaning::of(&error) {
        Meaning::Closed => LedgerError::Closed,
        Meaning::Corrupt => {
            LedgerError::Corrupt { what: format!("cannot {action}"), source: Some(Arc::new(error)) }
        }
        Meaning::Refused => {
            LedgerError::Refused { action: action.to_owned(), source: Arc::new(error) }
        }
        Meaning::Unavailable => LedgerError::unavailable(action, error),
    }
}

/// Whether the store can do everything else, just not this statement with these values.
pub(crate) fn concerns_one_statement(error: &sqlx::Error) -> bool {
    Meaning::of(error) == Meaning::Refused
}

#[derive(PartialEq, Eq)]
enum Meaning {
    Closed,
    Corrupt,
    Refused,
    Unavailable,
}

impl Meaning {
    fn of(error: &sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::PoolClosed) {
            return Self::Closed;
        }
        let Some(error) = error.as_database_error() else { return Self::Unavailable };
        if error.try_downcast_ref::<SqliteError>().is_some() {
            let code = error.code().and_then(|code| code.parse().ok());
            return Self::of_sqlite(code.unwrap_or_default());
        }
        error
            .try_downcast_ref::<PgDatabaseError>()
            .map_or(Self::Unavailable, |error| Self::of_postgres(error.code()))
    }

    /// By the primary result code, which is the low byte of the extended one.
    fn of_sqlite(code: i32) -> Self {
        const CORRUPT: i32 = 11;
        const TOO_BIG: i32 = 18;
        const CONSTRAINT: i32 = 19;
        const MISMATCH: i32 = 20;
        const NOT_A_DATABASE: i32 = 26;
        match code & 0xff {
            CORRUPT | NOT_A_DATABASE => Self::Corrupt,
            TOO_BIG | CONSTRAINT | MISMATCH => Self::Refused,
            _ => Self::Unavailable,
        }
    }

    /// By SQLSTATE, whose first two characters are its class.
    fn of_postgres(code: &str) -> Self {
        match code {
            "XX001" | "XX002" => Self::Corrupt,
            _ => match code.get(..2) {
                // Bad data, a broken constraint, past a limit of a row, raised by a trigger.
                Some("22" | "23" | "54" | "P0") => Self::Refused,
                _ => Self::Unavailable,
            },
        }
    }
}
