//! Confidence intervals for shares and counts.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta, ChiSquared, ContinuousCDF, Normal};

/// A confidence interval, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Nothing is known of a share.
    pub const UNKNOWN_SHARE: Self = Self { low: 0.0, high: 1.0 };

    /// Whether a value lies inside.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// Wilson's score interval for `hits` of `n`, two-sided (Wilson, JASA 22, 1927).
///
/// Coverage is near `confidence` on average, not at least; [`clopper_pearson`] never falls short.
#[must_use]
pub fn wilson(hits: usize, n: usize, confidence: f64) -> Interval {
    if n == 0 {
        return Interval::UNKNOWN_SHARE;
    }
    let z = normal_quantile(f64::midpoint(1.0, confidence));
    let (n, p) = (n as f64, hits as f64 / n as f64);
    let spread = z * z / n;
    let centre = (p + spread / 2.0) / (1.0 + spread);
    let half = (z / (1.0 + spread)) * (p * (1.0 - p) / n + spread / (4.0 * n)).sqrt();
    Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

/// The exact interval for `hits` of `n`, two-sided (Clopper and Pearson, Biometrika 26, 1934).
#[must_use]
pub fn clopper_pearson(hits: usize, n: usize, confidence: f64) -> Interval {
    let one_sided = f64::midpoint(1.0, confidence);
    let low = if hits == 0 { 0.0 } else { 1.0 - clopper_pearson_upper(n - hits, n, one_sided) };
    Interval { low, high: clopper_pearson_upper(hits, n, one_sided) }
}

/// The exact one-sided upper bound on a share of which `hits` of `n` were seen: the
/// `confidence`-quantile of Beta(hits + 1, n - hits). 1 without any observation.
#[must_use]
pub fn clopper_pearson_upper(hits: usize, n: usize, confidence: f64) -> f64 {
    if hits >= n {
        return 1.0;
    }
    Beta::new(hits as f64 + 1.0, (n - hits) as f64)
        .map_or(1.0, |beta| beta.inverse_cdf(confidence.clamp(0.0, 1.0)))
}

/// The interval for the mean of a weighted sum of Poisson counts, two-sided (Fay and Feuer,
/// Statistics in Medicine 16, 1997). `weights` holds the weight of each event seen; `largest` is
/// the largest weight an event could have had. Exact (Garwood's) where all weights are equal.
#[must_use]
pub fn weighted_poisson(weights: &[f64], largest: f64, confidence: f64) -> Interval {
    let tail = (1.0 - confidence) / 2.0;
    let sum: f64 = weights.iter().sum();
    let variance: f64 = weights.iter().map(|weight| weight * weight).sum();
    let low = if sum > 0.0 {
        variance / (2.0 * sum) * chi_squared_quantile(2.0 * sum * sum / variance, tail)
    } else {
        0.0
    };
    let (mean, spread) = (sum + largest, variance + largest * largest);
    let high = if spread > 0.0 {
        spread / (2.0 * mean) * chi_squared_quantile(2.0 * mean * mean / spread, 1.0 - tail)
    } else {
        0.0
    };
    Interval { low, high }
}

/// The quantile of the standard normal distribution.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

/// The quantile of the chi-squared distribution.
pub(crate) fn chi_squared_quantile(freedom: f64, p: f64) -> f64 {
    ChiSquared::new(freedom).map_or(f64::NAN, |chi| chi.inverse_cdf(p))
}

/// The probability of a larger value under the chi-squared distribution.
pub(crate) fn chi_squared_above(freedom: f64, value: f64) -> f64 {
    ChiSquared::new(freedom).map_or(f64::NAN, |chi| chi.sf(value))
}
