//! Labels into the ledger itself.

use std::cell::RefCell;

use domain::Label;
use jiff::Timestamp;
use ledger::{Ledger, LedgerError, NewLabel};

use super::{
    input::Given,
    tally::{Group, Tally},
};

pub(super) struct Recorder {
    pub(super) ledger: Ledger,
    /// Looks, and records nothing.
    pub(super) dry_run: bool,
}

impl Recorder {
    /// Records the labels of one transaction in their order.
    pub(super) async fn take(
        &self,
        group: Group,
        tally: &RefCell<Tally>,
    ) -> Result<(), LedgerError> {
        let id = &group.transaction_id;
        if !self.ledger.has_transaction(id).await? {
            group.labels.iter().for_each(|given| tally.borrow_mut().strange(given));
            return Ok(());
        }
        let stored = self.ledger.labels(id).await?;
        let mut recorded: Vec<Label> = stored.iter().map(|stored| stored.label).collect();
        for given in &group.labels {
            if is_old(&recorded, given) {
                tally.borrow_mut().known += 1;
                continue;
            }
            if !self.dry_run {
                let (transaction_id, label) = (id.clone(), given.label);
                let recorded_at = Timestamp::now();
                let entry = NewLabel { transaction_id, decision_id: None, label, recorded_at };
                self.ledger.append_label(entry).await?;
            }
            recorded.push(given.label);
            tally.borrow_mut().recorded += 1;
        }
        Ok(())
    }
}

/// Whether a label says nothing that was not recorded before, so that a file can be imported twice
/// without overruling what others have said since. A label without a time is old when it is what its
/// source said last.
fn is_old(recorded: &[Label], given: &Given) -> bool {
    let new = given.label;
    if given.dated {
        return recorded.contains(&new);
    }
    let last = recorded.iter().rfind(|label| label.source == new.source);
    last.is_some_and(|last| (last.label, last.reversed) == (new.label, new.reversed))
}

#[cfg(test)]
mod tests {
    use domain::{LabelSource, TruthLabel};

    use super::*;

    fn label(source: LabelSource, label: TruthLabel, second: i64) -> Label {
        let effective_at = Timestamp::from_second(second).unwrap();
        Label { label, source, effective_at, reversed: false }
    }

    fn given(label: Label, dated: bool) -> Given {
        Given { place: String::new(), transaction_id: "t".parse().unwrap(), label, dated }
    }

    #[test]
    fn a_label_that_others_have_overruled_is_not_said_again() {
        let analyst = label(LabelSource::Analyst, TruthLabel::Fraud, 1);
        let customer = label(LabelSource::Customer, TruthLabel::Legitimate, 2);
        let recorded = [analyst, customer];
        assert!(is_old(&recorded, &given(analyst, true)));
        let undated = label(LabelSource::Analyst, TruthLabel::Fraud, 9);
        assert!(is_old(&recorded, &given(undated, false)));
    }

    #[test]
    fn another_time_another_source_and_a_change_of_mind_are_new() {
        let analyst = label(LabelSource::Analyst, TruthLabel::Fraud, 1);
        let later = label(LabelSource::Analyst, TruthLabel::Fraud, 2);
        let bank = label(LabelSource::Chargeback, TruthLabel::Fraud, 1);
        let other = label(LabelSource::Analyst, TruthLabel::Legitimate, 1);
        let reversal = Label { reversed: true, ..analyst };
        for new in [later, bank, other, reversal] {
            assert!(!is_old(&[analyst], &given(new, true)), "{new:?}");
        }
        for new in [bank, other, reversal] {
            assert!(!is_old(&[analyst], &given(new, false)), "{new:?}");
        }
        assert!(!is_old(&[analyst, reversal], &given(analyst, false)));
    }
}
