//! The margins of the latest transactions, counted so that any quantile is a short walk.

use std::collections::VecDeque;

/// Cells between the smallest and the largest shift.
const CELLS: usize = 1024;
/// One more for what lies below and one for what lies above.
const BINS: usize = CELLS + 2;

/// A sliding window of margins. Memory: three bytes a transaction and a fixed table; time:
/// logarithmic in the number of cells.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    low: f64,
    width: f64,
    capacity: usize,
    /// Cell, and whether the transaction was escalated; oldest first.
    entries: VecDeque<(u16, bool)>,
    /// A Fenwick tree over the counts of cells (Fenwick 1994, doi:10.1002/spe.4380240306).
    tree: Vec<u32>,
    escalated: usize,
}

impl Window {
    /// An empty window over margins from `low` to `high`.
    pub(crate) fn new(low: f64, high: f64, capacity: usize) -> Self {
        Self {
            low,
            width: (high - low) / CELLS as f64,
            capacity,
            entries: VecDeque::new(),
            tree: vec![0; BINS + 1],
            escalated: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many of them were escalated.
    pub(crate) fn escalated(&self) -> usize {
        self.escalated
    }

    /// How far two shifts must lie apart to differ for this window.
    pub(crate) fn resolution(&self) -> f64 {
        self.width
    }

    /// Counts a transaction, and forgets the oldest when full.
    pub(crate) fn push(&mut self, margin: f64, escalated: bool) {
        if self.entries.len() == self.capacity
            && let Some((cell, was_escalated)) = self.entries.pop_front()
        {
            self.add(usize::from(cell), u32::MAX);
            self.escalated -= usize::from(was_escalated);
        }
        let cell = self.cell(margin);
        self.entries.push_back((cell as u16, escalated));
        self.add(cell, 1);
        self.escalated += usize::from(escalated);
    }

    /// How many would be escalated under a shift, as far as the cells tell: those whose cell
    /// does not lie below the shift's.
    pub(crate) fn at_or_above(&self, shift: f64) -> usize {
        self.len() - self.below(self.cell(shift))
    }

    /// The smallest shift under which at most `most` would be escalated; the largest shift of
    /// the window when none is large enough.
    pub(crate) fn shift_for(&self, most: usize) -> f64 {
        // At least so many must lie in lower cells.
        let needed = self.len().saturating_sub(most);
        // Standard descent: the first cell up to which, inclusive, `needed` are counted.
        let (mut position, mut left) = (0, needed);
        let mut step = BINS.next_power_of_two();
        while step > 0 && left > 0 {
            let next = position + step;
            if let Some(count) = self.tree.get(next).map(|count| *count as usize)
                && count < left
            {
                position = next;
                left -= count;
            }
            step /= 2;
        }
        // Cells 0 to `position` lie below the shift; the last cell has no upper edge.
        let below = if needed == 0 { 0 } else { position.min(CELLS) };
        self.low + below as f64 * self.width
    }

    /// The margin's cell: 0 below `low`, the last at or above `high`.
    fn cell(&self, margin: f64) -> usize {
        // A float becomes an integer by saturation: infinities land in the outer cells.
        let steps = ((margin - self.low) / self.width).floor() as i64;
        (steps.saturating_add(1)).clamp(0, BINS as i64 - 1) as usize
    }

    /// How many lie in cells before this one.
    fn below(&self, cell: usize) -> usize {
        let (mut at, mut sum) = (cell, 0);
        while at > 0 {
            sum += self.tree.get(at).map_or(0, |count| *count as usize);
            at &= at - 1;
        }
        sum
    }

    /// Adds to a cell's count, modulo 2^32, so that `u32::MAX` takes one away.
    fn add(&mut self, cell: usize, count: u32) {
        let mut at = cell + 1;
        while let Some(sum) = self.tree.get_mut(at) {
            *sum = sum.wrapping_add(count);
            at += at & at.wrapping_neg();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_lies_outside_is_counted_at_the_ends() {
        let mut window = Window::new(-1.0, 1.0, 10);
        for margin in [f64::NEG_INFINITY, -1.5, 1.0, f64::INFINITY] {
            window.push(margin, margin > 0.0);
        }
        assert_eq!((window.len(), window.escalated()), (4, 2));
        assert_eq!((window.at_or_above(-1.0), window.at_or_above(1.0)), (2, 2));
        assert_eq!((window.shift_for(2), window.shift_for(1)), (-1.0, 1.0));
    }

    proptest! {
        #[test]
        fn the_window_counts_as_a_naive_list_would(
            margins in prop::collection::vec(-2.5..2.5_f64, 1..200),
            capacity in 1_usize..80,
            most in 0_usize..80,
        ) {
            let mut window = Window::new(-2.0, 2.0, capacity);
            for margin in &margins {
                window.push(*margin, *margin >= 0.0);
            }
            let kept = &margins[margins.len().saturating_sub(capacity)..];
            prop_assert_eq!(window.len(), kept.len());
            prop_assert_eq!(window.escalated(), kept.iter().filter(|m| **m >= 0.0).count());
            let above = |shift: f64| kept.iter().filter(|m| **m >= shift).count();
            let shift = window.shift_for(most);
            prop_assert!((-2.0..=2.0).contains(&shift));
            prop_assert!(above(shift) <= most || shift == 2.0, "{} above {shift}", above(shift));
            if shift > -2.0 {
                // A cell less would let too many through.
                prop_assert!(above(shift - window.resolution()) > most);
            }
            prop_assert_eq!(window.at_or_above(shift), above(shift));
        }
    }
}
