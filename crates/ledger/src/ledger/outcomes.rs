//! What became of decisions, asked for without their content.

use domain::{DecidedBy, DecisionId, DecisionStatus, Outcome, TransactionId};
use jiff::Timestamp;

use super::{Inner, Ledger};
use crate::{LedgerError, read::Stretch};

/// What became of a decision, as it stands now. A record is some kilobytes; this is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeRow {
    /// Its place in the sequence.
    pub seq: i64,
    /// Names the decision.
    pub decision_id: DecisionId,
    /// Names the transaction; absent once its account was erased.
    pub transaction_id: Option<TransactionId>,
    /// When it was first decided.
    pub decided_at: Timestamp,
    /// What was decided.
    pub outcome: Outcome,
    /// Whether that could still change.
    pub status: DecisionStatus,
    /// Which part decided.
    pub decided_by: DecidedBy,
    /// Whether it was escalated by chance.
    pub audited: bool,
    /// The policy it was taken under; absent in records of before the chain.
    pub policy_sha256: Option<String>,
}

/// A walk through decisions in the order of recording, up to the moment it was begun.
#[derive(Debug)]
pub struct Outcomes {
    ledger: Ledger,
    stretch: Stretch,
}

impl Ledger {
    /// The decisions made from `since` on and before `until`. One that was recorded more than a day
    /// after it was made may be passed over where `until` is past.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn outcomes(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Outcomes, LedgerError> {
        let Inner { reader, metrics, .. } = &*self.inner;
        let stretch = metrics.counted(reader.stretch(since, until).await)?;
        Ok(Outcomes { ledger: self.clone(), stretch })
    }

    /// The decisions recorded after the entry of this place, whenever they were made.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn outcomes_after(&self, seq: i64) -> Result<Outcomes, LedgerError> {
        let Inner { reader, metrics, .. } = &*self.inner;
        let last = metrics.counted(reader.last_seq().await)?;
        let (since, until) = (Timestamp::MIN, Timestamp::MAX);
        Ok(Outcomes { ledger: self.clone(), stretch: Stretch { after: seq, last, since, until } })
    }

    /// The decisions of these transactions, in no order.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn outcomes_of(&self, ids: &[TransactionId]) -> Result<Vec<OutcomeRow>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.outcomes_of(ids).await)
    }

    /// Which transactions were labelled after the entry of this place, with the places of the
    /// labels, in the order of recording: at most [`crate::PAGE_LIMIT_MAX`]; empty at the end.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn labelled_after(&self, seq: i64) -> Result<Vec<(i64, TransactionId)>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.labelled_after(seq).await)
    }
}

impl Outcomes {
    /// The last entry that is looked at.
    #[must_use]
    pub fn last(&self) -> i64 {
        self.stretch.last
    }

    /// The next decisions, at most [`crate::PAGE_LIMIT_MAX`]; empty at the end.
    ///
    /// # Errors
    /// As for [`Ledger::decision`]; the same page can be asked for again.
    pub async fn next_page(&mut self) -> Result<Vec<OutcomeRow>, LedgerError> {
        let Inner { reader, metrics, .. } = &*self.ledger.inner;
        let page = metrics.counted(reader.outcomes(&self.stretch).await)?;
        if let Some(last) = page.last() {
            self.stretch.after = last.seq;
        }
        Ok(page)
    }
}
