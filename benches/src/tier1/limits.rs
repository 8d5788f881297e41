//! Feeds with the whole sample at hand: what batching could save if nobody had to wait.

use std::time::Duration;

use super::{bare::Feed, graph::Graph};

/// Batches made beforehand, handed out in turn for ever.
pub struct Prepared {
    batches: Vec<Vec<usize>>,
    next: usize,
}

impl Prepared {
    /// Batches of one, in order of arrival, from text `first` on.
    #[must_use]
    pub fn arrival(graph: &Graph, first: usize) -> Self {
        let batches: Vec<Vec<usize>> = (0..graph.encoded.len()).map(|text| vec![text]).collect();
        Self { next: first % batches.len(), batches }
    }

    /// Batches of `size` texts of nearly equal length: all texts sorted, so that hardly a token
    /// is padding. Short and long ones take turns, so that a run of any duration is of average
    /// length.
    #[must_use]
    pub fn sorted(graph: &Graph, size: usize, first: usize) -> Self {
        let mut texts: Vec<usize> = (0..graph.encoded.len()).collect();
        texts.sort_by_key(|text| graph.tokens(*text));
        let chunks: Vec<&[usize]> = texts.chunks(size.max(1)).collect();
        let stride = golden_stride(chunks.len());
        let order = (0..chunks.len()).map(|n| (n * stride) % chunks.len());
        let batches: Vec<Vec<usize>> = order.map(|n| chunks[n].to_vec()).collect();
        Self { next: first % batches.len(), batches }
    }
}

/// The step nearest to `count` over the golden ratio that visits all of `count` places.
fn golden_stride(count: usize) -> usize {
    let mut stride = ((count as f64 * 0.618_034) as usize).max(1);
    while gcd(stride, count) != 1 {
        stride += 1;
    }
    stride
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Feed for Prepared {
    fn take(&mut self, _idle: usize) -> Vec<usize> {
        let batch = self.batches.get(self.next).cloned().unwrap_or_default();
        self.next = (self.next + 1) % self.batches.len();
        batch
    }

    fn done(&mut self, _batch: &[usize], _took: Duration) {}
}

#[cfg(test)]
mod tests {
    use super::{gcd, golden_stride};

    #[test]
    fn a_stride_visits_every_batch() {
        for count in 1..200 {
            assert_eq!(gcd(golden_stride(count), count), 1, "{count}");
        }
    }
}
