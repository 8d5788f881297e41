//! Thresholds from costs are the ones that cost least; the curve counts right.

#![allow(clippy::unwrap_used)]

mod common;

use common::rng;
use evaluation::{Costs, EvaluationError, Spending, bayes_cost, escalation_curve, thin};
use rand::RngExt;

const COSTS: Costs = Costs {
    false_alarm: 5.0,
    false_alarm_share: 0.1,
    missed: 2.0,
    missed_share: 1.0,
    escalation: 0.5,
};

#[test]
fn thresholds_follow_their_formulas_and_fall_as_amounts_rise() {
    assert!((COSTS.decline_threshold(100.0) - 15.0 / (15.0 + 102.0)).abs() < 1e-12);
    assert!((COSTS.escalate_threshold(98.0) - 0.005).abs() < 1e-12);
    let amounts = [1.0, 10.0, 100.0, 1_000.0, 1e6];
    assert!(
        amounts.windows(2).all(|a| COSTS.decline_threshold(a[0]) > COSTS.decline_threshold(a[1]))
    );
    assert_eq!(Costs { escalation: 50.0, ..COSTS }.escalate_threshold(1.0), 1.0);
}

#[test]
fn no_other_threshold_costs_less_where_probabilities_are_true() {
    let mut rng = rng(21);
    let cases: Vec<(f64, f64, bool)> = (0..200_000)
        .map(|_| {
            let p: f64 = rng.random::<f64>().powi(3);
            (p, rng.random_range(5.0..500.0), rng.random::<f64>() < p)
        })
        .collect();
    let cost = |threshold: &dyn Fn(f64) -> f64| {
        bayes_cost(&COSTS, cases.iter().map(|(p, a, fraud)| (*a, *fraud, *p >= threshold(*a))))
    };
    let best = cost(&|amount| COSTS.decline_threshold(amount));
    for level in [0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.9] {
        assert!(cost(&|_| level) > best, "{level}");
    }
    for factor in [0.5, 0.75, 1.5, 2.0] {
        assert!(cost(&|amount| factor * COSTS.decline_threshold(amount)) > best, "{factor}");
    }
}

#[test]
fn a_band_has_the_threshold_of_its_mean_amount_and_empty_bands_are_left_out() {
    let bands = COSTS.bands(&[50.0, 500.0, 5_000.0], &[10.0, 30.0, 600.0, 1_000.0]);
    let seen: Vec<_> =
        bands.iter().map(|band| (band.from, band.below, band.count, band.mean_amount)).collect();
    assert_eq!(seen, [(0.0, Some(50.0), 2, 20.0), (500.0, Some(5_000.0), 2, 800.0)]);
    assert_eq!(bands[0].decline, COSTS.decline_threshold(20.0));
    let last = COSTS.bands(&[], &[7.0]);
    assert_eq!((last.len(), last[0].below), (1, None));
}

#[test]
fn costs_that_make_no_sense_are_refused() {
    assert!(COSTS.check().is_ok());
    for bad in [
        Costs { missed: -1.0, ..COSTS },
        Costs { escalation: f64::NAN, ..COSTS },
        Costs { false_alarm: 0.0, false_alarm_share: 0.0, ..COSTS },
        Costs { missed: 0.0, missed_share: 0.0, ..COSTS },
    ] {
        assert!(matches!(bad.check(), Err(EvaluationError::OutOfRange { .. })), "{bad:?}");
    }
}

#[test]
fn the_curve_counts_frauds_money_and_costs() {
    let case = |score, amount, fraud| Spending { score, amount, fraud };
    let cases = [
        case(0.9, 100.0, true),
        case(0.5, 10.0, false),
        case(0.5, 300.0, true),
        case(0.1, 20.0, false),
    ];
    let curve = escalation_curve(&cases, &COSTS, 0.95);
    assert_eq!(curve.iter().map(|point| point.escalated).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!((curve[0].recall, curve[0].precision, curve[0].value_recall), (0.5, 1.0, 0.25));
    assert!((curve[0].cost_per_thousand - 250.0 * (0.5 + 302.0)).abs() < 1e-9);
    assert!((curve[2].cost_per_thousand - 250.0 * 2.0).abs() < 1e-9);
    assert!(curve.windows(2).all(|p| p[0].recall <= p[1].recall && p[0].share < p[1].share));
    let table = thin(&curve, &[0.1, 0.25, 0.8, 0.9, 1.0]);
    assert_eq!(table.iter().map(|point| point.escalated).collect::<Vec<_>>(), [1, 3, 4]);
}
