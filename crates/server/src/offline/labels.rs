//! Labels that wait for their time.

use std::{cmp::Reverse, collections::BinaryHeap};

use domain::{Label, LabelSource, TransactionId, TruthLabel};
use jiff::Timestamp;
use velocity::VelocityStore;

use super::Case;

/// Fraud labels by the time they become known. Holds at most one entry per fraud read.
#[derive(Debug, Default)]
pub(crate) struct LabelQueue {
    waiting: BinaryHeap<Reverse<(Timestamp, TransactionId)>>,
}

impl LabelQueue {
    /// Keeps the case's fraud label, if it has one, until it is known.
    pub(crate) fn hold(&mut self, case: &Case) {
        if let (Some(TruthLabel::Fraud), Some(at)) = (case.label, case.label_at) {
            self.waiting.push(Reverse((at, case.transaction.id.clone())));
        }
    }

    /// Tells the store every label known by `now`, in event time.
    pub(crate) fn release(&mut self, now: Timestamp, store: &VelocityStore) {
        while let Some(Reverse((at, id))) = self.waiting.pop() {
            if at > now {
                self.waiting.push(Reverse((at, id)));
                return;
            }
            let label = Label {
                label: TruthLabel::Fraud,
                source: LabelSource::Simulation,
                effective_at: at,
                reversed: false,
            };
            store.label(&id, &label);
        }
    }
}
