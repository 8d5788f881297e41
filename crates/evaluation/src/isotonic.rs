//! Isotonic regression.

use serde::{Deserialize, Serialize};

use crate::{
    error::EvaluationError,
    sample::{Sample, ties},
};

/// The longest table made, in knots.
const KNOTS_MAX: usize = 256;

/// A rising table from margin to probability, linear between its knots and level outside them.
///
/// The pool-adjacent-violators algorithm gives the least-squares rising step function (Barlow,
/// Bartholomew, Bremner and Brunk, "Statistical inference under order restrictions", 1972; for
/// calibration: Zadrozny and Elkan, KDD 2002). Each of its blocks becomes one knot, at the block's
/// mean margin, and the table is linear between knots (centred isotonic regression: Oron and
/// Flournoy, "Centered isotonic regression", 2017): it keeps the order of scores which a step
/// function would tie. Probabilities stay within Platt's smoothed targets, `1 / (n0 + 2)` and
/// `(n1 + 1) / (n1 + 2)`: no finite sample says "never" or "always".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Isotonic {
    /// Margins in log-odds, strictly rising.
    pub margins: Vec<f64>,
    /// The probability at each, rising.
    pub probabilities: Vec<f64>,
}

/// Scores pooled under one probability.
#[derive(Debug, Clone, Copy)]
struct Block {
    margin_sum: f64,
    count: f64,
    frauds: f64,
}

impl Block {
    fn rate(&self) -> f64 {
        self.frauds / self.count
    }

    fn with(self, other: Self) -> Self {
        Self {
            margin_sum: self.margin_sum + other.margin_sum,
            count: self.count + other.count,
            frauds: self.frauds + other.frauds,
        }
    }
}

impl Isotonic {
    /// Fits to margins in log-odds.
    ///
    /// # Errors
    /// When the fit is flat: fraud does not become more likely as the margin rises.
    pub fn fit(sample: &Sample) -> Result<Self, EvaluationError> {
        let blocks = pooled(sample);
        if blocks.len() < 2 {
            return Err(EvaluationError::NotRising { slope: 0.0 });
        }
        let low = 1.0 / (sample.legitimate() as f64 + 2.0);
        let high = (sample.frauds() as f64 + 1.0) / (sample.frauds() as f64 + 2.0);
        let mut table = Self { margins: Vec::new(), probabilities: Vec::new() };
        for n in spread(blocks.len(), KNOTS_MAX) {
            let margin = blocks[n].margin_sum / blocks[n].count;
            if table.margins.last().is_none_or(|last| *last < margin) {
                table.margins.push(margin);
                // A sample so small that its targets cross has a low above its high.
                table.probabilities.push(blocks[n].rate().max(low).min(high.max(low)));
            }
        }
        Ok(table)
    }

    /// The probability of fraud, 0 to 1, for a margin in log-odds.
    #[must_use]
    pub fn probability(&self, margin: f64) -> f64 {
        let above = self.margins.partition_point(|knot| *knot <= margin);
        let (Some(first), Some(last)) = (self.probabilities.first(), self.probabilities.last())
        else {
            return f64::NAN;
        };
        if above == 0 {
            return *first;
        }
        if above == self.margins.len() {
            return *last;
        }
        let (x0, x1) = (self.margins[above - 1], self.margins[above]);
        let (y0, y1) = (self.probabilities[above - 1], self.probabilities[above]);
        (y0 + (y1 - y0) * ((margin - x0) / (x1 - x0))).clamp(y0, y1)
    }
}

fn pooled(sample: &Sample) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for (margin, count, frauds) in ties(sample.rising()) {
        let count = count as f64;
        let mut block = Block { margin_sum: margin * count, count, frauds: frauds as f64 };
        while let Some(below) = blocks.pop_if(|below| below.rate() >= block.rate()) {
            block = below.with(block);
        }
        blocks.push(block);
    }
    blocks
}

/// At most `most` places of `0..len`, evenly spread, both ends among them.
pub(crate) fn spread(len: usize, most: usize) -> impl Iterator<Item = usize> {
    let kept = len.min(most);
    (0..kept).map(move |n| if kept < 2 { n } else { n * (len - 1) / (kept - 1) })
}
