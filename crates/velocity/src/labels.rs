//! One entity's latest labels, fraud and legitimate, in the order of what they are of.

use crate::{facts::LabelFacts, kind::Mark, window::DAY};

/// Labels kept for each entity. More than [`LabelFacts::MAX`], as some of them may not be known
/// yet at the time that is asked for.
const KEPT: usize = 256;

/// A labelled transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Labelled {
    /// When it happened, in milliseconds.
    pub(crate) at: i64,
    /// From when on its label was known, in milliseconds.
    pub(crate) effective: i64,
    pub(crate) fraud: bool,
    pub(crate) transaction: Mark,
}

/// Labelled transactions ordered by when they happened, of one instant the frauds last; the latest
/// [`KEPT`]. The order in which labels came leaves no trace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Labels {
    latest: Vec<Labelled>,
}

impl Labels {
    /// Records a transaction's label in place of the one it had.
    pub(crate) fn record(&mut self, labelled: Labelled) {
        self.withdraw(labelled.transaction);
        let place = (labelled.at, labelled.fraud);
        let position = self.latest.partition_point(|known| (known.at, known.fraud) <= place);
        self.latest.insert(position, labelled);
        let excess = self.latest.len().saturating_sub(KEPT);
        self.latest.drain(..excess);
    }

    /// Takes a transaction's label back.
    pub(crate) fn withdraw(&mut self, transaction: Mark) {
        self.latest.retain(|known| known.transaction != transaction);
    }

    /// The latest transactions whose label was known at `at`, newest first, one left out.
    pub(crate) fn facts(&self, at: i64, except: Mark) -> Vec<LabelFacts> {
        let known = |labelled: &&Labelled| {
            labelled.at <= at && labelled.effective <= at && labelled.transaction != except
        };
        let newest = self.latest.iter().rev().filter(known).take(LabelFacts::MAX);
        newest
            .map(|labelled| LabelFacts {
                days_ago: (at - labelled.at) as f64 / DAY as f64,
                fraud: labelled.fraud,
            })
            .collect()
    }
}
