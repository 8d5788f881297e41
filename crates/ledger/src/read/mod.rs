//! Everything that is asked of the store.

mod beside;
mod decisions;
mod outcomes;
mod replay;
mod retention;
mod row;

pub(crate) use self::outcomes::Stretch;

use std::sync::Arc;

use crate::{
    LedgerError,
    sql::{Pool, Row, Sql, Statements, Value, failure},
    store::Place,
};

/// The reading side of the store: sees all that was committed before it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    place: Arc<Place>,
}

impl Reader {
    pub(crate) fn new(place: Arc<Place>) -> Self {
        Self { place }
    }

    pub(crate) fn pool(&self) -> Pool {
        self.place.readers()
    }

    pub(crate) async fn last_seq(&self) -> Result<i64, LedgerError> {
        let row = self.one("SELECT last FROM sequence", &[]).await?;
        row.get("last").map_err(unreadable)
    }

    /// The rows that a statement finds, parsed.
    async fn rows<T>(
        &self,
        statement: impl Into<Sql>,
        values: &[Value<'_>],
        parse: fn(Row) -> Result<T, LedgerError>,
    ) -> Result<Vec<T>, LedgerError> {
        let rows = self.pool().fetch(statement, values).await.map_err(unreadable)?;
        rows.into_iter().map(parse).collect()
    }

    /// The one row that a statement always finds.
    pub(crate) async fn one(
        &self,
        statement: impl Into<Sql>,
        values: &[Value<'_>],
    ) -> Result<Row, LedgerError> {
        let mut rows = self.pool().fetch(statement, values).await.map_err(unreadable)?;
        rows.pop().ok_or_else(|| unreadable(sqlx::Error::RowNotFound))
    }
}

pub(crate) fn unreadable(error: sqlx::Error) -> LedgerError {
    failure("read", error)
}
