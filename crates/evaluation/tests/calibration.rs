//! Calibrations find the truth that made the labels, and say when there is none.

#![allow(clippy::unwrap_used)]

mod common;

use common::{logistic, margins};
use evaluation::{
    EvaluationError, Isotonic, Labelled, Platt, Sample, auc, average_precision, brier,
    calibration_error, log_loss, log_loss_difference, proper, reliability,
};
use proptest::prelude::*;

fn sample(points: &[(f64, bool)]) -> Sample {
    Sample::new(
        points.iter().map(|(score, fraud)| Labelled { score: *score, fraud: *fraud }).collect(),
    )
    .unwrap()
}

#[test]
fn platt_finds_the_slope_and_intercept_that_made_the_labels() {
    let sample = Sample::new(margins(60_000, 1, |m| logistic(1.3 * m - 0.7))).unwrap();
    let platt = Platt::fit(&sample).unwrap();
    assert!((platt.a - 1.3).abs() < 0.05 && (platt.b + 0.7).abs() < 0.05, "{platt:?}");
}

#[test]
fn platt_is_where_the_gradient_of_the_smoothed_likelihood_vanishes() {
    let sample = Sample::new(margins(500, 2, |m| logistic(2.0 * m + 1.0))).unwrap();
    let platt = Platt::fit(&sample).unwrap();
    let (n1, n0) = (sample.frauds() as f64, sample.legitimate() as f64);
    let (high, low) = ((n1 + 1.0) / (n1 + 2.0), 1.0 / (n0 + 2.0));
    let (mut da, mut db) = (0.0, 0.0);
    for point in sample.rising() {
        let error = platt.probability(point.score) - if point.fraud { high } else { low };
        da += error * point.score;
        db += error;
    }
    assert!(da.abs() < 1e-4 && db.abs() < 1e-4, "{da} {db}");
}

#[test]
fn perfectly_parted_labels_still_give_a_finite_slope() {
    let points: Vec<_> = (0..40).map(|n| (f64::from(n), n >= 20)).collect();
    let platt = Platt::fit(&sample(&points)).unwrap();
    assert!(platt.a.is_finite() && platt.a > 0.0 && platt.probability(39.0) < 1.0, "{platt:?}");
}

#[test]
fn scores_that_rank_fraud_last_are_refused_by_both() {
    let upside_down = Sample::new(margins(2_000, 3, |m| logistic(-m - 4.0))).unwrap();
    assert!(matches!(Platt::fit(&upside_down), Err(EvaluationError::NotRising { .. })));
    let points: Vec<_> = (0..40).map(|n| (f64::from(n), n < 20)).collect();
    assert!(matches!(Isotonic::fit(&sample(&points)), Err(EvaluationError::NotRising { .. })));
}

#[test]
fn isotonic_follows_a_truth_that_platt_cannot_bend_to() {
    let truth = |m: f64| if m < -2.0 { 0.02 } else { 0.3 };
    let fit = Sample::new(margins(20_000, 4, truth)).unwrap();
    let held = Sample::new(margins(20_000, 5, truth)).unwrap();
    let (platt, isotonic) = (Platt::fit(&fit).unwrap(), Isotonic::fit(&fit).unwrap());
    let loss = |p: &dyn Fn(f64) -> f64| log_loss(&held.map(p).unwrap());
    let (by_platt, by_isotonic) =
        (loss(&|m| platt.probability(m)), loss(&|m| isotonic.probability(m)));
    assert!(by_isotonic < by_platt - 0.005, "{by_isotonic} {by_platt}");
    let error = held.map(|m| isotonic.probability(m)).unwrap();
    assert!(calibration_error(&reliability(&error, 10, 0.95)) < 0.02);
}

#[test]
fn pooled_blocks_match_the_textbook() {
    // 0 | 1 0 pooled to 1/2 | 1 1: knots at the mean margins, within Platt's targets.
    let points = [(1.0, false), (2.0, true), (3.0, false), (4.0, true), (6.0, true)];
    let isotonic = Isotonic::fit(&sample(&points)).unwrap();
    assert_eq!(isotonic.margins, [1.0, 2.5, 5.0]);
    assert_eq!(isotonic.probabilities, [0.25, 0.5, 0.8]);
    assert_eq!(isotonic.probability(-9.0), 0.25);
    assert_eq!(isotonic.probability(9.0), 0.8);
    assert!((isotonic.probability(1.75) - 0.375).abs() < 1e-12);
}

#[test]
fn ranking_figures_match_what_is_counted_by_hand() {
    let ranked = sample(&[(0.1, false), (0.4, false), (0.35, true), (0.8, true)]);
    assert!((auc(&ranked) - 0.75).abs() < 1e-12);
    assert!((average_precision(&ranked) - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
    let tied = sample(&[(0.5, false), (0.5, true), (0.5, false), (0.5, true)]);
    assert!((auc(&tied) - 0.5).abs() < 1e-12);
    assert!((average_precision(&tied) - 0.5).abs() < 1e-12);
}

#[test]
fn proper_scores_match_what_is_counted_by_hand() {
    let two = sample(&[(0.2, false), (0.9, true)]);
    assert!((brier(&two) - f64::midpoint(0.04, 0.01)).abs() < 1e-12);
    assert!((log_loss(&two) + f64::midpoint(0.8_f64.ln(), 0.9_f64.ln())).abs() < 1e-12);
    let certain_and_wrong = sample(&[(0.0, true), (0.0, false)]);
    assert!(log_loss(&certain_and_wrong).is_finite());
    let (mean, error) = log_loss_difference(&[(0.5, 0.5, true), (0.9, 0.9, false)]);
    assert_eq!((mean, error), (0.0, 0.0));
    assert!(log_loss_difference(&[(0.9, 0.1, true), (0.9, 0.1, true)]).0 > 0.0);
}

#[test]
fn honest_probabilities_are_found_reliable_and_boasting_ones_are_not() {
    let points = margins(20_000, 6, logistic);
    let honest = Sample::new(points.clone()).unwrap().map(logistic).unwrap();
    let boasting = Sample::new(points).unwrap().map(|m| logistic(3.0 * m)).unwrap();
    let (good, bad) = (proper(&honest, 10), proper(&boasting, 10));
    assert!(good.calibration_error < 0.01 && bad.calibration_error > 0.03, "{good:?} {bad:?}");
    let inside = reliability(&honest, 10, 0.99)
        .iter()
        .filter(|bin| bin.interval.contains(bin.predicted))
        .count();
    assert!(inside >= 9, "{inside} of 10");
}

#[test]
fn equal_scores_are_never_parted_and_no_bin_is_lost() {
    let points: Vec<_> =
        (0..100).map(|n| (if n < 70 { 0.1 } else { f64::from(n) / 100.0 }, n % 3 == 0)).collect();
    let bins = reliability(&sample(&points), 10, 0.95);
    assert_eq!(bins.iter().map(|bin| bin.count).sum::<usize>(), 100);
    assert_eq!(bins[0].count, 70);
    assert!(bins.windows(2).all(|pair| pair[0].to < pair[1].from));
}

#[test]
fn samples_that_say_nothing_are_refused_with_the_reason() {
    let one = |score, fraud| Labelled { score, fraud };
    assert_eq!(Sample::new(vec![]), Err(EvaluationError::Empty));
    let error = Sample::new(vec![one(1.0, true)]).unwrap_err();
    assert_eq!(error, EvaluationError::OneClass { frauds: 1, legitimate: 0 });
    let error = Sample::new(vec![one(1.0, true), one(f64::NAN, false)]).unwrap_err();
    assert!(matches!(error, EvaluationError::NotFinite { index: 1, .. }));
}

proptest! {
    #[test]
    fn a_fitted_calibration_never_falls_and_stays_a_probability(
        seed in 0_u64..500, n in 30_usize..400, probes in prop::collection::vec(-50.0..50.0_f64, 20),
    ) {
        let Ok(sample) = Sample::new(margins(n, seed, |m| logistic(m + 1.0))) else { return Ok(()) };
        let mut probes = probes;
        probes.sort_by(f64::total_cmp);
        if let Ok(platt) = Platt::fit(&sample) {
            prop_assert!(probes.windows(2).all(|p| platt.probability(p[0]) <= platt.probability(p[1])));
        }
        if let Ok(isotonic) = Isotonic::fit(&sample) {
            prop_assert!(isotonic.margins.windows(2).all(|p| p[0] < p[1]));
            for pair in probes.windows(2) {
                let (low, high) = (isotonic.probability(pair[0]), isotonic.probability(pair[1]));
                prop_assert!(low <= high && low > 0.0 && high < 1.0);
            }
        }
    }
}
