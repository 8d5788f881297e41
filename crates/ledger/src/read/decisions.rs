//! Decisions, and what became of them.

use std::{collections::HashMap, fmt::Write as _};

use domain::{DecisionId, TransactionId};

use super::{Reader, row, unreadable};
use crate::{
    DecisionFilter, LedgerError, Page, PageRequest, StoredDecision, StoredLabel,
    sql::{Value, values},
};

/// Decisions with what was written after them and what is owed. A join keeps to the order of
/// the left side.
macro_rules! decisions {
    ($where:literal) => {
        concat!(
            "SELECT d.seq, d.decision_id, d.event_time, d.decided_at, d.outcome, d.status, \
                d.decided_by, d.score, d.audited, d.transaction_id, d.account_id, d.record, \
                d.response, c.completed_at, c.outcome AS completed_outcome, \
                c.status AS completed_status, c.decided_by AS completed_decided_by, \
                c.score AS completed_score, c.record AS completed_record, \
                c.response AS completed_response, p.promise \
             FROM decisions d LEFT JOIN completions c ON c.decision_id = d.decision_id \
                LEFT JOIN promises p ON p.decision_id = d.decision_id WHERE ",
            $where
        )
    };
}

const DECISION: &str = decisions!("d.decision_id = $1");

const DECISION_BY_TRANSACTION: &str =
    decisions!("d.transaction_id = $1 ORDER BY d.seq DESC LIMIT 1");

const DECISIONS: &str = decisions!("");

/// The plus sign makes the store look into the index by time; without it, it would read the
/// decisions one by one from the oldest.
const DECISIONS_SINCE: &str = "SELECT min(+seq) AS first FROM decisions WHERE decided_at >= $1";

const LABELS: &str = "SELECT * FROM labels WHERE transaction_id = $1 ORDER BY seq";

/// The most transactions whose labels one statement looks for.
const LABELS_CHUNK: usize = 64;

/// A page of the decisions after a place, as a statement and its values.
fn page_of(filter: &DecisionFilter, after: i64, rows: usize) -> (String, Vec<Value<'_>>) {
    let mut values = values![after, rows];
    let mut conditions = "d.seq > $1".to_owned();
    let mut narrow = |condition: &str, value| {
        values.push(value);
        // Writing to a string cannot fail.
        let _ = write!(conditions, " AND {condition} ${}", values.len());
    };
    if let Some(account_id) = &filter.account_id {
        narrow("d.account_id =", account_id.as_str().into());
    }
    if let Some(transaction_id) = &filter.transaction_id {
        narrow("d.transaction_id =", transaction_id.as_str().into());
    }
    // The plus signs keep the store from walking by time and sorting what it finds.
    if let Some(since) = filter.since {
        narrow("+d.decided_at >=", since.into());
    }
    if let Some(until) = filter.until {
        narrow("+d.decided_at <", until.into());
    }
    let is_few = filter.account_id.is_some() || filter.transaction_id.is_some();
    match filter.outcome {
        Some(outcome) if is_few => {
            narrow("coalesce(c.outcome, d.outcome) =", outcome.as_str().into())
        }
        Some(outcome) => {
            values.push(outcome.as_str().into());
            conditions = of_outcome(&conditions, values.len());
        }
        None => {}
    }
    (format!("{DECISIONS}{conditions} ORDER BY d.seq LIMIT $2"), values)
}

/// Narrows to the outcome that decisions have now. Two walks in order, of those that kept this
/// outcome and of those that were given it: reading on until enough are found would read all, where
/// an outcome is rare.
fn of_outcome(conditions: &str, outcome: usize) -> String {
    format!(
        "d.seq IN (\
            SELECT seq FROM (SELECT d.seq FROM decisions d \
                WHERE d.outcome = ${outcome} AND {conditions} AND NOT EXISTS (\
                    SELECT 1 FROM changed_outcomes o WHERE o.seq = d.seq) \
                ORDER BY d.seq LIMIT $2) AS kept \
            UNION ALL \
            SELECT seq FROM (SELECT d.seq FROM changed_outcomes o JOIN decisions d ON d.seq = o.seq \
                WHERE o.outcome = ${outcome} AND o.seq > $1 AND {conditions} \
                ORDER BY o.seq LIMIT $2) AS changed)"
    )
}

impl Reader {
    pub(crate) async fn decision(
        &self,
        id: DecisionId,
    ) -> Result<Option<StoredDecision>, LedgerError> {
        Ok(self.rows(DECISION, &values![id], row::decision).await?.pop())
    }

    pub(crate) async fn decision_by_transaction(
        &self,
        id: &TransactionId,
    ) -> Result<Option<StoredDecision>, LedgerError> {
        let values = values![id.as_str()];
        Ok(self.rows(DECISION_BY_TRANSACTION, &values, row::decision).await?.pop())
    }

    pub(crate) async fn decisions(
        &self,
        filter: &DecisionFilter,
    ) -> Result<Page<StoredDecision>, LedgerError> {
        let request = PageRequest { cursor: filter.cursor, limit: filter.limit };
        let Some(after) = self.page_start(filter).await? else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let (statement, values) = page_of(filter, after, request.rows());
        let items = self.rows(statement, &values, row::decision).await?;
        Ok(Page::cut(items, request, |decision| decision.seq))
    }

    /// After which entry the page starts; none when it must be empty. Without a cursor the walk
    /// would otherwise begin with the oldest decision, however far back that is.
    async fn page_start(&self, filter: &DecisionFilter) -> Result<Option<i64>, LedgerError> {
        match (filter.cursor, filter.since) {
            (Some(cursor), _) => Ok(Some(cursor.0)),
            (None, None) => Ok(Some(0)),
            (None, Some(since)) => {
                let row = self.one(DECISIONS_SINCE, &values![since]).await?;
                let first: Option<i64> = row.get("first").map_err(unreadable)?;
                Ok(first.map(|seq| seq - 1))
            }
        }
    }

    pub(crate) async fn labels(&self, id: &TransactionId) -> Result<Vec<StoredLabel>, LedgerError> {
        self.rows(LABELS, &values![id.as_str()], row::label).await
    }

    pub(crate) async fn labels_for(
        &self,
        ids: &[TransactionId],
    ) -> Result<HashMap<TransactionId, Vec<StoredLabel>>, LedgerError> {
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        for ids in ids.chunks(LABELS_CHUNK) {
            let values: Vec<_> = ids.iter().map(|id| Value::from(id.as_str())).collect();
            let places: Vec<_> = (1..=ids.len()).map(|n| format!("${n}")).collect();
            let places = places.join(", ");
            let statement =
                format!("SELECT * FROM labels WHERE transaction_id IN ({places}) ORDER BY seq");
            for label in self.rows(statement, &values, row::label).await? {
                found.entry(label.transaction_id.clone()).or_default().push(label);
            }
        }
        Ok(found)
    }
}
