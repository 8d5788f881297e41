//! The entries of all tables, one after the other.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::PAGE;
use crate::{
    LedgerError,
    chain::{TABLES, Table, Type},
    read::{Reader, unreadable},
    sql::{Row, Statements, Value, values},
};

/// One entry with its table.
pub(super) struct Entry {
    pub(super) table: &'static Table,
    pub(super) seq: i64,
    pub(super) row: Row,
}

/// All tables in the order of `seq`, a page of each at a time.
pub(super) struct Entries {
    tables: Vec<Pages>,
    until: i64,
    /// The next entry of each table, by place and table.
    next: BinaryHeap<Reverse<(i64, usize)>>,
    begun: bool,
}

struct Pages {
    table: &'static Table,
    after: i64,
    /// In descending order, so that the next is the last.
    rows: Vec<(i64, Row)>,
    ended: bool,
}

impl Entries {
    pub(super) fn open(after: i64, until: i64) -> Self {
        let pages = |table| Pages { table, after, rows: Vec::new(), ended: false };
        let tables = TABLES.into_iter().map(pages).collect();
        Self { tables, until, next: BinaryHeap::new(), begun: false }
    }

    pub(super) async fn next(&mut self, reader: &Reader) -> Result<Option<Entry>, LedgerError> {
        if !self.begun {
            self.begun = true;
            for index in 0..self.tables.len() {
                self.look(reader, index).await?;
            }
        }
        let Some(Reverse((_, index))) = self.next.pop() else { return Ok(None) };
        let Some(pages) = self.tables.get_mut(index) else { return Ok(None) };
        let table = pages.table;
        let Some((seq, row)) = pages.rows.pop() else { return Ok(None) };
        self.look(reader, index).await?;
        Ok(Some(Entry { table, seq, row }))
    }

    /// Puts the table's next entry into the race.
    async fn look(&mut self, reader: &Reader, index: usize) -> Result<(), LedgerError> {
        let Some(pages) = self.tables.get_mut(index) else { return Ok(()) };
        if pages.rows.is_empty() && !pages.ended {
            pages.fetch(reader, self.until).await?;
        }
        if let Some((seq, _)) = pages.rows.last() {
            self.next.push(Reverse((*seq, index)));
        }
        Ok(())
    }
}

impl Pages {
    async fn fetch(&mut self, reader: &Reader, until: i64) -> Result<(), LedgerError> {
        let statement = format!(
            "SELECT * FROM {} WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3",
            self.table.name
        );
        let values = values![self.after, until, PAGE];
        let rows = reader.pool().fetch(statement, &values).await.map_err(unreadable)?;
        self.ended = rows.len() < PAGE;
        for row in rows {
            let seq: i64 = row.get("seq").map_err(unreadable)?;
            self.after = seq;
            self.rows.push((seq, row));
        }
        self.rows.reverse();
        Ok(())
    }
}

/// Values in the order of a table's columns.
pub(super) fn columns<'r>(
    row: &'r Row,
    columns: &[(&'static str, Type)],
) -> Result<Vec<Value<'r>>, sqlx::Error> {
    let read = |(name, kind): &(&'static str, Type)| -> Result<Value<'r>, sqlx::Error> {
        Ok(match kind {
            Type::Integer => Value::Integer(row.get(name)?),
            Type::Real => Value::Real(row.get(name)?),
            Type::Text => Value::Text(row.get(name)?),
            Type::Bytes => Value::Bytes(row.get(name)?),
            Type::Id => Value::Id(row.get(name)?),
            Type::Flag => Value::Flag(row.get(name)?),
        })
    };
    columns.iter().map(read).collect()
}
