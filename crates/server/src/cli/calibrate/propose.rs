//! Thresholds from costs and from the bound on missed fraud.

use evaluation::{
    AmountBand, Costs, CurvePoint, EvaluationError, MissedBound, Spending, bayes_cost,
    confident_threshold, conformal_threshold, conformal_threshold_by_group, escalation_curve,
};
use package::Calibration;
use policy::Policy;
use serde::Serialize;

use super::{
    EscalateBy,
    collect::Collected,
    judge::{Split, Verdict},
};

/// What the operator wants.
pub(super) struct Wishes<'a> {
    pub(super) costs: Costs,
    /// Amounts that part the bands.
    pub(super) bands: &'a [f64],
    pub(super) max_missed: f64,
    pub(super) confidence: f64,
    pub(super) by: EscalateBy,
}

/// A bound on missed fraud, or why there is none.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Bounded {
    /// In margins, and what that is as a calibrated score, rounded down.
    Kept {
        bound: MissedBound,
        escalate: f64,
    },
    Refused(String),
}

/// What a threshold leads to on the later labels.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Effect {
    pub(super) name: &'static str,
    /// Escalate at this score or above; absent where bands have thresholds of their own.
    pub(super) threshold: Option<f64>,
    /// Absent when nothing reaches the threshold.
    pub(super) point: Option<CurvePoint>,
}

/// What declining by tier 1's score alone costs on the later labels, per 1000 transactions.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct DeclineCosts {
    /// With the present policy's one threshold and the present calibration.
    pub(super) present: f64,
    /// With a threshold per band and the chosen calibration.
    pub(super) bands: f64,
    /// Without declining anything.
    pub(super) never: f64,
}

/// Proposed thresholds and what speaks for them.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Proposal {
    pub(super) costs: Costs,
    pub(super) confident: Bounded,
    pub(super) expected: Bounded,
    /// Expected too, with accounts and not frauds as what is drawn.
    pub(super) by_account: Bounded,
    /// For amounts outside all bands, and the whole where there are none.
    pub(super) escalate: f64,
    pub(super) decline: f64,
    pub(super) bands: Vec<AmountBand>,
    /// What `escalate` rests on.
    pub(super) why: String,
    pub(super) effects: Vec<Effect>,
    pub(super) decline_costs: DeclineCosts,
}

impl Proposal {
    /// Proposes thresholds in the chosen calibration's scores.
    pub(super) fn make(
        collected: &Collected,
        split: &Split<'_>,
        verdict: &Verdict,
        wishes: &Wishes<'_>,
        policy: &Policy,
    ) -> anyhow::Result<Self> {
        let (chosen, costs) = (verdict.chosen(), wishes.costs);
        // All labels, the earlier ones too: the bounds do not depend on the calibration.
        let grouped: Vec<(f64, u32)> =
            collected.labelled.iter().filter(|s| s.fraud).map(|s| (s.margin, s.account)).collect();
        let frauds: Vec<f64> = grouped.iter().map(|(margin, _)| *margin).collect();
        let confident = confident_threshold(&frauds, wishes.max_missed, wishes.confidence);
        let confident = Bounded::of(confident, chosen)?;
        let expected = Bounded::of(conformal_threshold(&frauds, wishes.max_missed), chosen)?;
        let by_account = conformal_threshold_by_group(&grouped, wishes.max_missed);
        let by_account = Bounded::of(by_account, chosen)?;
        let amounts: Vec<f64> = collected.labelled.iter().map(|scored| scored.amount).collect();
        let mean = amounts.iter().sum::<f64>() / amounts.len().max(1) as f64;
        let by_costs = round_down(costs.escalate_threshold(mean));
        let decline = round_down(costs.decline_threshold(mean));
        let (escalate, why) = choose(&confident, &expected, by_costs, wishes);
        let escalate = escalate.min(decline);
        let bands = bands(wishes, &amounts, escalate);
        let (old, new) = (split.spending(verdict.present()), split.spending(chosen));
        let by_band = Effect::of("proposed policy", &new, &costs, |case| {
            case.score >= band(&bands, case.amount).map_or(escalate, |band| band.escalate)
        });
        let level = |name, cases: &[Spending], threshold: f64| Effect {
            threshold: Some(threshold),
            ..Effect::of(name, cases, &costs, |case| case.score >= threshold)
        };
        let mut effects = vec![level("present policy", &old, policy.thresholds().escalate.value())];
        effects.extend(confident.escalate().map(|t| level("missed, confident", &new, t)));
        effects.extend(expected.escalate().map(|t| level("missed, expected", &new, t)));
        effects.extend(by_account.escalate().map(|t| level("missed, by account", &new, t)));
        effects.push(level("costs", &new, by_costs));
        effects.push(by_band);
        let decline_costs = DeclineCosts {
            present: declining(&costs, &old, |case| {
                case.score >= policy.thresholds().decline.value()
            }),
            bands: declining(&costs, &new, |case| {
                case.score >= band(&bands, case.amount).map_or(decline, |band| band.decline)
            }),
            never: declining(&costs, &new, |_| false),
        };
        Ok(Self {
            costs,
            confident,
            expected,
            by_account,
            escalate,
            decline,
            bands,
            why,
            effects,
            decline_costs,
        })
    }
}

impl Bounded {
    /// Only too few labels are a refusal; anything else is an error.
    fn of(
        bound: Result<MissedBound, EvaluationError>,
        calibration: &Calibration,
    ) -> Result<Self, EvaluationError> {
        match bound {
            Ok(bound) => {
                let escalate = round_down(calibration.probability(bound.threshold));
                Ok(Self::Kept { bound, escalate })
            }
            Err(error @ EvaluationError::TooFewFrauds { .. }) => {
                Ok(Self::Refused(error.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    fn escalate(&self) -> Option<f64> {
        match self {
            Self::Kept { escalate, .. } => Some(*escalate),
            Self::Refused(_) => None,
        }
    }
}

impl Effect {
    fn of(
        name: &'static str,
        cases: &[Spending],
        costs: &Costs,
        escalated: impl Fn(&Spending) -> bool,
    ) -> Self {
        let marked =
            |case: &Spending| Spending { score: f64::from(u8::from(escalated(case))), ..*case };
        let marked: Vec<_> = cases.iter().map(marked).collect();
        let curve = escalation_curve(&marked, costs, 0.95);
        let point = curve.first().filter(|point| point.threshold > 0.5).copied();
        Self { name, threshold: None, point }
    }
}

fn choose(
    confident: &Bounded,
    expected: &Bounded,
    by_costs: f64,
    wishes: &Wishes<'_>,
) -> (f64, String) {
    if wishes.by == EscalateBy::Costs {
        return (by_costs, "the costs, at the mean amount".into());
    }
    let (bound, escalate) = match (confident, expected) {
        (Bounded::Kept { bound, escalate }, _) | (_, Bounded::Kept { bound, escalate }) => {
            (bound, *escalate)
        }
        (Bounded::Refused(_), Bounded::Refused(reason)) => {
            return (by_costs, format!("the costs, at the mean amount, because {reason}"));
        }
    };
    (escalate, format!("{}, from {} labelled frauds", bound.promise, bound.frauds))
}

/// The bands with thresholds as a policy wants them: rounded, `escalate` never above `decline`, and
/// never above the level that a bound asks for.
fn bands(wishes: &Wishes<'_>, amounts: &[f64], escalate: f64) -> Vec<AmountBand> {
    let mut bands = wishes.costs.bands(wishes.bands, amounts);
    for band in &mut bands {
        band.decline = round_down(band.decline);
        let wanted = match wishes.by {
            EscalateBy::Missed => escalate,
            EscalateBy::Costs => round_down(band.escalate),
        };
        band.escalate = wanted.min(band.decline);
    }
    bands
}

fn band(bands: &[AmountBand], amount: f64) -> Option<&AmountBand> {
    bands.iter().find(|band| amount >= band.from && band.below.is_none_or(|below| amount < below))
}

fn declining(costs: &Costs, cases: &[Spending], decline: impl Fn(&Spending) -> bool) -> f64 {
    let decided = cases.iter().map(|case| (case.amount, case.fraud, decline(case)));
    1000.0 * bayes_cost(costs, decided) / cases.len().max(1) as f64
}

/// Four digits, never above the value: what scores as much must not fall below the threshold.
fn round_down(value: f64) -> f64 {
    if !(value > 0.0 && value.is_finite()) {
        return 0.0;
    }
    let scale = 10_f64.powi(3 - value.log10().floor() as i32);
    let mut digits = (value * scale).floor();
    while digits / scale > value {
        digits -= 1.0;
    }
    digits / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_rounded_to_four_digits_and_never_up() {
        for (value, rounded) in
            [(0.000_123_456, 0.000_123_4), (0.5, 0.5), (0.999_99, 0.9999), (1.0, 1.0), (0.0, 0.0)]
        {
            assert!((round_down(value) - rounded).abs() < 1e-12, "{value}");
        }
        let mut value = 1e-9;
        while value < 1.0 {
            let rounded = round_down(value);
            assert!(rounded <= value && rounded > value * 0.9989, "{value} {rounded}");
            value *= 1.013;
        }
    }

    #[test]
    fn without_enough_frauds_the_costs_decide_and_the_reason_is_told() {
        let refused = |text: &str| Bounded::Refused(text.into());
        let costs = Costs {
            false_alarm: 5.0,
            false_alarm_share: 0.0,
            missed: 0.0,
            missed_share: 1.0,
            escalation: 1.0,
        };
        let mut wishes = Wishes {
            costs,
            bands: &[100.0],
            max_missed: 0.05,
            confidence: 0.95,
            by: EscalateBy::Missed,
        };
        let (escalate, why) = choose(&refused("one"), &refused("two"), 0.02, &wishes);
        assert!(escalate == 0.02 && why.contains("two"), "{why}");
        let promise = evaluation::Promise::Expected { max_missed: 0.05 };
        let bound = MissedBound { promise, threshold: -3.0, frauds: 40, missed: 1, allowed: 1 };
        let kept = Bounded::Kept { bound, escalate: 0.5 };
        assert_eq!(choose(&refused("one"), &kept, 0.02, &wishes).0, 0.5);
        let banded = bands(&wishes, &[10.0, 1_000.0], 0.5);
        assert!(banded.iter().all(|band| band.escalate <= band.decline), "{banded:?}");
        assert_eq!((banded[0].escalate, banded[1].decline), (0.3333, 0.004_975));
        wishes.by = EscalateBy::Costs;
        assert_eq!(choose(&refused("one"), &kept, 0.02, &wishes).0, 0.02);
    }
}
