//! What is recorded.

use jiff::Timestamp;

use super::Ledger;
use crate::{
    LabelId, LedgerError, NewCompletion, NewDecision, NewEvent, NewLabel, NewNote, NewPolicy,
    Promise,
    writer::{Answer, Write},
};

/// The most events written by one request; also bounds how long a backfill delays decisions.
const EVENTS_CHUNK: usize = 256;
/// The most events forgotten in one commit.
const PRUNE_CHUNK: i64 = 5_000;

impl Ledger {
    /// Records a decision, the key it settles and what it promises; returns once all of it is
    /// durable.
    ///
    /// When the returned future is dropped the decision may or may not be recorded, but never
    /// in part.
    ///
    /// # Errors
    /// `DuplicateDecision`, `KeyTaken`, `Refused`, `Overloaded`, `Unavailable`, `Closed`.
    pub async fn append(&self, decision: NewDecision) -> Result<(), LedgerError> {
        let id = decision.decision.decision_id;
        let reports = decision.promise == Some(Promise::Report);
        self.write(Write::Decision(Box::new(decision))).await?;
        if reports {
            self.inner.held.take([id]);
        }
        Ok(())
    }

    /// Says how a decision stands from now on; what was promised with it is kept thereby.
    /// Returns once it is durable. A decision is completed once.
    ///
    /// # Errors
    /// `DuplicateDecision` when it was completed before, `Erased`, `Refused`, `Overloaded`,
    /// `Unavailable`, `Closed`.
    pub async fn append_completion(&self, completion: NewCompletion) -> Result<(), LedgerError> {
        let id = completion.decision.decision_id;
        let written = self.write(Write::Completion(Box::new(completion))).await.map(|_| ());
        let is_over = match &written {
            Ok(()) | Err(LedgerError::DuplicateDecision(_) | LedgerError::Erased(_)) => true,
            Err(_) => false,
        };
        if is_over {
            self.inner.held.let_go(&[id]);
        }
        written
    }

    /// Records a label; returns once it is durable. Labels are not deduplicated: a reversal is
    /// one more label.
    ///
    /// # Errors
    /// `Refused`, `Overloaded`, `Unavailable`, `Closed`.
    pub async fn append_label(&self, label: NewLabel) -> Result<LabelId, LedgerError> {
        self.write(Write::Label(label)).await.map(|answer| LabelId(answer.number()))
    }

    /// Records that a policy came into force; returns its place once it is durable. The same
    /// policy may come into force again.
    ///
    /// # Errors
    /// As for [`Self::append_label`].
    pub async fn append_policy(&self, policy: NewPolicy) -> Result<i64, LedgerError> {
        self.write(Write::Policy(policy)).await.map(Answer::number)
    }

    /// Records a note; returns its place once it is durable.
    ///
    /// # Errors
    /// `Erased`, and as for [`Self::append_label`].
    pub async fn append_note(&self, note: NewNote) -> Result<i64, LedgerError> {
        self.write(Write::Note(note)).await.map(Answer::number)
    }

    /// Records transactions that were only observed; returns how many were new, once they are
    /// durable. An event whose transaction was recorded as an event before is passed over.
    ///
    /// A long list is written in parts. After an error any part may be recorded; sending the
    /// whole list again is safe.
    ///
    /// # Errors
    /// As for [`Self::append_label`].
    pub async fn append_events(&self, events: Vec<NewEvent>) -> Result<u64, LedgerError> {
        let mut events = events.into_iter();
        let mut recorded = 0;
        loop {
            let chunk: Vec<_> = events.by_ref().take(EVENTS_CHUNK).collect();
            if chunk.is_empty() {
                return Ok(recorded);
            }
            recorded += self.write(Write::Events(chunk)).await?.number().unsigned_abs();
        }
    }

    /// Forgets events that happened before `before`; returns how many. Decisions and labels
    /// stay.
    ///
    /// # Errors
    /// `Overloaded`, `Unavailable`, `Closed`; some events may be gone then.
    pub async fn prune_events_before(&self, before: Timestamp) -> Result<u64, LedgerError> {
        let mut pruned = 0;
        loop {
            let count = self.write(Write::Prune { before, limit: PRUNE_CHUNK }).await?.number();
            pruned += count.unsigned_abs();
            if count < PRUNE_CHUNK {
                return Ok(pruned);
            }
        }
    }
}
