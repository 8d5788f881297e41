//! What became of decisions, without their content: for estimates over many of them.

use super::{Reader, row};
use crate::{LedgerError, OutcomeFilter, OutcomeRow, Page, PageRequest, sql::values};

const OUTCOMES: &str = "\
    SELECT d.seq, d.decided_at, coalesce(c.outcome, d.outcome) AS outcome, d.audited, \
        d.policy_sha256, d.transaction_id \
    FROM decisions d LEFT JOIN completions c ON c.decision_id = d.decision_id \
    WHERE d.seq > $1 AND +d.decided_at >= $2 AND +d.decided_at < $3 ORDER BY d.seq LIMIT $4";

const FIRST_SINCE: &str = "SELECT min(+seq) AS first FROM decisions WHERE decided_at >= $1";

impl Reader {
    pub(crate) async fn outcomes(
        &self,
        filter: &OutcomeFilter,
        request: PageRequest,
    ) -> Result<Page<OutcomeRow>, LedgerError> {
        let after = match request.cursor {
            Some(cursor) => cursor.0,
            None => {
                let found = self.one(FIRST_SINCE, &values![filter.since]).await?;
                let first: Option<i64> = found.get("first").map_err(super::unreadable)?;
                let Some(first) = first else {
                    return Ok(Page { items: Vec::new(), next: None });
                };
                first - 1
            }
        };
        let values = values![after, filter.since, filter.until, request.rows()];
        let items = self.rows(OUTCOMES, &values, row::outcome).await?;
        Ok(Page::cut(items, request, |row| row.seq))
    }
}
