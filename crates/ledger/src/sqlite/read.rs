//! Everything that is asked of the store.

use domain::{DecisionId, TransactionId};
use jiff::Timestamp;
use sqlx::{
    QueryBuilder, Sqlite, SqlitePool,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{failure, row};
use crate::{
    Cursor, DecisionFilter, Entry, LedgerError, PAGE_LIMIT_MAX, Page, StoredDecision, StoredLabel,
    StoredTransaction,
};

/// Decisions with what was written after them. A join keeps to the order of the left side.
macro_rules! decisions {
    ($where:literal) => {
        concat!(
            "SELECT d.*, c.record AS completion, c.response AS completed \
             FROM decisions d LEFT JOIN completions c ON c.decision_id = d.decision_id WHERE ",
            $where
        )
    };
}

const DECISION: &str = decisions!("d.decision_id = ?");

const DECISION_BY_TRANSACTION: &str =
    decisions!("d.transaction_id = ? ORDER BY d.seq DESC LIMIT 1");

const DECISIONS: &str = decisions!("d.seq > ");

/// The plus sign makes SQLite look into the index by time; without it, it would read the
/// decisions one by one from the oldest.
const DECISIONS_SINCE: &str = "SELECT min(+seq) FROM decisions WHERE decided_at >= ?";

const LABELS: &str = "SELECT * FROM labels WHERE transaction_id = ? ORDER BY seq";

const TRANSACTION: &str = "\
    SELECT * FROM (\
        SELECT 'decision' AS origin, seq, transaction_id, account_id, event_time, record \
        FROM decisions WHERE transaction_id = ?1 ORDER BY seq DESC LIMIT 1) \
    UNION ALL \
    SELECT 'event', seq, transaction_id, account_id, event_time, record \
    FROM events WHERE transaction_id = ?1 \
    ORDER BY origin LIMIT 1";

const HAS_TRANSACTION: &str = "\
    SELECT EXISTS (SELECT 1 FROM decisions WHERE transaction_id = ?1) \
        OR EXISTS (SELECT 1 FROM events WHERE transaction_id = ?1)";

const LAST_SEQ: &str = "SELECT last FROM sequence";

/// The first entry that a replay needs; null when there is none. The plus signs are as above.
const REPLAY_FIRST: &str = "\
    SELECT min(first) FROM (\
        SELECT min(+seq) AS first FROM decisions WHERE event_time >= ?1 \
        UNION ALL SELECT min(+seq) FROM events WHERE event_time >= ?1 \
        UNION ALL SELECT min(seq) FROM labels WHERE recorded_at >= ?1 OR effective_at >= ?1)";

/// Three walks in the order of `seq`, merged. The plus signs keep SQLite from walking by time
/// and sorting all that is left, for each page anew.
const REPLAY_PAGE: &str = "\
    SELECT 'decision' AS origin, seq, transaction_id, account_id, event_time, record, \
        NULL AS decision_id, NULL AS label, NULL AS source, NULL AS effective_at, \
        NULL AS reversed, NULL AS recorded_at \
    FROM decisions WHERE seq > ?2 AND seq <= ?3 AND +event_time >= ?1 \
    UNION ALL \
    SELECT 'event', seq, transaction_id, account_id, event_time, record, \
        NULL, NULL, NULL, NULL, NULL, NULL \
    FROM events WHERE seq > ?2 AND seq <= ?3 AND +event_time >= ?1 \
    UNION ALL \
    SELECT 'label', seq, transaction_id, NULL, NULL, NULL, \
        decision_id, label, source, effective_at, reversed, recorded_at \
    FROM labels WHERE seq > ?2 AND seq <= ?3 AND (recorded_at >= ?1 OR effective_at >= ?1) \
    ORDER BY seq LIMIT ?4";

/// The reading side of the store: sees all that was committed before it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pool: SqlitePool,
}

type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

impl Reader {
    pub(super) fn new(pool: SqlitePool) -> Self {
        Self { pool }
    }

    pub(crate) async fn decision(
        &self,
        id: DecisionId,
    ) -> Result<Option<StoredDecision>, LedgerError> {
        let statement = sqlx::query(DECISION).bind(id.0.as_bytes().as_slice());
        Ok(self.rows(statement, row::decision).await?.pop())
    }

    pub(crate) async fn decision_by_transaction(
        &self,
        id: &TransactionId,
    ) -> Result<Option<StoredDecision>, LedgerError> {
        let statement = sqlx::query(DECISION_BY_TRANSACTION).bind(id.as_str());
        Ok(self.rows(statement, row::decision).await?.pop())
    }

    pub(crate) async fn decisions(
        &self,
        filter: &DecisionFilter,
    ) -> Result<Page<StoredDecision>, LedgerError> {
        let Some(after) = self.page_start(filter).await? else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let limit = filter.limit.clamp(1, PAGE_LIMIT_MAX);
        let mut statement = QueryBuilder::<Sqlite>::new(DECISIONS);
        statement.push_bind(after);
        if let Some(outcome) = filter.outcome {
            statement.push(" AND d.outcome = ").push_bind(outcome.as_str());
        }
        if let Some(since) = filter.since {
            // The plus sign keeps SQLite from walking by time and sorting what it finds.
            statement.push(" AND +d.decided_at >= ").push_bind(since.as_microsecond());
        }
        // One more than asked for tells whether there is a next page.
        statement.push(" ORDER BY d.seq LIMIT ").push_bind(limit as i64 + 1);
        let mut items = self.rows(statement.build(), row::decision).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| Cursor(last.seq));
        Ok(Page { items, next })
    }

    /// After which entry the page starts; none when it must be empty. Without a cursor the walk
    /// would otherwise begin with the oldest decision, however far back that is.
    async fn page_start(&self, filter: &DecisionFilter) -> Result<Option<i64>, LedgerError> {
        match (filter.cursor, filter.since) {
            (Some(cursor), _) => Ok(Some(cursor.0)),
            (None, None) => Ok(Some(0)),
            (None, Some(since)) => {
                let first: Option<i64> = sqlx::query_scalar(DECISIONS_SINCE)
                    .bind(since.as_microsecond())
                    .fetch_one(&self.pool)
                    .await
                    .map_err(unreadable)?;
                Ok(first.map(|seq| seq - 1))
            }
        }
    }

    pub(crate) async fn labels(&self, id: &TransactionId) -> Result<Vec<StoredLabel>, LedgerError> {
        self.rows(sqlx::query(LABELS).bind(id.as_str()), row::label).await
    }

    pub(crate) async fn transaction(
        &self,
        id: &TransactionId,
    ) -> Result<Option<StoredTransaction>, LedgerError> {
        let statement = sqlx::query(TRANSACTION).bind(id.as_str());
        Ok(self.rows(statement, row::transaction).await?.pop())
    }

    pub(crate) async fn has_transaction(&self, id: &TransactionId) -> Result<bool, LedgerError> {
        sqlx::query_scalar(HAS_TRANSACTION)
            .bind(id.as_str())
            .fetch_one(&self.pool)
            .await
            .map_err(unreadable)
    }

    pub(crate) async fn last_seq(&self) -> Result<i64, LedgerError> {
        sqlx::query_scalar(LAST_SEQ).fetch_one(&self.pool).await.map_err(unreadable)
    }

    /// After which entry and up to which one a replay goes.
    pub(crate) async fn replay_bounds(&self, since: Timestamp) -> Result<(i64, i64), LedgerError> {
        let until = self.last_seq().await?;
        let first: Option<i64> = sqlx::query_scalar(REPLAY_FIRST)
            .bind(since.as_microsecond())
            .fetch_one(&self.pool)
            .await
            .map_err(unreadable)?;
        Ok((first.map_or(until, |seq| seq - 1), until))
    }

    pub(crate) async fn replay_page(
        &self,
        since: Timestamp,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Entry>, LedgerError> {
        let statement = sqlx::query(REPLAY_PAGE)
            .bind(since.as_microsecond())
            .bind(after)
            .bind(until)
            .bind(limit as i64);
        self.rows(statement, row::entry).await
    }

    async fn rows<T>(
        &self,
        statement: Statement<'_>,
        parse: fn(SqliteRow) -> Result<T, LedgerError>,
    ) -> Result<Vec<T>, LedgerError> {
        let rows = statement.fetch_all(&self.pool).await.map_err(unreadable)?;
        rows.into_iter().map(parse).collect()
    }
}

fn unreadable(error: sqlx::Error) -> LedgerError {
    failure("read", error)
}
