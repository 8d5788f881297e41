//! Labels that wait for their time.

use std::{cmp::Reverse, collections::BinaryHeap};

use domain::{Label, LabelSource, TransactionId, TruthLabel};
use jiff::Timestamp;
use velocity::VelocityStore;

use super::Case;

/// Labels by the time they become known. Holds at most one entry per transaction read.
#[derive(Debug, Default)]
pub(crate) struct LabelQueue {
    waiting: BinaryHeap<Reverse<(Timestamp, TransactionId, bool)>>,
}

impl LabelQueue {
    /// Keeps the case's label, if it has one that is dated, until it is known.
    pub(crate) fn hold(&mut self, case: &Case) {
        if let (Some(label), Some(at)) = (case.label, case.label_at) {
            let fraud = label == TruthLabel::Fraud;
            self.waiting.push(Reverse((at, case.transaction.id.clone(), fraud)));
        }
    }

    /// Tells the store every label known by `now`, in event time.
    pub(crate) fn release(&mut self, now: Timestamp, store: &VelocityStore) {
        while let Some(Reverse((at, id, fraud))) = self.waiting.pop() {
            if at > now {
                self.waiting.push(Reverse((at, id, fraud)));
                return;
            }
            let label = Label {
                label: if fraud { TruthLabel::Fraud } else { TruthLabel::Legitimate },
                source: LabelSource::Simulation,
                effective_at: at,
                reversed: false,
            };
            store.label(&id, &label);
        }
    }
}
