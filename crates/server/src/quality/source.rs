//! Brings decisions from the ledger into a tally.

use std::collections::HashMap;

use domain::{TransactionId, TruthLabel};
use evaluation::LabelSeen;
use export::standing;
use ledger::{Ledger, LedgerError, OutcomeRow, StoredLabel};
use policy::Policy;

use super::tally::{Class, Tally};

/// Reads what an estimate needs beside the outcomes: labels, and the policies' audit shares.
pub(super) struct Source {
    ledger: Ledger,
    /// By the policy's hash; `None` where it draws nothing or cannot be read.
    shares: HashMap<String, Option<f64>>,
}

impl Source {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self { ledger, shares: HashMap::new() }
    }

    /// Adds decisions that the tally does not hold.
    pub(super) async fn add(
        &mut self,
        rows: &[OutcomeRow],
        tally: &mut Tally,
    ) -> Result<(), LedgerError> {
        for (row, class, label) in self.judge(rows).await? {
            tally.add(row, class, label);
        }
        Ok(())
    }

    /// Brings the decisions of these transactions up to date, as far as the tally holds them:
    /// `held` says of which it does.
    pub(super) async fn renew(
        &mut self,
        ids: &[TransactionId],
        held: impl Fn(&OutcomeRow) -> bool,
        tally: &mut Tally,
    ) -> Result<(), LedgerError> {
        let mut rows = self.ledger.outcomes_of(ids).await?;
        rows.retain(held);
        for (row, class, label) in self.judge(&rows).await? {
            tally.renew(row, class, label);
        }
        Ok(())
    }

    /// Reads all before anything is tallied, so that a failure leaves the tally as it was.
    async fn judge<'a>(
        &mut self,
        rows: &'a [OutcomeRow],
    ) -> Result<Vec<(&'a OutcomeRow, Class, Option<LabelSeen>)>, LedgerError> {
        let mut ids: Vec<_> = rows.iter().filter_map(|row| row.transaction_id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        let labels = self.ledger.labels_for(&ids).await?;
        let mut judged = Vec::with_capacity(rows.len());
        for row in rows {
            let class = Class::of(row, self.audit_chance(row).await?);
            let known = row.transaction_id.as_ref().and_then(|id| labels.get(id));
            judged.push((row, class, known.and_then(|labels| seen(labels))));
        }
        Ok(judged)
    }

    /// The chance with which the audit drew a decision; `None` when it did not, or nobody knows.
    async fn audit_chance(&mut self, row: &OutcomeRow) -> Result<Option<f64>, LedgerError> {
        let Some(sha256) = row.policy_sha256.as_ref().filter(|_| row.audited) else {
            return Ok(None);
        };
        if let Some(share) = self.shares.get(sha256) {
            return Ok(*share);
        }
        let Some(stored) = self.ledger.policy(sha256).await? else { return Ok(None) };
        let share = Policy::parse(&stored.document).ok().map(|policy| policy.audit_share());
        let share = share.filter(|share| *share > 0.0);
        self.shares.insert(sha256.clone(), share);
        Ok(share)
    }
}

/// The label in force, as of when its truth was first told.
fn seen(labels: &[StoredLabel]) -> Option<LabelSeen> {
    let truth = standing(labels.iter().map(|stored| stored.label))?.label;
    let same = labels.iter().filter(|stored| stored.label.label == truth && !stored.label.reversed);
    let at = same.map(|stored| stored.recorded_at).min()?;
    Some(LabelSeen { fraud: truth == TruthLabel::Fraud, at })
}
