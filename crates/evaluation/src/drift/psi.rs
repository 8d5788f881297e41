//! The population stability index, and what chance makes of it.

use serde::{Deserialize, Serialize};

use crate::intervals::{chi_squared_above, chi_squared_quantile};

/// Added to each bin's count, so that an empty bin gives a large index and not an infinite one.
const SMOOTHING: f64 = 0.5;
/// The customary limits: below the first nothing is done, from the second on something is.
const MODERATE: f64 = 0.1;
const MAJOR: f64 = 0.25;

/// How far two distributions lie apart, and how far chance alone would put them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    /// The population stability index.
    pub psi: f64,
    /// Observations behind the live side.
    pub observations: u64,
    /// Bins that either side has something in, less one.
    pub freedom: usize,
    /// The chance of an index at least as large without any drift.
    pub p_value: f64,
    /// Without drift the index stays below this in 95 % of cases.
    pub chance_95: f64,
    /// Without drift the index stays below this in 99 % of cases.
    pub chance_99: f64,
}

/// A shift in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftBand {
    /// Too few observations to say.
    TooFew,
    /// No more than chance explains.
    Steady,
    /// More than chance explains, less than the customary 0.1.
    Slight,
    /// More than chance explains, and from 0.1 to below 0.25.
    Moderate,
    /// More than chance explains, and 0.25 or more.
    Major,
}

impl Shift {
    /// The band. An index counts only where chance explains it with less than `significance`:
    /// among 200 observations 0.1 is nothing, among a million 0.01 is something.
    #[must_use]
    pub fn band(&self, significance: f64) -> DriftBand {
        match self.psi {
            _ if self.p_value.is_nan() || self.p_value >= significance => DriftBand::Steady,
            psi if psi < MODERATE => DriftBand::Slight,
            psi if psi < MAJOR => DriftBand::Moderate,
            _ => DriftBand::Major,
        }
    }
}

/// The population stability index `sum((p - q) * ln(p / q))` of two histograms over the same bins.
/// `None` when either is empty.
///
/// Without drift it is distributed as `(1 / n + 1 / m) * chi-squared(b - 1)` for `b` bins and
/// samples of `n` and `m` (Yurdakul, "Statistical properties of population stability index",
/// Western Michigan University, 2018). Half a count is added to each bin. The approximation wants
/// independent observations and about five expected in each bin; transactions of one account
/// resemble each other, so that real indices lie somewhat higher.
#[must_use]
pub fn psi(reference: &[u64], live: &[u64]) -> Option<Shift> {
    let (n, m) = (reference.iter().sum::<u64>(), live.iter().sum::<u64>());
    if n == 0 || m == 0 || reference.len() != live.len() {
        return None;
    }
    let occupied: Vec<(f64, f64)> = reference
        .iter()
        .zip(live)
        .filter(|(r, l)| **r + **l > 0)
        .map(|(r, l)| (*r as f64 + SMOOTHING, *l as f64 + SMOOTHING))
        .collect();
    let padding = SMOOTHING * occupied.len() as f64;
    let index = occupied.iter().map(|(r, l)| {
        let (p, q) = (r / (n as f64 + padding), l / (m as f64 + padding));
        (p - q) * (p / q).ln()
    });
    let psi = index.sum::<f64>();
    let freedom = occupied.len() - 1;
    let scale = 1.0 / n as f64 + 1.0 / m as f64;
    let quantile =
        |p| if freedom == 0 { 0.0 } else { scale * chi_squared_quantile(freedom as f64, p) };
    Some(Shift {
        psi,
        observations: m,
        freedom,
        p_value: if freedom == 0 { 1.0 } else { chi_squared_above(freedom as f64, psi / scale) },
        chance_95: quantile(0.95),
        chance_99: quantile(0.99),
    })
}
