//! The closing summary of `weir screen`.

use std::{fmt, time::Duration};

use domain::{DecidedBy, Outcome, TruthLabel};
use screening::Screened;

use crate::offline::Case;

/// Counts and times of one run.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// Lines that gave no decision.
    pub(crate) failed: u64,
    /// How long the screening took as a whole.
    pub(crate) wall: Duration,
    screened: u64,
    decided_by: [u64; DecidedBy::ALL.len()],
    outcomes: [u64; Outcome::ALL.len()],
    cascade: Times,
    tier1: Times,
    tier2: Times,
    truth: Truth,
    pairs: Pairs,
}

/// Decisions against labels.
#[derive(Debug, Default)]
struct Truth {
    fraud: u64,
    legitimate: u64,
    fraud_escalated: u64,
    legitimate_cleared: u64,
    fraud_held: u64,
    legitimate_held: u64,
}

/// The cascade and tier 2 alone on the same transactions.
#[derive(Debug, Default)]
struct Pairs {
    cascade: Times,
    alone: Times,
}

/// Durations, kept for exact percentiles.
#[derive(Debug, Default)]
struct Times(Vec<f64>);

impl Times {
    fn add(&mut self, milliseconds: f64) {
        self.0.push(milliseconds);
    }

    fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len().max(1) as f64
    }

    /// Nearest-rank percentile.
    fn percentile(&self, p: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (p / 100.0 * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }
}

impl Summary {
    /// Counts one decision.
    pub(crate) fn add(&mut self, case: &Case, screened: &Screened) {
        let decision = &screened.decision;
        self.screened += 1;
        self.decided_by[decision.decided_by as usize] += 1;
        self.outcomes[decision.outcome as usize] += 1;
        let timings = &decision.timings_ms;
        self.cascade.add(timings.total);
        self.tier1.add(timings.screening_prepare + timings.screening_queue + timings.screening_run);
        if let (Some(prepare), Some(queue), Some(run)) =
            (timings.analysis_prepare, timings.analysis_queue, timings.analysis_run)
        {
            self.tier2.add(prepare + queue + run);
        }
        let cleared = decision.decided_by == DecidedBy::Screening;
        let held = decision.outcome != Outcome::Approve;
        self.truth.add(case, cleared, held);
    }

    /// Notes how long tier 2 alone took on a transaction that the cascade decided.
    pub(crate) fn compared(&mut self, screened: &Screened, alone: Duration) {
        self.pairs.cascade.add(screened.decision.timings_ms.total);
        self.pairs.alone.add(alone.as_secs_f64() * 1e3);
    }

    /// One line for the progress bar.
    pub(crate) fn progress(&self) -> String {
        let cleared = self.decided_by[DecidedBy::Screening as usize];
        format!("{} screened, {} escalated", self.screened, self.screened - cleared)
    }
}

impl Truth {
    fn add(&mut self, case: &Case, cleared: bool, held: bool) {
        if case.is_fraud() {
            self.fraud += 1;
            self.fraud_escalated += u64::from(!cleared);
            self.fraud_held += u64::from(held);
        } else if case.label == Some(TruthLabel::Legitimate) {
            self.legitimate += 1;
            self.legitimate_cleared += u64::from(cleared);
            self.legitimate_held += u64::from(held);
        }
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cleared = self.decided_by[DecidedBy::Screening as usize];
        let escalated = self.screened - cleared;
        writeln!(
            f,
            "screened    {:>8}   in {:.1} s, {} failed",
            self.screened,
            self.wall.as_secs_f64(),
            self.failed
        )?;
        writeln!(
            f,
            "cleared     {:>8}   {:.1} % by tier 1 alone",
            cleared,
            share(cleared, self.screened)
        )?;
        writeln!(
            f,
            "escalated   {:>8}   {:.1} % to tier 2",
            escalated,
            share(escalated, self.screened)
        )?;
        let fallback = self.decided_by[DecidedBy::Fallback as usize];
        writeln!(f, "fallback    {:>8}   escalated, but tier 2 could not answer", fallback)?;
        for outcome in Outcome::ALL {
            let count = self.outcomes[*outcome as usize];
            writeln!(
                f,
                "{:<11} {:>8}   {:.1} %",
                outcome.as_str(),
                count,
                share(count, self.screened)
            )?;
        }
        writeln!(f)?;
        for (name, times) in
            [("cascade", &self.cascade), ("tier 1", &self.tier1), ("tier 2", &self.tier2)]
        {
            let (mean, p50, p99) = (times.mean(), times.percentile(50.0), times.percentile(99.0));
            writeln!(
                f,
                "{name:<8} mean {mean:>8.2} ms   p50 {p50:>8.2} ms   p99 {p99:>8.2} ms   n {}",
                times.0.len()
            )?;
        }
        self.truth.fmt(f)?;
        self.pairs.fmt(f)
    }
}

impl fmt::Display for Truth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.fraud + self.legitimate == 0 {
            return Ok(());
        }
        writeln!(f)?;
        writeln!(f, "labelled    {:>8} fraud, {} legitimate", self.fraud, self.legitimate)?;
        let escalated = self.fraud_escalated + self.legitimate - self.legitimate_cleared;
        writeln!(
            f,
            "tier 1      recall {:.1} %, precision {:.1} %, clears {:.1} % of the legitimate",
            share(self.fraud_escalated, self.fraud),
            share(self.fraud_escalated, escalated),
            share(self.legitimate_cleared, self.legitimate),
        )?;
        writeln!(
            f,
            "cascade     recall {:.1} %, precision {:.1} %, holds {:.2} % of the legitimate",
            share(self.fraud_held, self.fraud),
            share(self.fraud_held, self.fraud_held + self.legitimate_held),
            share(self.legitimate_held, self.legitimate),
        )
    }
}

impl fmt::Display for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.alone.0.is_empty() {
            return Ok(());
        }
        let (cascade, alone) = (self.cascade.mean(), self.alone.mean());
        writeln!(f)?;
        writeln!(f, "same {} transactions, one at a time:", self.alone.0.len())?;
        writeln!(f, "  two tiers     mean {cascade:>8.2} ms a transaction")?;
        writeln!(f, "  tier 2 alone  mean {alone:>8.2} ms a transaction")?;
        writeln!(f, "  ratio              {:>8.2}", alone / cascade.max(f64::MIN_POSITIVE))
    }
}
