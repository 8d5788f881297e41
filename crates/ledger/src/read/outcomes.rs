//! What became of decisions, without their content: for estimates over many of them.

use domain::TransactionId;
use jiff::{SignedDuration, Timestamp};

use super::{Reader, unreadable};
use crate::{
    LedgerError, OutcomeRow, PAGE_LIMIT_MAX,
    sql::{Fields, Row, Value, values},
};

/// Nothing of the record is read but what an estimate needs.
macro_rules! outcomes {
    ($where:literal) => {
        concat!(
            "SELECT d.seq, d.decision_id, d.transaction_id, d.decided_at, d.audited, \
                d.policy_sha256, coalesce(c.outcome, d.outcome) AS outcome, \
                coalesce(c.status, d.status) AS status, \
                coalesce(c.decided_by, d.decided_by) AS decided_by \
             FROM decisions d LEFT JOIN completions c ON c.decision_id = d.decision_id WHERE ",
            $where
        )
    };
}

/// The plus signs are as in `decisions.rs`.
const OUTCOMES: &str = outcomes!(
    "d.seq > $1 AND d.seq <= $2 AND +d.decided_at >= $3 AND +d.decided_at < $4 \
     ORDER BY d.seq LIMIT $5"
);

const FIRST_SINCE: &str = "SELECT min(+seq) AS first FROM decisions WHERE decided_at >= $1";

const LATER: &str = "SELECT seq FROM decisions WHERE decided_at >= $1 ORDER BY decided_at LIMIT 1";

const LABELLED: &str = "\
    SELECT seq, transaction_id FROM labels WHERE seq > $1 AND transaction_id IS NOT NULL \
    ORDER BY seq LIMIT $2";

/// How much later than it was decided a decision may have been recorded, for a walk to find it.
const LATE_MAX: SignedDuration = SignedDuration::from_hours(24);
/// The most transactions that one statement looks for.
const CHUNK: usize = 64;

/// A stretch of the sequence, and of time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    /// Behind which entry.
    pub(crate) after: i64,
    /// Up to which entry.
    pub(crate) last: i64,
    /// Decided at or after.
    pub(crate) since: Timestamp,
    /// Decided before.
    pub(crate) until: Timestamp,
}

impl Reader {
    /// The entries among which the decisions of a period lie.
    pub(crate) async fn stretch(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Stretch, LedgerError> {
        let recorded = self.last_seq().await?;
        let first: Option<i64> =
            self.one(FIRST_SINCE, &values![since]).await?.get("first").map_err(unreadable)?;
        let later = until.checked_add(LATE_MAX).unwrap_or(Timestamp::MAX);
        let later = self.rows(LATER, &values![later], seq).await?.pop();
        let last = later.map_or(recorded, |later| recorded.min(later - 1));
        Ok(Stretch { after: first.map_or(last, |first| first - 1), last, since, until })
    }

    pub(crate) async fn outcomes(&self, stretch: &Stretch) -> Result<Vec<OutcomeRow>, LedgerError> {
        let Stretch { after, last, since, until } = *stretch;
        let values = values![after, last, since, until, PAGE_LIMIT_MAX];
        self.rows(OUTCOMES, &values, outcome).await
    }

    pub(crate) async fn outcomes_of(
        &self,
        ids: &[TransactionId],
    ) -> Result<Vec<OutcomeRow>, LedgerError> {
        let mut found = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let values: Vec<_> = ids.iter().map(|id| Value::from(id.as_str())).collect();
            let places: Vec<_> = (1..=ids.len()).map(|n| format!("${n}")).collect();
            let statement =
                format!("{} d.transaction_id IN ({})", outcomes!(""), places.join(", "));
            found.extend(self.rows(statement, &values, outcome).await?);
        }
        Ok(found)
    }

    pub(crate) async fn labelled_after(
        &self,
        seq: i64,
    ) -> Result<Vec<(i64, TransactionId)>, LedgerError> {
        self.rows(LABELLED, &values![seq, PAGE_LIMIT_MAX], labelled).await
    }
}

fn seq(row: Row) -> Result<i64, LedgerError> {
    Ok(Fields::new(row)?.seq)
}

fn labelled(row: Row) -> Result<(i64, TransactionId), LedgerError> {
    let fields = Fields::new(row)?;
    Ok((fields.seq, fields.parse("transaction_id")?))
}

fn outcome(row: Row) -> Result<OutcomeRow, LedgerError> {
    let fields = Fields::new(row)?;
    Ok(OutcomeRow {
        seq: fields.seq,
        decision_id: fields.decision_id()?,
        transaction_id: fields.parse_if_there("transaction_id")?,
        decided_at: fields.time("decided_at")?,
        outcome: fields.parse("outcome")?,
        status: fields.parse("status")?,
        decided_by: fields.parse("decided_by")?,
        audited: fields.get("audited")?,
        policy_sha256: fields.get("policy_sha256")?,
    })
}
