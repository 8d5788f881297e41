//! Live precision and recall, from labels that come late and an audit of what was cleared.
//!
//! # What is estimated
//! Recall is `A / (A + M)`: `A` the frauds that were flagged, `M` those that were cleared. Nobody
//! sees `M`: of cleared traffic only what the holder notices is reported. The audit sample does: a
//! cleared transaction was drawn with a known chance, by its identifier, and somebody looked. Each
//! fraud found so stands for `1 / chance` frauds (Horvitz and Thompson, JASA 47, 1952). The
//! interval around the sum is Fay and Feuer's (1997), which is honest where only a few, or no,
//! audited frauds were found.
//!
//! # What is assumed
//! * A decision counts once it is mature; until then its label may still be on its way.
//! * Whatever [`Unlabelled`] says of mature decisions without a label.
//! * The audit's draw has nothing to do with the transaction, and its labels are right.
//! * Of what was cleared beyond the audit's reach (by a rule, or by tier 2), frauds that were
//!   reported are all there are: each counts as one missed. Recall is too high by those unreported.
//! * `flagged` means flagged for the score's sake: a decision that is looked at because the audit
//!   drew it is audited and not flagged, whatever came of it.

mod delays;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use self::delays::{Delays, measured_maturity};
use crate::{
    error::{EvaluationError, inside_unit},
    intervals::{Interval, weighted_poisson, wilson},
};

/// The latest label of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelSeen {
    /// What it says.
    pub fraud: bool,
    /// When it arrived.
    pub at: Timestamp,
}

/// Decisions that are alike, as far as quality goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watched {
    /// How many they are: many decisions without a label can be told as one.
    pub times: usize,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// Whether the score flagged it.
    pub flagged: bool,
    /// The chance with which the audit drew it, above 0 to 1; absent when it was not drawn.
    pub audited: Option<f64>,
    /// Whether it was cleared where the audit does not draw. Does not go with `flagged` or `audited`.
    pub beyond_audit: bool,
    /// Its latest label.
    pub label: Option<LabelSeen>,
}

/// When a decision is old enough to be counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Maturity {
    /// At this age.
    Age(SignedDuration),
    /// When this share of labels has come, by the labels seen so far; `otherwise` while there are
    /// fewer than 50 of them. Labels of flagged decisions are often quick, since somebody looks at
    /// once; where there is an audit, the share must have come of what was not flagged as well.
    DelayQuantile {
        /// The share, such as 0.9.
        share: f64,
        /// The age that counts without enough labels.
        otherwise: SignedDuration,
    },
}

/// What is assumed of mature decisions without a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlabelled {
    /// They were legitimate: right where every fraud is reported by then.
    Legitimate,
    /// They are like the labelled ones, and are left out.
    LeftOut,
}

/// How quality is estimated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QualityConfig {
    /// When a decision counts.
    pub maturity: Maturity,
    /// Of flagged decisions without a label. A declined payment is never charged back: silence
    /// says nothing, so that they are left out unless told otherwise.
    pub flagged_unlabelled: Unlabelled,
    /// Of audited decisions without a label. Legitimate unless told otherwise.
    pub audited_unlabelled: Unlabelled,
    /// The confidence of the intervals.
    pub confidence: f64,
}

impl Default for QualityConfig {
    fn default() -> Self {
        let otherwise = SignedDuration::from_hours(60 * 24);
        Self {
            maturity: Maturity::DelayQuantile { share: 0.9, otherwise },
            flagged_unlabelled: Unlabelled::LeftOut,
            audited_unlabelled: Unlabelled::Legitimate,
            confidence: 0.95,
        }
    }
}

/// A share with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The estimate, 0 to 1.
    pub value: f64,
    /// Its confidence interval.
    pub interval: Interval,
}

/// Delays between decision and label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DelayQuantiles {
    /// Labels behind it.
    pub labels: usize,
    /// Half of the labels come within so many seconds.
    pub p50: f64,
    /// 90 % of the labels come within so many seconds.
    pub p90: f64,
    /// 99 % of the labels come within so many seconds.
    pub p99: f64,
}

/// What is known of the quality of decisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Decisions younger than this were not counted, in seconds.
    pub maturity_seconds: f64,
    /// Decisions counted.
    pub mature: usize,
    /// Decisions too young to be counted.
    pub immature: usize,
    /// Flagged among the mature.
    pub flagged: usize,
    /// Flagged, mature, without a label.
    pub flagged_unlabelled: usize,
    /// Flagged, mature, labelled fraud.
    pub flagged_fraud: usize,
    /// Audited among the mature.
    pub audited: usize,
    /// Audited, mature, without a label.
    pub audited_unlabelled: usize,
    /// Audited, mature, labelled fraud: cleared by the score all the same.
    pub audited_fraud: usize,
    /// Cleared, mature, labelled fraud by whomever: a lower bound on what was missed.
    pub reported_missed: usize,
    /// Cleared where the audit does not draw, among the mature.
    pub beyond_audit: usize,
    /// Cleared where the audit does not draw, mature, labelled fraud by whomever.
    pub beyond_audit_fraud: usize,
    /// Share of flagged decisions that were fraud.
    pub precision: Option<Rate>,
    /// The precision if none, and if all, of the flagged without a label were fraud.
    pub precision_bounds: Option<Interval>,
    /// Frauds cleared in all: estimated from the audit, with those reported from beyond its reach;
    /// absent without an audit.
    pub missed: Option<Rate>,
    /// Share of all fraud that was flagged; absent without an audit or without any fraud. The
    /// interval is about these decisions: it holds what the audit's draw leaves open, not how next
    /// month's fraud may differ.
    pub recall: Option<Rate>,
    /// Recall as reported labels alone have it: too high wherever fraud goes unreported.
    pub naive_recall: Option<f64>,
    /// Label delays, corrected for labels that are still to come.
    pub delays: Option<DelayQuantiles>,
}

/// Estimates the quality of these decisions at `now`. Labels that arrived after `now` are not seen.
///
/// # Errors
/// When the confidence, a share or an audit chance is out of range.
pub fn quality(
    decisions: &[Watched],
    now: Timestamp,
    config: &QualityConfig,
) -> Result<Quality, EvaluationError> {
    inside_unit("confidence", config.confidence)?;
    for chance in decisions.iter().filter_map(|decision| decision.audited) {
        if !(chance > 0.0 && chance <= 1.0) {
            let range = "above 0, at most 1";
            return Err(EvaluationError::OutOfRange { name: "audit chance", value: chance, range });
        }
    }
    let delays = Delays::of(decisions, now);
    let maturity = match config.maturity {
        Maturity::Age(age) => age.as_secs_f64(),
        Maturity::DelayQuantile { share, otherwise } => {
            inside_unit("share", share)?;
            measured_maturity(decisions, now, share).unwrap_or(otherwise.as_secs_f64())
        }
    };
    let mature: Vec<Watched> = decisions
        .iter()
        .filter(|decision| seconds(decision.decided_at, now) >= maturity)
        .map(|decision| decision.as_of(now))
        .collect();
    let known = decisions.iter().filter(|decision| decision.decided_at <= now);
    let known: usize = known.map(|decision| decision.times).sum();
    let mut quality = count(&mature, config);
    quality.maturity_seconds = maturity;
    quality.immature = known.saturating_sub(quality.mature);
    quality.delays = delays.map(|delays| delays.quantiles());
    Ok(quality)
}

/// The quantiles of label delays at `now`, corrected for labels still to come; `None` without
/// labels. See [`Quality::delays`].
///
/// Of young decisions only quick labels have come, so that the plain quantile is too short. Each
/// delay `d` was seen because it was at most its decision's age `t`; the share within `x` is the
/// product over delays `d > x` of `1 - n(d) / r(d)`, `n(d)` labels having that delay and `r(d)`
/// having a delay of at most `d` and an age of at least `d` (Kalbfleisch and Lawless, JASA 84,
/// 1989). Labels slower than the oldest decision's age remain unseen.
#[must_use]
pub fn delay_quantiles(decisions: &[Watched], now: Timestamp) -> Option<DelayQuantiles> {
    Delays::of(decisions, now).map(|delays| delays.quantiles())
}

impl Watched {
    /// With what was known at `now`.
    fn as_of(&self, now: Timestamp) -> Self {
        Self { label: self.label.filter(|label| label.at <= now), ..*self }
    }

    fn is(&self, fraud: bool) -> bool {
        self.label.is_some_and(|label| label.fraud == fraud)
    }

    fn is_beyond_audit(&self) -> bool {
        self.beyond_audit && !self.flagged && self.audited.is_none()
    }
}

impl Rate {
    /// With so many more that are certain.
    fn and(self, certain: f64) -> Self {
        let Self { value, interval: Interval { low, high } } = self;
        let interval = Interval { low: low + certain, high: high + certain };
        Self { value: value + certain, interval }
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

fn count(mature: &[Watched], config: &QualityConfig) -> Quality {
    let number = |test: &dyn Fn(&Watched) -> bool| -> usize {
        mature.iter().filter(|d| test(d)).map(|d| d.times).sum()
    };
    let flagged = number(&|d| d.flagged);
    let flagged_fraud = number(&|d| d.flagged && d.is(true));
    let flagged_unlabelled = number(&|d| d.flagged && d.label.is_none());
    let judged = match config.flagged_unlabelled {
        Unlabelled::Legitimate => flagged,
        Unlabelled::LeftOut => flagged - flagged_unlabelled,
    };
    let reported_missed = number(&|d| !d.flagged && d.is(true));
    let beyond_audit_fraud = number(&|d| d.is_beyond_audit() && d.is(true));
    let missed = missed(mature, config).map(|missed| missed.and(beyond_audit_fraud as f64));
    // Left out means: as fraudulent as the labelled ones.
    let found = flagged as f64 * flagged_fraud as f64 / judged.max(1) as f64;
    let found = if judged == flagged { flagged_fraud as f64 } else { found };
    let recall = missed.and_then(|missed| {
        let share = |missed: f64| if found + missed > 0.0 { found / (found + missed) } else { 1.0 };
        let interval =
            Interval { low: share(missed.interval.high), high: share(missed.interval.low) };
        (found + missed.value > 0.0).then(|| Rate { value: share(missed.value), interval })
    });
    let reported = flagged_fraud + reported_missed;
    Quality {
        maturity_seconds: 0.0,
        mature: number(&|_| true),
        immature: 0,
        flagged,
        flagged_unlabelled,
        flagged_fraud,
        audited: number(&|d| !d.flagged && d.audited.is_some()),
        audited_unlabelled: number(&|d| !d.flagged && d.audited.is_some() && d.label.is_none()),
        audited_fraud: number(&|d| !d.flagged && d.audited.is_some() && d.is(true)),
        reported_missed,
        beyond_audit: number(&Watched::is_beyond_audit),
        beyond_audit_fraud,
        precision: (judged > 0).then(|| Rate {
            value: flagged_fraud as f64 / judged as f64,
            interval: wilson(flagged_fraud, judged, config.confidence),
        }),
        precision_bounds: (flagged > 0).then(|| Interval {
            low: flagged_fraud as f64 / flagged as f64,
            high: (flagged_fraud + flagged_unlabelled) as f64 / flagged as f64,
        }),
        missed,
        recall,
        naive_recall: (reported > 0).then(|| flagged_fraud as f64 / reported as f64),
        delays: None,
    }
}

/// Frauds cleared within the audit's reach, by inverse probability of the draw.
fn missed(mature: &[Watched], config: &QualityConfig) -> Option<Rate> {
    let audited =
        || mature.iter().filter(|d| !d.flagged).filter_map(|d| d.audited.map(|chance| (d, chance)));
    let weight = |(d, chance): (&Watched, f64)| d.times as f64 / chance;
    let drawn: f64 = audited().map(weight).sum();
    let judged: f64 = audited().filter(|(d, _)| d.label.is_some()).map(weight).sum();
    // Left out means: as fraudulent as the labelled ones, so that those stand for more.
    let grown = match config.audited_unlabelled {
        Unlabelled::Legitimate => 1.0,
        Unlabelled::LeftOut => drawn / judged,
    };
    if drawn == 0.0 || !grown.is_finite() {
        return None;
    }
    let weights: Vec<f64> = audited()
        .filter(|(d, _)| d.is(true))
        .flat_map(|(d, chance)| std::iter::repeat_n(grown / chance, d.times))
        .collect();
    let largest = audited().map(|(_, chance)| grown / chance).fold(0.0, f64::max);
    let interval = weighted_poisson(&weights, largest, config.confidence);
    Some(Rate { value: weights.iter().sum(), interval })
}
