//! What is asked.

use std::collections::HashMap;

use domain::{DecisionId, TransactionId};
use jiff::Timestamp;

use super::{Inner, Ledger};
use crate::{
    DecisionFilter, Entry, LedgerError, NoteKind, Page, PageRequest, StoredDecision, StoredLabel,
    StoredNote, StoredPolicy, StoredTransaction,
};

/// The most entries of one page of a replay.
const REPLAY_PAGE: usize = 500;

impl Ledger {
    /// The decision of this name.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`, `Closed`; so do all reads below.
    pub async fn decision(&self, id: DecisionId) -> Result<Option<StoredDecision>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.decision(id).await)
    }

    /// The decision of this transaction that was recorded last.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn decision_by_transaction(
        &self,
        id: &TransactionId,
    ) -> Result<Option<StoredDecision>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.decision_by_transaction(id).await)
    }

    /// A page of decisions, oldest first.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn decisions(
        &self,
        filter: DecisionFilter,
    ) -> Result<Page<StoredDecision>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.decisions(&filter).await)
    }

    /// The labels of a transaction, in the order of recording.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn labels(&self, id: &TransactionId) -> Result<Vec<StoredLabel>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.labels(id).await)
    }

    /// The labels of many transactions, each list in the order of recording. Who has none is
    /// absent.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn labels_for(
        &self,
        ids: &[TransactionId],
    ) -> Result<HashMap<TransactionId, Vec<StoredLabel>>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.labels_for(ids).await)
    }

    /// The transaction as last decided or, when it never was, as observed.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn transaction(
        &self,
        id: &TransactionId,
    ) -> Result<Option<StoredTransaction>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.transaction(id).await)
    }

    /// Whether the transaction was decided or observed (and not pruned, removed or erased since).
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn has_transaction(&self, id: &TransactionId) -> Result<bool, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.has_transaction(id).await)
    }

    /// The policy that came into force last.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn latest_policy(&self) -> Result<Option<StoredPolicy>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.latest_policy().await)
    }

    /// The policy of this hash, as it last came into force.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn policy(&self, sha256: &str) -> Result<Option<StoredPolicy>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.policy(sha256).await)
    }

    /// The policy that this author brought into force last.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn latest_policy_by(
        &self,
        author: &str,
    ) -> Result<Option<StoredPolicy>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.latest_policy_by(author).await)
    }

    /// The policy of this version, as it last came into force.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn policy_by_version(
        &self,
        version: &str,
    ) -> Result<Option<StoredPolicy>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.policy_by_version(version).await)
    }

    /// A page of policies, oldest first.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn policies(&self, page: PageRequest) -> Result<Page<StoredPolicy>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.policies(page).await)
    }

    /// The notes on a decision, in the order of recording.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn notes(&self, id: DecisionId) -> Result<Vec<StoredNote>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.notes(id).await)
    }

    /// A page of notes of one kind, oldest first; with `since`, only those written at or after it.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn notes_since(
        &self,
        kind: NoteKind,
        since: Option<Timestamp>,
        page: PageRequest,
    ) -> Result<Page<StoredNote>, LedgerError> {
        self.inner.metrics.counted(self.inner.reader.notes_since(kind, since, page).await)
    }

    /// Everything needed to rebuild state that looks back to `since`: transactions that
    /// happened at or after it, and labels that arrived or took effect at or after it, in the
    /// order of recording. A label may speak of a transaction older than `since`; see
    /// [`Self::transaction`]. Erased accounts are passed over.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn replay_since(&self, since: Timestamp) -> Result<Replay, LedgerError> {
        let (after, until) =
            self.inner.metrics.counted(self.inner.reader.replay_bounds(since).await)?;
        Ok(Replay { ledger: self.clone(), since, after, until })
    }

    /// The same for all that was recorded after the entry of this place.
    ///
    /// # Errors
    /// As for [`Self::decision`].
    pub async fn replay_after(&self, seq: i64) -> Result<Replay, LedgerError> {
        let until = self.inner.metrics.counted(self.inner.reader.last_seq().await)?;
        Ok(Replay { ledger: self.clone(), since: Timestamp::MIN, after: seq, until })
    }
}

/// A walk through what was recorded, up to the moment it was begun.
#[derive(Debug)]
pub struct Replay {
    ledger: Ledger,
    since: Timestamp,
    /// The last entry that was given.
    after: i64,
    /// The last entry to give.
    until: i64,
}

impl Replay {
    /// The last entry to give.
    pub fn until(&self) -> i64 {
        self.until
    }

    /// The next entries; empty at the end.
    ///
    /// # Errors
    /// As for [`Ledger::decision`]; the same page can be asked for again.
    pub async fn next_page(&mut self) -> Result<Vec<Entry>, LedgerError> {
        let Inner { reader, metrics, .. } = &*self.ledger.inner;
        let page = reader.replay_page(self.since, self.after, self.until, REPLAY_PAGE).await;
        let page = metrics.counted(page)?;
        if let Some(last) = page.last() {
            self.after = last.seq();
        }
        Ok(page)
    }
}
