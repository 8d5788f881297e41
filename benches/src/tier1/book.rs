//! What was measured, by whom and under which load.

use std::collections::BTreeMap;

use serde::Serialize;

/// One measurement of one round. What does not apply is zero or absent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Sample {
    /// Texts computed or requests answered with 200, per second.
    pub per_second: f64,
    /// Half of the requests were answered within so many milliseconds, counted from when they
    /// were due.
    pub p50_ms: Option<f64>,
    /// 99 of 100 were answered within so many milliseconds.
    pub p99_ms: Option<f64>,
    /// Processor time of the server's processes for each answer, in milliseconds.
    pub server_cpu_ms: f64,
    /// Processor time of the load generator for each answer, in milliseconds.
    pub client_cpu_ms: f64,
    /// How many were answered with 200.
    pub answered: u64,
    /// How many were answered with 429.
    pub refused: u64,
    /// How many were answered with something else than 200 and 429.
    pub other: u64,
    /// How many got no answer, or were never sent.
    pub failed: u64,
    /// 99 of 100 refusals came within so many milliseconds after the request was sent.
    pub refused_p99_ms: Option<f64>,
    /// Refusals that did not say when to return.
    pub missing_retry_after: u64,
    /// Answers later than the deadline that the request stated.
    pub late: u64,
    /// Scores that are not the reference to the bit.
    pub wrong: u64,
    /// Largest difference between a score and its reference.
    pub deviation: f64,
    /// Texts in a batch, where that is known.
    pub mean_batch: f64,
    /// The share of all cores that others had meanwhile, 0 to 1.
    pub others: f64,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Key {
    /// Which model.
    pub model: String,
    /// Who was measured, with its graph: `weir fast`.
    pub subject: String,
    /// Under which load: `closed 32`.
    pub load: String,
}

/// All samples, one a round, in order.
#[derive(Debug, Clone, Default)]
pub struct Book {
    rows: BTreeMap<Key, Vec<Sample>>,
    order: Vec<Key>,
    /// Single figures: start-up times, memory.
    pub figures: BTreeMap<String, f64>,
}

/// A number taken from a sample.
pub type Field = fn(&Sample) -> f64;

impl Book {
    /// Adds a sample of one round.
    pub fn add(&mut self, model: &str, subject: &str, load: &str, sample: Sample) {
        let key = key(model, subject, load);
        if !self.rows.contains_key(&key) {
            self.order.push(key.clone());
        }
        self.rows.entry(key).or_default().push(sample);
    }

    /// The samples of a line, one a round; none when it was not measured.
    #[must_use]
    pub fn samples(&self, model: &str, subject: &str, load: &str) -> &[Sample] {
        self.rows.get(&key(model, subject, load)).map_or(&[], Vec::as_slice)
    }

    /// All lines in the order in which they were first measured.
    pub fn rows(&self) -> impl Iterator<Item = (&Key, &[Sample])> {
        self.order.iter().map(|key| (key, self.rows.get(key).map_or(&[][..], Vec::as_slice)))
    }

    /// The median over the rounds; `None` when it was not measured.
    #[must_use]
    pub fn median(&self, model: &str, subject: &str, load: &str, field: Field) -> Option<f64> {
        median(self.samples(model, subject, load).iter().map(field).collect())
    }
}

fn key(model: &str, subject: &str, load: &str) -> Key {
    Key { model: model.into(), subject: subject.into(), load: load.into() }
}

/// The middle value; `None` of nothing.
#[must_use]
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// The median of the ratios within each round: what slows a whole round down leaves no trace.
#[must_use]
pub fn ratio(above: &[Sample], below: &[Sample], field: Field) -> Option<f64> {
    let pairs = above.iter().zip(below);
    median(pairs.map(|(above, below)| field(above) / field(below)).collect())
}

#[cfg(test)]
mod tests {
    use super::{Sample, median, ratio};

    fn samples(values: [f64; 3]) -> Vec<Sample> {
        values.map(|per_second| Sample { per_second, ..Sample::default() }).into()
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn a_slow_round_does_not_change_a_ratio() {
        let (above, below) = (samples([10.0, 1.0, 12.0]), samples([5.0, 0.5, 6.0]));
        assert_eq!(ratio(&above, &below, |sample| sample.per_second), Some(2.0));
    }
}
