//! The promises that somebody in this process is at: the only ones whose leases are extended.
//!
//! The store alone cannot tell. A claim whose answer was lost has an owner there and nobody at
//! it; extending that lease would keep the work from everybody for ever.

use std::collections::HashSet;

use domain::DecisionId;
use parking_lot::Mutex;

#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<HashSet<DecisionId>>);

impl Held {
    pub(crate) fn take(&self, ids: impl IntoIterator<Item = DecisionId>) {
        self.0.lock().extend(ids);
    }

    pub(crate) fn let_go(&self, ids: &[DecisionId]) {
        let mut held = self.0.lock();
        for id in ids {
            held.remove(id);
        }
    }

    pub(crate) fn let_go_of_all(&self) {
        self.0.lock().clear();
    }

    pub(crate) fn all(&self) -> Vec<DecisionId> {
        self.0.lock().iter().copied().collect()
    }
}
