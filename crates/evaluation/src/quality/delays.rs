//! How long labels take.

use jiff::Timestamp;

use super::{DelayQuantiles, Watched, seconds};

/// The fewest labels from which delays are estimated.
const DELAYS_MIN: usize = 50;

/// The age in seconds by which this share of labels has come, of the slower of flagged and cleared
/// decisions; `None` while there are too few labels of either. Without an audit nothing is estimated
/// of cleared ones, and they do not count.
pub(super) fn measured_maturity(decisions: &[Watched], now: Timestamp, share: f64) -> Option<f64> {
    let slow = |flagged: bool| {
        let of: Vec<_> = decisions.iter().filter(|d| d.flagged == flagged).copied().collect();
        let delays = Delays::of(&of, now).filter(|delays| delays.count >= DELAYS_MIN);
        delays.map(|delays| delays.quantile(share))
    };
    let audited = decisions.iter().any(|d| !d.flagged && d.audited.is_some());
    match (slow(true), audited) {
        (Some(flagged), true) => slow(false).map(|cleared| cleared.max(flagged)),
        (flagged, _) => flagged,
    }
}

/// The distribution of label delays, right truncation removed.
pub(super) struct Delays {
    count: usize,
    /// Delays in seconds, rising, with the share of labels within each.
    steps: Vec<(f64, f64)>,
}

impl Delays {
    pub(super) fn of(decisions: &[Watched], now: Timestamp) -> Option<Self> {
        // Delay and age. A label older than its decision is a clock's fault: no delay.
        let mut seen: Vec<(f64, f64)> = decisions
            .iter()
            .map(|decision| decision.as_of(now))
            .filter_map(|decision| {
                let label = decision.label?;
                let delay = seconds(decision.decided_at, label.at).max(0.0);
                let alike = (delay, seconds(decision.decided_at, now));
                Some(std::iter::repeat_n(alike, decision.times))
            })
            .flatten()
            .collect();
        if seen.is_empty() {
            return None;
        }
        seen.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut ages: Vec<f64> = seen.iter().map(|(_, age)| *age).collect();
        ages.sort_by(f64::total_cmp);
        let (mut within, mut left, mut steps) = (1.0, seen.len(), Vec::new());
        for run in seen.chunk_by(|a, b| a.0 == b.0) {
            let delay = run[0].0;
            steps.push((delay, within));
            // Of those with a delay of at most this one, those too young for it are not at risk;
            // whoever is younger than this delay had a shorter one.
            let younger = ages.partition_point(|age| *age < delay);
            let at_risk = left - younger;
            within *= 1.0 - run.len() as f64 / at_risk.max(1) as f64;
            left -= run.len();
        }
        steps.reverse();
        Some(Self { count: seen.len(), steps })
    }

    fn quantile(&self, share: f64) -> f64 {
        let place = self.steps.partition_point(|(_, within)| *within < share);
        self.steps.get(place).or(self.steps.last()).map_or(0.0, |(delay, _)| *delay)
    }

    pub(super) fn quantiles(&self) -> DelayQuantiles {
        DelayQuantiles {
            labels: self.count,
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p99: self.quantile(0.99),
        }
    }
}
