//! Today's histograms over a sliding window.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    psi::{DriftBand, Shift, psi},
    reference::{Binned, Reference},
};
use crate::error::EvaluationError;

/// How a drift monitor looks back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DriftConfig {
    /// How far.
    pub window: SignedDuration,
    /// The window slides in so many steps; memory grows with them.
    pub panes: usize,
    /// Fewer observations than this say nothing.
    pub min_observations: u64,
    /// The chance of a false alarm, over score and features together, at any one look.
    pub significance: f64,
}

impl Default for DriftConfig {
    fn default() -> Self {
        Self {
            window: SignedDuration::from_hours(7 * 24),
            panes: 7,
            min_observations: 500,
            significance: 0.01,
        }
    }
}

/// Counts of one step of the window: per feature, per bin.
#[derive(Debug, Clone)]
struct Pane {
    number: i64,
    counts: Vec<Vec<u64>>,
}

/// Watches the score and the features. Memory is bins x features x panes, whatever the traffic.
#[derive(Debug, Clone)]
pub struct Drift {
    reference: Reference,
    config: DriftConfig,
    /// A pane's length in milliseconds.
    step: i64,
    /// Oldest first.
    panes: VecDeque<Pane>,
}

/// What is known of one feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftReading {
    /// The feature, or `score`.
    pub name: String,
    /// The shift; absent without any observation.
    pub shift: Option<Shift>,
    /// The shift in a word.
    pub band: DriftBand,
}

impl Drift {
    /// Starts with an empty window.
    ///
    /// # Errors
    /// When the window, its panes or the significance is out of range.
    pub fn new(reference: Reference, config: DriftConfig) -> Result<Self, EvaluationError> {
        let out = |name, value, range| Err(EvaluationError::OutOfRange { name, value, range });
        if !(1..=1000).contains(&config.panes) {
            return out("panes", config.panes as f64, "1 to 1000");
        }
        crate::error::inside_unit("significance", config.significance)?;
        let panes = i64::try_from(config.panes).unwrap_or(i64::MAX);
        let window = i64::try_from(config.window.as_millis()).unwrap_or(i64::MAX);
        let step = window / panes;
        if step <= 0 {
            return out("window", config.window.as_secs_f64(), "at least a millisecond a pane");
        }
        Ok(Self { reference, config, step, panes: VecDeque::new() })
    }

    /// Counts one transaction at `now`. Features are found by name; those that the reference does
    /// not have are passed over, those that are not given count as missing. What is older than the
    /// window is passed over as well.
    pub fn observe<'a>(
        &mut self,
        score: f64,
        features: impl IntoIterator<Item = (&'a str, Option<f64>)>,
        now: Timestamp,
    ) {
        let mut values = vec![None; self.reference.features.len()];
        for (name, value) in features {
            let place = self.reference.features.iter().position(|feature| feature.name == name);
            if let Some(place) = place {
                values[place] = value;
            }
        }
        let number = now.as_millisecond().div_euclid(self.step);
        self.slide(number);
        let bins: Vec<usize> = std::iter::once(self.reference.score.bin(Some(score)))
            .chain(self.reference.features.iter().zip(values).map(|(f, value)| f.bin(value)))
            .collect();
        if let Some(pane) = self.pane(number) {
            for (counts, bin) in pane.counts.iter_mut().zip(bins) {
                counts[bin] += 1;
            }
        }
    }

    /// The score and each feature against the reference, over the window that ends at `now`. The
    /// allowed chance of a false alarm is shared out among them (Bonferroni).
    #[must_use]
    pub fn readings(&self, now: Timestamp) -> Vec<DriftReading> {
        let newest = now.as_millisecond().div_euclid(self.step);
        let significance = self.config.significance / (self.reference.features.len() as f64 + 1.0);
        self.histograms()
            .enumerate()
            .map(|(place, binned)| {
                let live = self.live(place, newest);
                let shift = psi(&binned.all_counts(), &live);
                let band = match &shift {
                    Some(shift) if shift.observations >= self.config.min_observations => {
                        shift.band(significance)
                    }
                    _ => DriftBand::TooFew,
                };
                DriftReading { name: binned.name.clone(), shift, band }
            })
            .collect()
    }

    /// What the window is compared with.
    #[must_use]
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    fn histograms(&self) -> impl Iterator<Item = &Binned> {
        std::iter::once(&self.reference.score).chain(&self.reference.features)
    }

    fn live(&self, place: usize, newest: i64) -> Vec<u64> {
        let oldest = newest - self.config.panes as i64;
        let mut sum: Vec<u64> = Vec::new();
        for pane in self.panes.iter().filter(|p| p.number > oldest && p.number <= newest) {
            sum.resize(pane.counts[place].len(), 0);
            sum.iter_mut().zip(&pane.counts[place]).for_each(|(sum, count)| *sum += count);
        }
        sum
    }

    /// Drops the panes that `number`, when it is the newest, leaves behind.
    fn slide(&mut self, number: i64) {
        let newest = self.panes.back().map_or(number, |pane| pane.number.max(number));
        let oldest = newest - self.config.panes as i64;
        while self.panes.front().is_some_and(|pane| pane.number <= oldest) {
            self.panes.pop_front();
        }
    }

    /// The pane of this number, made when it is missing; none for one that has left the window.
    fn pane(&mut self, number: i64) -> Option<&mut Pane> {
        let newest = self.panes.back().map_or(number, |pane| pane.number);
        if number <= newest - self.config.panes as i64 {
            return None;
        }
        let place = match self.panes.binary_search_by_key(&number, |pane| pane.number) {
            Ok(place) => place,
            Err(place) => {
                let counts =
                    self.histograms().map(|binned| vec![0; binned.counts.len() + 1]).collect();
                self.panes.insert(place, Pane { number, counts });
                place
            }
        };
        self.panes.get_mut(place)
    }
}
