//! Looking after the record: verifying the chain, erasing an account, letting old entries go.

use domain::AccountId;
use jiff::Timestamp;

use super::Ledger;
use crate::{
    LedgerError, Verification, Verified,
    store::{EraseRequest, RetainRequest},
    verify,
    writer::Write,
};

/// What an erasure took the content of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Decisions, with their completions and notes.
    pub decisions: u64,
    /// Labels.
    pub labels: u64,
    /// Events, which are gone altogether.
    pub events: u64,
}

/// What retention removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retained {
    /// Decisions, with their completions and notes.
    pub decisions: u64,
    /// Labels.
    pub labels: u64,
    /// Events.
    pub events: u64,
}

/// The most places whose entries one commit of a retention removes: decisions wait for it.
const RETAIN_CHUNK: i64 = 4_000;

impl Ledger {
    /// Walks the chain up to its present end and finds every entry that was altered, removed or
    /// moved. `progress` hears of each page with the last entry's hash. Others may write meanwhile.
    ///
    /// # Errors
    /// As for [`Self::decision`]; what is wrong with the chain is no error but a fault.
    pub async fn verify(
        &self,
        progress: impl FnMut(&Verified),
    ) -> Result<Verification, LedgerError> {
        self.inner.metrics.counted(verify::verify(&self.inner.reader, progress).await)
    }

    /// Erases the content of everything recorded of an account: what is left of each entry is its
    /// core and the digest of what it held. Its events go altogether, and nothing is owed for it
    /// any more. The erasure is an entry itself. Repeating it is harmless.
    ///
    /// SQLite's file and log hold nothing of it afterwards. PostgreSQL keeps old rows until it
    /// vacuums, and its own log for as long as it is told to. The account's idempotency keys, which
    /// are names that callers gave, stay for their day.
    ///
    /// # Errors
    /// `Overloaded`, `Unavailable`, `Closed`; all of it happened or nothing.
    pub async fn erase_account(
        &self,
        account: &AccountId,
        reason: &str,
        at: Timestamp,
    ) -> Result<Erased, LedgerError> {
        let request = EraseRequest { account: account.clone(), reason: reason.to_owned(), at };
        self.write(Write::Erase(Box::new(request))).await.map(|answer| answer.erased())
    }

    /// Removes decisions, completions, labels and notes recorded before `before`, and events that
    /// happened before it. The first entry that was recorded later, or is owed something, stays,
    /// and so do all after it; policies stay in any case. Keys and dead letters of removed
    /// decisions go with them. A checkpoint is written, from which the chain verifies.
    ///
    /// # Errors
    /// `Overloaded`, `Unavailable`, `Closed`; some entries may be gone then, and the chain
    /// verifies.
    pub async fn apply_retention(&self, before: Timestamp) -> Result<Retained, LedgerError> {
        let mut retained =
            Retained { events: self.prune_events_before(before).await?, ..Retained::default() };
        // Found without holding anybody up: what is old stays old, and nothing is added to it.
        let reader = &self.inner.reader;
        let (mut floor, limit) = self.inner.metrics.counted(reader.retention(before).await)?;
        while floor < limit {
            floor = limit.min(floor + RETAIN_CHUNK);
            let request = RetainRequest { before, floor };
            let removed = self.write(Write::Retain(request)).await?.retained();
            retained.decisions += removed.decisions;
            retained.labels += removed.labels;
        }
        Ok(retained)
    }

    /// Whether several instances may share the store.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.inner.place.is_shared()
    }
}
