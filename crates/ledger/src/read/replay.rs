//! What velocity is rebuilt from.

use domain::TransactionId;
use jiff::Timestamp;

use super::{Reader, row, unreadable};
use crate::{Entry, LedgerError, StoredTransaction, sql::values};

const TRANSACTION: &str = "\
    SELECT * FROM (\
        SELECT 'decision' AS origin, seq, transaction_id, account_id, event_time, record \
        FROM decisions WHERE transaction_id = $1 ORDER BY seq DESC LIMIT 1) AS decided \
    UNION ALL \
    SELECT 'event', seq, transaction_id, account_id, event_time, record \
    FROM events WHERE transaction_id = $1 \
    ORDER BY origin LIMIT 1";

const HAS_TRANSACTION: &str = "\
    SELECT EXISTS (SELECT 1 FROM decisions WHERE transaction_id = $1) \
        OR EXISTS (SELECT 1 FROM events WHERE transaction_id = $1) AS found";

/// The first entry that a replay needs; null when there is none. The plus signs are as in
/// `decisions.rs`.
const REPLAY_FIRST: &str = "\
    SELECT min(first) AS first FROM (\
        SELECT min(+seq) AS first FROM decisions WHERE event_time >= $1 \
        UNION ALL SELECT min(+seq) FROM events WHERE event_time >= $1 \
        UNION ALL SELECT min(seq) FROM labels WHERE recorded_at >= $1 OR effective_at >= $1\
    ) AS firsts";

/// Two walks in the order of `seq`, merged; each with a limit of its own, without which PostgreSQL
/// would sort all that is left, for each page anew. The plus signs keep SQLite from doing the same
/// by walking by time. Erased entries have no name.
const REPLAY_TRANSACTIONS: &str = "\
    SELECT * FROM (\
        SELECT 'decision' AS origin, seq, transaction_id, account_id, event_time, record \
        FROM decisions \
        WHERE seq > $2 AND seq <= $3 AND +event_time >= $1 AND transaction_id IS NOT NULL \
        ORDER BY seq LIMIT $4) AS decided \
    UNION ALL \
    SELECT * FROM (\
        SELECT 'event' AS origin, seq, transaction_id, account_id, event_time, record \
        FROM events WHERE seq > $2 AND seq <= $3 AND +event_time >= $1 \
        ORDER BY seq LIMIT $4) AS observed \
    ORDER BY seq LIMIT $4";

const REPLAY_LABELS: &str = "\
    SELECT * FROM labels \
    WHERE seq > $2 AND seq <= $3 AND (recorded_at >= $1 OR effective_at >= $1) \
        AND transaction_id IS NOT NULL \
    ORDER BY seq LIMIT $4";

impl Reader {
    pub(crate) async fn transaction(
        &self,
        id: &TransactionId,
    ) -> Result<Option<StoredTransaction>, LedgerError> {
        Ok(self.rows(TRANSACTION, &values![id.as_str()], row::transaction).await?.pop())
    }

    pub(crate) async fn has_transaction(&self, id: &TransactionId) -> Result<bool, LedgerError> {
        self.one(HAS_TRANSACTION, &values![id.as_str()]).await?.get("found").map_err(unreadable)
    }

    /// After which entry and up to which one a replay goes.
    pub(crate) async fn replay_bounds(&self, since: Timestamp) -> Result<(i64, i64), LedgerError> {
        let until = self.last_seq().await?;
        let row = self.one(REPLAY_FIRST, &values![since]).await?;
        let first: Option<i64> = row.get("first").map_err(unreadable)?;
        Ok((first.map_or(until, |seq| seq - 1), until))
    }

    pub(crate) async fn replay_page(
        &self,
        since: Timestamp,
        after: i64,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Entry>, LedgerError> {
        let values = values![since, after, until, limit];
        let mut page = self.rows(REPLAY_TRANSACTIONS, &values, row::transaction_entry).await?;
        page.extend(self.rows(REPLAY_LABELS, &values, row::label_entry).await?);
        page.sort_by_key(Entry::seq);
        page.truncate(limit);
        Ok(page)
    }
}
