//! Drift is seen where there is some, and seldom where there is none.

#![allow(clippy::unwrap_used)]

mod common;

use common::{normal, rng};
use evaluation::{
    Drift, DriftBand, DriftConfig, EvaluationError, Reference, ReferenceBuilder, psi,
};
use jiff::{SignedDuration, Timestamp, ToSpan};
use rand::RngExt;

const NAMES: [&str; 2] = ["amount", "count"];

fn count(rng: &mut impl RngExt) -> f64 {
    if rng.random::<f64>() < 0.8 { 0.0 } else { f64::from(rng.random_range(1..6_u8)) }
}

fn reference(n: usize, seed: u64) -> Reference {
    let mut rng = rng(seed);
    let mut builder = ReferenceBuilder::new(&NAMES);
    for n in 0..n {
        let amount = normal(&mut rng).exp();
        let amount = (n % 10 != 0).then_some(amount);
        builder.add(rng.random(), [amount, Some(count(&mut rng))]);
    }
    builder.build().unwrap()
}

fn day(n: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + (24 * n).hours()
}

#[test]
fn chance_alone_passes_its_own_quantiles_as_often_as_it_should() {
    let mut rng = rng(31);
    let (rounds, n, m, bins) = (3_000, 5_000, 1_000, 10);
    let (mut above_95, mut above_99) = (0, 0);
    let mut draw = |size: usize| {
        let mut counts = vec![0_u64; bins];
        for _ in 0..size {
            counts[rng.random_range(0..bins)] += 1;
        }
        counts
    };
    for _ in 0..rounds {
        let shift = psi(&draw(n), &draw(m)).unwrap();
        above_95 += usize::from(shift.psi > shift.chance_95);
        above_99 += usize::from(shift.psi > shift.chance_99);
    }
    let (p5, p1) = (above_95 as f64 / f64::from(rounds), above_99 as f64 / f64::from(rounds));
    assert!((0.035..0.065).contains(&p5), "{p5}");
    assert!((0.004..0.018).contains(&p1), "{p1}");
}

#[test]
fn the_customary_limits_mislead_on_few_and_on_many_observations() {
    // 60 observations pass 0.1 by chance; among 100000 even 0.01 is drift.
    let few = psi(&[1_000; 10], &[2, 9, 5, 7, 4, 8, 6, 3, 9, 7]).unwrap();
    assert!(few.psi > 0.1 && few.band(0.01) == DriftBand::Steady, "{few:?}");
    let many = psi(
        &[10_000; 10],
        &[9_000, 11_000, 9_000, 11_000, 9_000, 11_000, 9_000, 11_000, 9_000, 11_000],
    )
    .unwrap();
    assert!(many.psi < 0.1 && many.band(0.01) == DriftBand::Slight, "{many:?}");
    let gross = psi(&[1_000, 1_000], &[1_000, 10]).unwrap();
    assert_eq!(gross.band(0.01), DriftBand::Major);
    assert_eq!((psi(&[1, 2], &[0, 0]), psi(&[0, 0], &[1, 2])), (None, None));
}

#[test]
fn a_reference_survives_its_document_and_a_damaged_one_is_refused() {
    let reference = reference(3_000, 32);
    assert_eq!(reference.observations(), 3_000);
    let json = serde_json::to_string(&reference).unwrap();
    assert_eq!(
        serde_json::from_str::<Reference>(&json).unwrap().features[1],
        reference.features[1]
    );
    for (from, to) in [
        ("\"format\":1", "\"format\":2"),
        ("\"edges\":[", "\"edges\":[9e9,"),
        ("\"count\"", "\"amount\""),
    ] {
        let bad = json.replacen(from, to, 1);
        assert_ne!(bad, json);
        assert!(serde_json::from_str::<Reference>(&bad).is_err(), "{from} -> {to}");
    }
}

#[test]
fn equal_values_share_a_bin_and_missing_ones_have_their_own() {
    let reference = reference(5_000, 33);
    let (amount, zeros) = (&reference.features[0], &reference.features[1]);
    assert_eq!((amount.missing, amount.counts.len()), (500, 10));
    assert!((3_900..4_100).contains(&zeros.counts[0]) && zeros.edges[0] == 0.5, "{zeros:?}");
    assert_eq!(
        (zeros.bin(Some(0.0)), zeros.bin(Some(1.0)), zeros.bin(None)),
        (0, 1, zeros.counts.len())
    );
    let mut constant = ReferenceBuilder::new(&["x"]);
    (0..10).for_each(|_| constant.add(0.5, [Some(3.0)]));
    let constant = constant.build().unwrap();
    assert_eq!(constant.features[0].counts, [10, 0]);
    let mut rare = ReferenceBuilder::new(&["low", "high"]);
    (0..100).for_each(|n| {
        let odd = f64::from(u8::from(n % 20 == 0));
        rare.add(0.5, [Some(1.0 - odd), Some(odd)]);
    });
    let rare = rare.build().unwrap();
    assert_eq!((&rare.features[0].counts, &rare.features[1].counts), (&vec![5, 95], &vec![95, 5]));
    assert_eq!(ReferenceBuilder::new(&[]).build(), Err(EvaluationError::Empty));
}

#[test]
fn a_monitor_stays_calm_and_then_sees_the_feature_that_moved() {
    let mut rng = rng(34);
    let mut drift = Drift::new(reference(20_000, 35), DriftConfig::default()).unwrap();
    assert!(drift.readings(day(0)).iter().all(|reading| reading.band == DriftBand::TooFew));
    for n in 0..14 {
        // From day 7 on amounts double; counts and scores stay as they were.
        let factor = if n < 7 { 1.0 } else { 2.0 };
        for i in 0..300 {
            let amount = (i % 10 != 0).then(|| factor * normal(&mut rng).exp());
            let features =
                [("count", Some(count(&mut rng))), ("amount", amount), ("new", Some(1.0))];
            drift.observe(rng.random(), features, day(n));
        }
        let bands: Vec<_> = drift.readings(day(n)).iter().map(|reading| reading.band).collect();
        if (2..7).contains(&n) {
            assert_eq!(bands, [DriftBand::Steady; 3], "day {n}");
        }
        if n == 13 {
            assert_eq!((bands[0], bands[2]), (DriftBand::Steady, DriftBand::Steady));
            assert_eq!(bands[1], DriftBand::Major);
        }
    }
}

#[test]
fn the_window_slides_with_event_time_and_holds_no_more_than_its_panes() {
    let config = DriftConfig { min_observations: 1, ..DriftConfig::default() };
    let mut drift = Drift::new(reference(1_000, 36), config).unwrap();
    let seen = |drift: &Drift, n| drift.readings(day(n))[0].shift.map_or(0, |s| s.observations);
    for n in 0..100 {
        drift.observe(0.5, [], day(n));
    }
    assert_eq!(seen(&drift, 99), 7);
    drift.observe(0.5, [], day(95));
    assert_eq!(seen(&drift, 99), 8);
    // Later than the window reaches back: passed over. The window moves on without traffic.
    drift.observe(0.5, [], day(50));
    assert_eq!((seen(&drift, 99), seen(&drift, 102), seen(&drift, 120)), (8, 4, 0));
    for n in (0..1_000).rev() {
        drift.observe(0.5, [], day(100 + n));
    }
    assert_eq!(seen(&drift, 1_099), 7);
}

#[test]
fn settings_without_sense_are_refused() {
    let base = DriftConfig::default();
    for config in [
        DriftConfig { panes: 0, ..base },
        DriftConfig { window: SignedDuration::ZERO, ..base },
        DriftConfig { window: SignedDuration::from_secs(-1), ..base },
        DriftConfig { significance: 0.0, ..base },
    ] {
        assert!(Drift::new(reference(100, 37), config).is_err(), "{config:?}");
    }
}
