//! Promises about missed fraud are kept as often as they say, by simulation with fixed seeds.

#![allow(clippy::unwrap_used)]

mod common;

use common::{normal, rng};
use evaluation::{
    EvaluationError, clopper_pearson, clopper_pearson_upper, confident_threshold,
    conformal_threshold, conformal_threshold_by_group, frauds_needed_confident,
    frauds_needed_conformal, missed_below, weighted_poisson, wilson,
};
use rand::RngExt;
use statrs::distribution::{Beta, ContinuousCDF, Normal};

/// The share of N(0, 1) below a threshold: what it truly misses.
fn truly_missed(threshold: f64) -> f64 {
    Normal::standard().cdf(threshold)
}

#[test]
fn a_confident_threshold_keeps_its_word_as_often_as_it_says() {
    for (n, alpha, confidence) in [(80, 0.05, 0.95), (200, 0.1, 0.9)] {
        let mut rng = rng(n as u64);
        let rounds = 4_000;
        let mut kept = 0;
        for _ in 0..rounds {
            let scores: Vec<f64> = (0..n).map(|_| normal(&mut rng)).collect();
            let bound = confident_threshold(&scores, alpha, confidence).unwrap();
            kept += usize::from(truly_missed(bound.threshold) <= alpha);
        }
        let share = kept as f64 / rounds as f64;
        // Three standard errors below the promise would be a failure of the promise.
        let error = (confidence * (1.0 - confidence) / rounds as f64).sqrt();
        assert!(share >= confidence - 3.0 * error, "n = {n}: {share}");
        // And not by asking for everything: the bound is nearly tight for a discrete choice.
        assert!(share < confidence + 0.045, "n = {n}: {share}");
    }
}

#[test]
fn a_conformal_threshold_misses_what_it_says_on_average_and_often_more_in_one_sample() {
    for (n, alpha) in [(19, 0.05), (50, 0.1), (150, 0.05)] {
        let mut rng = rng(n as u64 + 7);
        let rounds = 6_000;
        let missed: Vec<f64> = (0..rounds)
            .map(|_| {
                let scores: Vec<f64> = (0..n).map(|_| normal(&mut rng)).collect();
                truly_missed(conformal_threshold(&scores, alpha).unwrap().threshold)
            })
            .collect();
        let mean = missed.iter().sum::<f64>() / rounds as f64;
        let variance = missed.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / rounds as f64;
        assert!(mean <= alpha + 3.0 * (variance / rounds as f64).sqrt(), "n = {n}: {mean}");
        assert!(mean >= alpha - 1.5 / (n as f64 + 1.0), "n = {n}: {mean} is too cautious");
        let broken = missed.iter().filter(|m| **m > alpha).count();
        assert!(broken > rounds / 5, "an expectation is no guarantee for one sample");
    }
}

#[test]
fn by_group_the_promise_holds_where_frauds_of_one_account_resemble_each_other() {
    // An account has 1 to 12 frauds; the more it has, the lower they score.
    let burst = |rng: &mut rand::rngs::ChaCha12Rng, group: u32| -> Vec<(f64, u32)> {
        let (centre, size) = (normal(rng), rng.random_range(1..=12_u8));
        (0..size).map(|_| (2.0 * centre + 0.3 * normal(rng), group)).collect()
    };
    let mut rng = rng(14);
    let (alpha, rounds) = (0.1, 1_500);
    let (mut by_group, mut by_fraud) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let frauds: Vec<_> = (0..40).flat_map(|group| burst(&mut rng, group)).collect();
        let threshold = conformal_threshold_by_group(&frauds, alpha).unwrap().threshold;
        let scores: Vec<f64> = frauds.iter().map(|(score, _)| *score).collect();
        let naive = conformal_threshold(&scores, alpha).unwrap().threshold;
        for (missed, threshold) in [(&mut by_group, threshold), (&mut by_fraud, naive)] {
            for _ in 0..20 {
                let next = burst(&mut rng, 0);
                let below = next.iter().filter(|(score, _)| *score < threshold).count();
                missed.push(below as f64 / next.len() as f64);
            }
        }
    }
    let mean = |missed: &[f64]| missed.iter().sum::<f64>() / missed.len() as f64;
    assert!(mean(&by_group) <= alpha + 0.005, "{}", mean(&by_group));
    assert!(mean(&by_group) >= alpha - 2.5 / 41.0, "{}", mean(&by_group));
    // Counting frauds and not accounts takes the sample for larger than it is.
    assert!(mean(&by_fraud) > mean(&by_group) + 0.01, "{}", mean(&by_fraud));
}

#[test]
fn groups_of_one_are_frauds_and_too_few_groups_are_refused() {
    let scores: Vec<f64> = (0..60).map(|n| f64::from(n * 7 % 60)).collect();
    let single: Vec<_> = scores.iter().copied().zip(0..).collect();
    let (a, b) = (
        conformal_threshold(&scores, 0.08).unwrap(),
        conformal_threshold_by_group(&single, 0.08).unwrap(),
    );
    assert_eq!((a.threshold, a.missed), (b.threshold, b.missed));
    let one_account: Vec<_> = scores.iter().map(|score| (*score, 7)).collect();
    let error = conformal_threshold_by_group(&one_account, 0.08).unwrap_err();
    assert!(matches!(error, EvaluationError::TooFewFrauds { frauds: 1, needed: 12, .. }));
    assert!(error.to_string().starts_with("1 labelled accounts with fraud cannot"), "{error}");
}

#[test]
fn too_few_frauds_are_refused_with_the_number_it_would_take() {
    assert_eq!(frauds_needed_conformal(0.05), 19);
    assert_eq!(frauds_needed_conformal(0.01), 99);
    assert_eq!(frauds_needed_confident(0.05, 0.95), 59);
    assert_eq!(frauds_needed_confident(0.01, 0.99), 459);
    for needed in [(0.05, 0.95), (0.02, 0.9), (0.1, 0.99)] {
        let (alpha, confidence) = needed;
        let n = frauds_needed_confident(alpha, confidence);
        assert!(confident_threshold(&vec![0.0; n], alpha, confidence).is_ok());
        let error = confident_threshold(&vec![0.0; n - 1], alpha, confidence).unwrap_err();
        assert!(matches!(error, EvaluationError::TooFewFrauds { frauds, needed, .. }
            if frauds == n - 1 && needed == n));
        let n = frauds_needed_conformal(alpha);
        assert!(conformal_threshold(&vec![0.0; n], alpha).is_ok());
        assert!(conformal_threshold(&vec![0.0; n - 1], alpha).is_err());
    }
    let error = confident_threshold(&[0.5; 37], 0.05, 0.95).unwrap_err().to_string();
    assert_eq!(
        error,
        "37 labelled frauds cannot carry the promise of at most 5 % of fraud missed, with 95 % \
         confidence: 59 are needed"
    );
}

#[test]
fn ties_at_the_threshold_are_escalated_so_that_no_more_is_missed_than_allowed() {
    let scores: Vec<f64> = (0..100).map(|n| f64::from(n / 10)).collect();
    let bound = conformal_threshold(&scores, 0.15).unwrap();
    assert_eq!((bound.allowed, bound.threshold, bound.missed), (14, 1.0, 10));
    assert_eq!(missed_below(&scores, bound.threshold), 10);
}

#[test]
fn what_is_no_share_is_refused() {
    for alpha in [0.0, 1.0, -0.1, f64::NAN] {
        assert!(matches!(
            conformal_threshold(&[0.0; 99], alpha),
            Err(EvaluationError::OutOfRange { .. })
        ));
        assert!(confident_threshold(&[0.0; 99], 0.1, alpha).is_err());
    }
    assert!(conformal_threshold(&[f64::NAN; 99], 0.1).is_err());
}

#[test]
fn quantiles_agree_with_published_tables_and_invert_their_distributions() {
    // 0 of 59: the rule of three, exactly.
    assert!((clopper_pearson_upper(0, 59, 0.95) - (1.0 - 0.05_f64.powf(1.0 / 59.0))).abs() < 1e-9);
    // Two-sided 95 %, 10 of 100: 0.0490 to 0.1762.
    let exact = clopper_pearson(10, 100, 0.95);
    assert!((exact.low - 0.0490).abs() < 1e-4 && (exact.high - 0.1762).abs() < 1e-4, "{exact:?}");
    // Wilson, 10 of 100: 0.0552 to 0.1744.
    let score = wilson(10, 100, 0.95);
    assert!((score.low - 0.0552).abs() < 1e-4 && (score.high - 0.1744).abs() < 1e-4, "{score:?}");
    // Garwood, 5 events: 1.6235 to 11.6683.
    let count = weighted_poisson(&[1.0; 5], 1.0, 0.95);
    assert!((count.low - 1.6235).abs() < 1e-4 && (count.high - 11.6683).abs() < 1e-4, "{count:?}");
    let nothing = weighted_poisson(&[], 10.0, 0.95);
    assert!(nothing.low == 0.0 && (nothing.high - 36.8888).abs() < 1e-3, "{nothing:?}");
    let mut rng = rng(11);
    for _ in 0..2_000 {
        let n = rng.random_range(1..5_000_usize);
        let hits = rng.random_range(0..n);
        let confidence = rng.random_range(0.5..0.9999);
        let upper = clopper_pearson_upper(hits, n, confidence);
        let back = Beta::new(hits as f64 + 1.0, (n - hits) as f64).unwrap().cdf(upper);
        assert!((back - confidence).abs() < 1e-6, "{hits} of {n} at {confidence}: {back}");
    }
}

#[test]
fn intervals_cover_the_truth_as_often_as_they_say() {
    let mut rng = rng(12);
    let (rounds, n, p) = (4_000, 120, 0.07);
    let (mut by_exact, mut by_score) = (0, 0);
    for _ in 0..rounds {
        let hits = (0..n).filter(|_| rng.random::<f64>() < p).count();
        by_exact += usize::from(clopper_pearson(hits, n, 0.95).contains(p));
        by_score += usize::from(wilson(hits, n, 0.95).contains(p));
    }
    let share = |kept: usize| kept as f64 / f64::from(rounds);
    assert!(share(by_exact) >= 0.94, "{}", share(by_exact));
    assert!((0.92..=0.98).contains(&share(by_score)), "{}", share(by_score));
}
