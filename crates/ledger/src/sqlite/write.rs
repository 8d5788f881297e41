//! Group commit: one transaction for all that waits.

use jiff::Timestamp;
use sqlx::{
    ConnectOptions, Connection, QueryBuilder, Sqlite, SqliteConnection, sqlite::SqliteQueryResult,
};

use super::{Store, failure, result_code};
use crate::{
    LedgerError, NewCompletion, NewDecision, NewEvent, NewLabel,
    writer::{Write, Written},
};

const ALLOCATE: &str = "UPDATE sequence SET last = last + ? RETURNING last";

const INSERT_DECISION: &str = "\
    INSERT INTO decisions (seq, decision_id, transaction_id, account_id, event_time, decided_at, \
        outcome, status, decided_by, score, record, response) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (decision_id) DO NOTHING";

const INSERT_COMPLETION: &str = "\
    INSERT INTO completions (seq, decision_id, completed_at, record, response) \
    VALUES (?, ?, ?, ?, ?) ON CONFLICT (decision_id) DO NOTHING";

const INSERT_LABEL: &str = "\
    INSERT INTO labels (seq, transaction_id, decision_id, label, source, effective_at, reversed, \
        recorded_at) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)";

const INSERT_EVENTS: &str =
    "INSERT INTO events (seq, transaction_id, account_id, event_time, record) ";

const PRUNE: &str = "\
    DELETE FROM events WHERE seq IN (\
        SELECT seq FROM events WHERE event_time < ? ORDER BY event_time LIMIT ?)";

impl Store {
    /// Writes all in one commit and answers each. An error means that nothing of the group is
    /// known to be written.
    pub(crate) async fn write_group(
        &mut self,
        writes: &[Write],
    ) -> Result<Vec<Written>, LedgerError> {
        let result = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.options.connect().await,
        };
        let mut connection = result.map_err(|error| failure("connect", error))?;
        match commit(&mut connection, writes).await {
            Ok(answers) => {
                self.connection = Some(connection);
                Ok(answers)
            }
            Err(error) => {
                // What state the connection is in is anyone's guess. Closing it rolls back.
                tracing::warn!(writes = writes.len(), %error, "a group of ledger writes failed");
                let _ = connection.close().await;
                Err(failure("commit", error))
            }
        }
    }
}

async fn commit(
    connection: &mut SqliteConnection,
    writes: &[Write],
) -> Result<Vec<Written>, sqlx::Error> {
    // Immediate, because a transaction that starts as a reader can fail to become a writer.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let rows: usize = writes.iter().map(Write::rows).sum();
    // At least one, because SQLite writes nothing when nothing changes, and a probe must write.
    let places = i64::try_from(rows.max(1)).unwrap_or(i64::MAX);
    let last: i64 = sqlx::query_scalar(ALLOCATE).bind(places).fetch_one(&mut *transaction).await?;
    let mut seq = last - places + 1;
    let mut answers = Vec::with_capacity(writes.len());
    for write in writes {
        answers.push(match write_one(&mut transaction, write, seq).await {
            Ok(answer) => answer,
            Err(error) if concerns_one_statement(&error) => Err(failure("record this", error)),
            Err(error) => return Err(error),
        });
        seq = seq.saturating_add_unsigned(write.rows() as u64);
    }
    transaction.commit().await?;
    Ok(answers)
}

async fn write_one(
    connection: &mut SqliteConnection,
    write: &Write,
    seq: i64,
) -> Result<Written, sqlx::Error> {
    match write {
        Write::Decision(decision) => {
            let inserted = insert_decision(connection, decision, seq).await?.rows_affected();
            if inserted == 0 {
                return Ok(Err(LedgerError::DuplicateDecision(decision.decision.decision_id)));
            }
            Ok(Ok(seq))
        }
        Write::Completion(completion) => {
            let inserted = insert_completion(connection, completion, seq).await?.rows_affected();
            if inserted == 0 {
                return Ok(Err(LedgerError::DuplicateDecision(completion.decision_id)));
            }
            Ok(Ok(seq))
        }
        Write::Label(label) => insert_label(connection, label, seq).await.map(|_| Ok(seq)),
        Write::Events(events) if events.is_empty() => Ok(Ok(0)),
        Write::Events(events) => insert_events(connection, events, seq).await.map(count),
        Write::Prune { before, limit } => prune(connection, *before, *limit).await.map(count),
        Write::Probe => Ok(Ok(0)),
    }
}

fn count(result: SqliteQueryResult) -> Written {
    Ok(i64::try_from(result.rows_affected()).unwrap_or(i64::MAX))
}

async fn insert_decision(
    connection: &mut SqliteConnection,
    new: &NewDecision,
    seq: i64,
) -> Result<SqliteQueryResult, sqlx::Error> {
    let decision = &new.decision;
    sqlx::query(INSERT_DECISION)
        .bind(seq)
        .bind(decision.decision_id.0.as_bytes().as_slice())
        .bind(decision.transaction_id.as_str())
        .bind(new.account_id.as_str())
        .bind(new.event_time.as_microsecond())
        .bind(decision.decided_at.as_microsecond())
        .bind(decision.outcome.as_str())
        .bind(decision.status.as_str())
        .bind(decision.decided_by.as_str())
        .bind(decision.score.value())
        .bind(new.record.as_str())
        .bind(new.response.as_str())
        .execute(connection)
        .await
}

async fn insert_completion(
    connection: &mut SqliteConnection,
    new: &NewCompletion,
    seq: i64,
) -> Result<SqliteQueryResult, sqlx::Error> {
    sqlx::query(INSERT_COMPLETION)
        .bind(seq)
        .bind(new.decision_id.0.as_bytes().as_slice())
        .bind(new.completed_at.as_microsecond())
        .bind(new.record.as_str())
        .bind(new.response.as_str())
        .execute(connection)
        .await
}

async fn insert_label(
    connection: &mut SqliteConnection,
    new: &NewLabel,
    seq: i64,
) -> Result<SqliteQueryResult, sqlx::Error> {
    sqlx::query(INSERT_LABEL)
        .bind(seq)
        .bind(new.transaction_id.as_str())
        .bind(new.decision_id.as_ref().map(|id| id.0.as_bytes().as_slice()))
        .bind(new.label.label.as_str())
        .bind(new.label.source.as_str())
        .bind(new.label.effective_at.as_microsecond())
        .bind(new.label.reversed)
        .bind(new.recorded_at.as_microsecond())
        .execute(connection)
        .await
}

/// One statement for all, so that it happens whole or not at all.
async fn insert_events(
    connection: &mut SqliteConnection,
    events: &[NewEvent],
    seq: i64,
) -> Result<SqliteQueryResult, sqlx::Error> {
    let mut statement = QueryBuilder::<Sqlite>::new(INSERT_EVENTS);
    statement.push_values((seq..).zip(events), |mut row, (seq, event)| {
        row.push_bind(seq)
            .push_bind(event.transaction_id.as_str())
            .push_bind(event.account_id.as_str())
            .push_bind(event.event_time.as_microsecond())
            .push_bind(event.record.as_str());
    });
    statement.push(" ON CONFLICT (transaction_id) DO NOTHING");
    // Not kept prepared: there is one such statement for each number of events.
    statement.build().persistent(false).execute(connection).await
}

async fn prune(
    connection: &mut SqliteConnection,
    before: Timestamp,
    limit: i64,
) -> Result<SqliteQueryResult, sqlx::Error> {
    sqlx::query(PRUNE).bind(before.as_microsecond()).bind(limit).execute(connection).await
}

/// Whether SQLite undid just the failed statement. After any other error it may have rolled
/// the whole transaction back, and the rest would be written outside of one.
fn concerns_one_statement(error: &sqlx::Error) -> bool {
    const TOO_BIG: i32 = 18;
    const CONSTRAINT: i32 = 19;
    const MISMATCH: i32 = 20;
    matches!(result_code(error), Some(TOO_BIG | CONSTRAINT | MISMATCH))
}
