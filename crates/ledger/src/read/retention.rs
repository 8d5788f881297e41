//! How far retention may go.

use jiff::Timestamp;

use super::{Reader, unreadable};
use crate::{
    LedgerError,
    sql::{Statements, values},
};

/// The first entry of a table that is not older than a time, within a stretch of the sequence.
/// The plus signs keep the store from sorting all that is younger.
const YOUNGER: [&str; 4] = [
    "SELECT seq FROM decisions \
        WHERE seq > $2 AND seq <= $3 AND +decided_at >= $1 ORDER BY seq LIMIT 1",
    "SELECT seq FROM completions \
        WHERE seq > $2 AND seq <= $3 AND +completed_at >= $1 ORDER BY seq LIMIT 1",
    "SELECT seq FROM labels \
        WHERE seq > $2 AND seq <= $3 AND +recorded_at >= $1 ORDER BY seq LIMIT 1",
    "SELECT seq FROM notes \
        WHERE seq > $2 AND seq <= $3 AND +recorded_at >= $1 ORDER BY seq LIMIT 1",
];

/// How many places are looked at by one statement, so that each is short.
const STRETCH: i64 = 50_000;

impl Reader {
    /// The last place that retention has removed, and the last one before the first entry that is
    /// not older than `before`.
    pub(crate) async fn retention(&self, before: Timestamp) -> Result<(i64, i64), LedgerError> {
        let row = self.one("SELECT head, floor FROM sequence WHERE id = 1", &[]).await?;
        let head: i64 = row.get("head").map_err(unreadable)?;
        let floor: i64 = row.get("floor").map_err(unreadable)?;
        let mut after = floor;
        while after < head {
            let until = head.min(after.saturating_add(STRETCH));
            let mut younger = None;
            for statement in YOUNGER {
                let values = values![before, after, until];
                for row in self.pool().fetch(statement, &values).await.map_err(unreadable)? {
                    let seq: i64 = row.get("seq").map_err(unreadable)?;
                    younger = Some(younger.map_or(seq, |other: i64| other.min(seq)));
                }
            }
            if let Some(seq) = younger {
                return Ok((floor, seq - 1));
            }
            after = until;
        }
        Ok((floor, head))
    }
}
