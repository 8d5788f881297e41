//! From rows to entries. What does not parse is corrupt, and says where.

use std::{fmt, str::FromStr, sync::Arc};

use domain::{DecisionId, Label, Score};
use jiff::Timestamp;
use sqlx::{Decode, Row, Sqlite, Type, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{Entry, LabelId, LedgerError, Origin, StoredDecision, StoredLabel, StoredTransaction};

/// A row whose `seq` is known, so that a complaint can name it.
struct Fields {
    seq: i64,
    row: SqliteRow,
}

impl Fields {
    fn new(row: SqliteRow) -> Result<Self, LedgerError> {
        let seq = row.try_get("seq").map_err(|error| LedgerError::Corrupt {
            what: "an entry has no place in the sequence".to_owned(),
            source: Some(Arc::new(error)),
        })?;
        Ok(Self { seq, row })
    }

    fn corrupt(&self, column: &str, problem: impl fmt::Display) -> LedgerError {
        let what = format!("{column} of entry {}: {problem}", self.seq);
        LedgerError::Corrupt { what, source: None }
    }

    fn get<'r, T>(&'r self, column: &str) -> Result<T, LedgerError>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite>,
    {
        self.row.try_get(column).map_err(|error| self.corrupt(column, error))
    }

    fn parse<T: FromStr<Err = String>>(&self, column: &str) -> Result<T, LedgerError> {
        self.get::<&str>(column)?.parse().map_err(|error| self.corrupt(column, error))
    }

    fn time(&self, column: &str) -> Result<Timestamp, LedgerError> {
        Timestamp::from_microsecond(self.get(column)?).map_err(|error| self.corrupt(column, error))
    }

    fn decision_id(&self) -> Result<Option<DecisionId>, LedgerError> {
        self.get::<Option<&[u8]>>("decision_id")?
            .map(Uuid::from_slice)
            .transpose()
            .map(|id| id.map(DecisionId))
            .map_err(|error| self.corrupt("decision_id", error))
    }
}

/// Needs all columns of `decisions`, and what completes it as `completion` and `completed`.
pub(super) fn decision(row: SqliteRow) -> Result<StoredDecision, LedgerError> {
    let fields = Fields::new(row)?;
    Ok(StoredDecision {
        seq: fields.seq,
        decision_id: fields
            .decision_id()?
            .ok_or_else(|| fields.corrupt("decision_id", "is missing"))?,
        transaction_id: fields.parse("transaction_id")?,
        account_id: fields.parse("account_id")?,
        event_time: fields.time("event_time")?,
        decided_at: fields.time("decided_at")?,
        outcome: fields.parse("outcome")?,
        status: fields.parse("status")?,
        decided_by: fields.parse("decided_by")?,
        score: Score::new(fields.get("score")?).map_err(|error| fields.corrupt("score", error))?,
        record: fields.get("record")?,
        response: match fields.get::<Option<String>>("completed")? {
            Some(completed) => completed,
            None => fields.get("response")?,
        },
        completion: fields.get("completion")?,
    })
}

/// Needs all columns of `labels`.
pub(super) fn label(row: SqliteRow) -> Result<StoredLabel, LedgerError> {
    label_of(&Fields::new(row)?)
}

/// Needs the columns of `events`, and `origin`.
pub(super) fn transaction(row: SqliteRow) -> Result<StoredTransaction, LedgerError> {
    transaction_of(&Fields::new(row)?)
}

/// Needs `origin`, and the columns that it stands for.
pub(super) fn entry(row: SqliteRow) -> Result<Entry, LedgerError> {
    let fields = Fields::new(row)?;
    if fields.get::<&str>("origin")? == "label" {
        label_of(&fields).map(Entry::Label)
    } else {
        transaction_of(&fields).map(Entry::Transaction)
    }
}

fn label_of(fields: &Fields) -> Result<StoredLabel, LedgerError> {
    Ok(StoredLabel {
        id: LabelId(fields.seq),
        transaction_id: fields.parse("transaction_id")?,
        decision_id: fields.decision_id()?,
        label: Label {
            label: fields.parse("label")?,
            source: fields.parse("source")?,
            effective_at: fields.time("effective_at")?,
            reversed: fields.get("reversed")?,
        },
        recorded_at: fields.time("recorded_at")?,
    })
}

fn transaction_of(fields: &Fields) -> Result<StoredTransaction, LedgerError> {
    let origin = match fields.get::<&str>("origin")? {
        "decision" => Origin::Decision,
        "event" => Origin::Event,
        other => return Err(fields.corrupt("origin", other)),
    };
    Ok(StoredTransaction {
        seq: fields.seq,
        origin,
        transaction_id: fields.parse("transaction_id")?,
        account_id: fields.parse("account_id")?,
        event_time: fields.time("event_time")?,
        record: fields.get("record")?,
    })
}
