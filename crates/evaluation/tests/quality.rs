//! The honest estimates against the naive ones, on traffic whose truth is known.

#![allow(clippy::unwrap_used)]

mod common;

use common::rng;
use evaluation::{
    LabelSeen, Maturity, QualityConfig, Unlabelled, Watched, delay_quantiles, quality,
};
use jiff::{SignedDuration, Timestamp, ToSpan};
use rand::RngExt;

const AUDIT: f64 = 0.1;

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// 90 days of traffic: 2 % fraud, of which `caught` is flagged. Of cleared fraud the holder
/// reports 40 %, with a mean delay of 10 days; the audit finds all that it draws.
fn traffic(seed: u64, n: i64, caught: f64) -> (Vec<Watched>, f64) {
    let mut rng = rng(seed);
    let (mut found, mut frauds) = (0.0, 0.0);
    let watched = (0..n)
        .map(|i| {
            let decided_at = start() + (90 * 86_400 * i / n).seconds();
            let fraud = rng.random::<f64>() < 0.02;
            let flagged = rng.random::<f64>() < if fraud { caught } else { 0.01 };
            let audited = (!flagged && rng.random::<f64>() < AUDIT).then_some(AUDIT);
            let delay = -10.0 * 86_400.0 * (1.0 - rng.random::<f64>()).ln();
            let at = decided_at + (delay as i64).seconds();
            let reported = rng.random::<f64>() < 0.4;
            let known = flagged || audited.is_some() || (fraud && reported);
            frauds += f64::from(u8::from(fraud));
            found += f64::from(u8::from(fraud && flagged));
            Watched {
                times: 1,
                decided_at,
                flagged,
                audited,
                beyond_audit: false,
                label: known.then_some(LabelSeen { fraud, at }),
            }
        })
        .collect();
    (watched, found / frauds)
}

fn config() -> QualityConfig {
    let maturity = Maturity::Age(SignedDuration::from_hours(60 * 24));
    QualityConfig { maturity, ..QualityConfig::default() }
}

#[test]
fn recall_by_the_audit_is_honest_where_reported_labels_flatter() {
    let now = start() + (150 * 24).hours();
    let (mut covered, mut honest, mut naive) = (0, 0.0, 0.0);
    let rounds = 300;
    for seed in 0..rounds {
        let (watched, truth) = traffic(seed, 6_000, 0.6);
        let quality = quality(&watched, now, &config()).unwrap();
        let recall = quality.recall.unwrap();
        covered += usize::from(recall.interval.contains(truth));
        honest += recall.value - truth;
        naive += quality.naive_recall.unwrap() - truth;
    }
    let rounds = rounds as f64;
    assert!((honest / rounds).abs() < 0.04, "{}", honest / rounds);
    assert!(naive / rounds > 0.12, "{}", naive / rounds);
    assert!(covered as f64 / rounds >= 0.93, "{}", covered as f64 / rounds);
}

#[test]
fn counting_young_decisions_would_flatter_and_they_are_left_out() {
    let (watched, truth) = traffic(401, 60_000, 0.6);
    let now = start() + (90 * 24).hours();
    let patient = QualityConfig {
        maturity: Maturity::Age(SignedDuration::from_hours(45 * 24)),
        ..QualityConfig::default()
    };
    let hasty = QualityConfig { maturity: Maturity::Age(SignedDuration::ZERO), ..patient };
    let (patient, hasty) =
        (quality(&watched, now, &patient).unwrap(), quality(&watched, now, &hasty).unwrap());
    assert!((29_000..31_000).contains(&patient.immature) && hasty.immature == 0, "{patient:?}");
    assert!(patient.recall.unwrap().interval.contains(truth), "{patient:?} {truth}");
    // Unlabelled audited decisions are taken for legitimate, which young ones are not yet.
    assert!(hasty.missed.unwrap().value < 0.95 * 60_000.0 * 0.02 * 0.4);
}

#[test]
fn an_audit_that_found_nothing_still_leaves_room_for_missed_fraud() {
    let decision = |flagged, audited, fraud| Watched {
        times: 1,
        decided_at: start(),
        flagged,
        audited,
        beyond_audit: false,
        label: Some(LabelSeen { fraud, at: start() + 1.hours() }),
    };
    let mut watched = vec![decision(true, None, true); 10];
    watched.extend(vec![decision(false, Some(0.05), false); 20]);
    let now = start() + (100 * 24).hours();
    let known = quality(&watched, now, &config()).unwrap();
    let recall = known.recall.unwrap();
    assert_eq!(recall.value, 1.0);
    // No event in the draw: up to 3.69 at 95 %, each standing for 20.
    assert!((recall.interval.low - 10.0 / (10.0 + 20.0 * 3.6889)).abs() < 1e-3, "{recall:?}");
    let blind = quality(&watched[..10], now, &config()).unwrap();
    assert_eq!((blind.recall, blind.naive_recall), (None, Some(1.0)));
}

#[test]
fn flagged_decisions_without_a_label_are_left_out_and_bounded() {
    let decision = |label: Option<bool>| Watched {
        times: 1,
        decided_at: start(),
        flagged: true,
        audited: None,
        beyond_audit: false,
        label: label.map(|fraud| LabelSeen { fraud, at: start() + 1.hours() }),
    };
    let mut watched = vec![decision(Some(true)); 30];
    watched.extend(vec![decision(Some(false)); 30]);
    watched.extend(vec![decision(None); 40]);
    let now = start() + (100 * 24).hours();
    let out = quality(&watched, now, &config()).unwrap();
    assert_eq!(out.precision.unwrap().value, 0.5);
    let bounds = out.precision_bounds.unwrap();
    assert_eq!((bounds.low, bounds.high, out.flagged_unlabelled), (0.3, 0.7, 40));
    let silent = QualityConfig { flagged_unlabelled: Unlabelled::Legitimate, ..config() };
    assert_eq!(quality(&watched, now, &silent).unwrap().precision.unwrap().value, 0.3);
}

#[test]
fn label_delays_are_corrected_for_labels_still_to_come() {
    let now = start() + (60 * 24).hours();
    let mut rng = rng(51);
    let watched: Vec<_> = (0..40_000)
        .map(|i| {
            // Most decisions are young, as in a service that grows.
            let age = 60.0 * 86_400.0 * rng.random::<f64>().powi(2);
            let decided_at = now - (age as i64).seconds();
            let delay = -10.0 * 86_400.0 * (1.0 - rng.random::<f64>()).ln();
            let at = decided_at + (delay as i64).seconds();
            Watched {
                times: 1,
                decided_at,
                flagged: i % 2 == 0,
                audited: None,
                beyond_audit: false,
                label: Some(LabelSeen { fraud: true, at }),
            }
        })
        .collect();
    let mut plain: Vec<f64> = watched
        .iter()
        .filter_map(|w| w.label.filter(|l| l.at <= now).map(|l| (l, w)))
        .map(|(label, w)| label.at.duration_since(w.decided_at).as_secs_f64() / 86_400.0)
        .collect();
    plain.sort_by(f64::total_cmp);
    // Truth: exponential with mean 10 days, of which the oldest decision's 60 days show 99.8 %.
    let truth = -10.0 * (1.0 - 0.9 * (1.0 - (-6.0_f64).exp())).ln();
    let naive = plain[plain.len() * 9 / 10];
    let corrected = delay_quantiles(&watched, now).unwrap().p90 / 86_400.0;
    assert!(naive < 0.8 * truth, "{naive} {truth}");
    assert!((corrected / truth - 1.0).abs() < 0.1, "{corrected} {truth}");
    assert_eq!(delay_quantiles(&[], now), None);
}

#[test]
fn maturity_follows_the_delays_once_there_are_enough_labels() {
    let (watched, _) = traffic(402, 30_000, 0.6);
    let now = start() + (150 * 24).hours();
    let measured = quality(&watched, now, &QualityConfig::default()).unwrap();
    let days = measured.maturity_seconds / 86_400.0;
    assert!((20.0..26.0).contains(&days), "{days}");
    let few = quality(&watched[..100], now, &QualityConfig::default()).unwrap();
    assert_eq!(few.maturity_seconds, 60.0 * 86_400.0);
}

#[test]
fn labels_from_the_future_and_impossible_chances_are_not_used() {
    let decision = Watched {
        times: 1,
        decided_at: start(),
        flagged: true,
        audited: None,
        beyond_audit: false,
        label: Some(LabelSeen { fraud: true, at: start() + (200 * 24).hours() }),
    };
    let seen = quality(&[decision], start() + (100 * 24).hours(), &config()).unwrap();
    assert_eq!((seen.flagged, seen.flagged_unlabelled, seen.precision), (1, 1, None));
    let certain = Watched { audited: Some(1.5), ..decision };
    assert!(quality(&[certain], start(), &config()).is_err());
}

#[test]
fn decisions_that_are_alike_may_be_told_as_one() {
    let (watched, _) = traffic(77, 20_000, 0.6);
    let now = start() + (150 * 24).hours();
    let apart = quality(&watched, now, &config()).unwrap();
    let mut together: Vec<Watched> = Vec::new();
    for one in watched {
        // Unlabelled ones are alike whenever they were decided, as long as all are mature.
        let one = Watched {
            decided_at: if one.label.is_none() { start() } else { one.decided_at },
            ..one
        };
        let same = together.iter_mut().find(|other| Watched { times: 1, ..**other } == one);
        match same {
            Some(same) => same.times += 1,
            None => together.push(one),
        }
    }
    assert!(together.len() < 3_000);
    let together = quality(&together, now, &config()).unwrap();
    assert_eq!((together.mature, together.flagged), (apart.mature, apart.flagged));
    assert_eq!((together.precision, together.recall), (apart.precision, apart.recall));
    assert_eq!(together.delays, apart.delays);
}

#[test]
fn fraud_that_was_cleared_beyond_the_audit_is_missed_once_for_each_report() {
    let decision = |flagged, audited: Option<f64>, fraud: Option<bool>| Watched {
        times: 1,
        decided_at: start(),
        flagged,
        audited,
        beyond_audit: !flagged && audited.is_none(),
        label: fraud.map(|fraud| LabelSeen { fraud, at: start() + 1.hours() }),
    };
    let now = start() + (100 * 24).hours();
    let mut watched = vec![decision(true, None, Some(true)); 10];
    watched.extend(vec![decision(false, Some(0.5), Some(false)); 20]);
    let without = quality(&watched, now, &config()).unwrap();
    watched.extend(vec![decision(false, None, Some(true)); 10]);
    watched.push(Watched { times: 70, ..decision(false, None, None) });
    let with = quality(&watched, now, &config()).unwrap();
    assert_eq!((with.beyond_audit, with.beyond_audit_fraud), (80, 10));
    assert_eq!((without.recall.unwrap().value, with.recall.unwrap().value), (1.0, 0.5));
    let (without, with) = (without.missed.unwrap(), with.missed.unwrap());
    assert_eq!(with.value, 10.0);
    assert_eq!(with.interval.low, 10.0);
    assert_eq!(with.interval.high, without.interval.high + 10.0);
}

#[test]
fn quick_labels_of_flagged_decisions_do_not_make_cleared_ones_mature() {
    let now = start() + (80 * 24).hours();
    let decision = |day: i64, flagged: bool, delay: i64| {
        let decided_at = start() + (24 * day).hours();
        Watched {
            times: 1,
            decided_at,
            flagged,
            audited: (!flagged).then_some(0.1),
            beyond_audit: false,
            label: Some(LabelSeen { fraud: true, at: decided_at + delay.hours() }),
        }
    };
    let config = QualityConfig::default();
    let maturity_days =
        |watched: &[Watched]| quality(watched, now, &config).unwrap().maturity_seconds / 86_400.0;
    let mut watched: Vec<_> = (0..80).map(|day| decision(day, true, 1)).collect();
    assert!(maturity_days(&watched) < 1.0);
    watched.push(decision(3, false, 30 * 24));
    assert_eq!(maturity_days(&watched), 60.0, "one label tells nothing of cleared ones");
    watched.extend((0..50).map(|day| decision(day, false, 30 * 24)));
    assert_eq!(maturity_days(&watched), 30.0);
}
