//! The store stays within its bounds, and stays right while it forgets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Barrier;

use common::{DAY, fraud, id, paid, store, transaction};
use prometheus::Registry;
use proptest::prelude::*;
use serde_json::json;
use velocity::{Config, LabelEffect, VelocityStore};

fn value(registry: &Registry, name: &str, kind: Option<&str>) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name).unwrap();
    let series = family.get_metric().iter().find(|metric| {
        kind.is_none_or(|kind| metric.get_label().iter().any(|label| label.value() == kind))
    });
    let series = series.unwrap();
    series.get_gauge().get_value() + series.get_counter().get_value()
}

const KINDS: [&str; 5] = ["account", "card", "device", "counterparty", "terminal"];

fn measured(config: Config) -> (Registry, VelocityStore) {
    let registry = Registry::new();
    let store = VelocityStore::new(config, &registry).unwrap();
    (registry, store)
}

fn entities(registry: &Registry) -> f64 {
    KINDS.iter().map(|kind| value(registry, "weir_velocity_entities", Some(kind))).sum()
}

#[test]
fn every_series_is_there_from_the_start() {
    let (registry, store) = measured(Config::default());
    assert_eq!(entities(&registry), 0.0);
    for kind in KINDS {
        assert_eq!(value(&registry, "weir_velocity_evictions_total", Some(kind)), 0.0);
    }
    assert_eq!(value(&registry, "weir_velocity_dropped_events_total", None), 0.0);
    assert!(VelocityStore::new(Config::default(), &registry).is_err(), "registered twice");
    drop(store);
}

#[test]
fn a_busy_entity_keeps_its_latest_transactions() {
    let (registry, store) = measured(Config { max_events_per_entity: 3, ..Config::default() });
    for n in 0..5 {
        store.observe(&paid(&format!("tx-{n}"), n, "1", &format!("shop-{n}")));
    }
    let facts = store.peek(&paid("now", 5, "1", "shop-0"));
    assert_eq!((facts.account.h1.count, facts.recent.len()), (3, 3));
    assert_eq!(facts.novelty.counterparty_new, Some(true), "crowded out");
    assert_eq!(value(&registry, "weir_velocity_dropped_events_total", None), 2.0);
}

#[test]
fn what_comes_too_late_is_dropped_and_reported() {
    let (registry, store) = measured(Config { lateness_hours: 24, ..Config::default() });
    store.observe(&paid("a", 40 * DAY, "1", "shop"));
    store.observe(&paid("in-time", 9 * DAY + 1, "1", "shop"));
    assert_eq!(value(&registry, "weir_velocity_dropped_events_total", None), 0.0);
    store.observe(&paid("late", 9 * DAY, "1", "shop"));
    assert_eq!(value(&registry, "weir_velocity_dropped_events_total", None), 2.0);
    let facts = store.peek(&paid("x", 10 * DAY, "1", "shop"));
    assert_eq!(facts.account.d30.count, 1);
}

#[test]
fn the_longest_idle_leave_first_and_start_anew() {
    let (registry, store) = measured(Config { max_entities: 8, ..Config::default() });
    let pay = |name: &str, account: &str, second: i64| {
        store.observe(&transaction(name, second, "1", json!({"account": {"id": account}})))
    };
    for n in 0..8 {
        pay(&format!("old-{n}"), &format!("acc-{n}"), n);
    }
    pay("again", "acc-0", 100);
    pay("one-more", "acc-8", 101);
    assert_eq!(entities(&registry), 8.0);
    assert_eq!(value(&registry, "weir_velocity_evictions_total", Some("account")), 1.0);
    assert_eq!(store.label(&id("old-1"), &fraud(102)), LabelEffect::Applied);
    let forgotten = pay("b", "acc-1", 103).account;
    assert_eq!((forgotten.d30.count, forgotten.days_known), (0, None));
    assert_eq!(forgotten.confirmed_fraud.total, 0);
    assert_eq!(pay("c", "acc-0", 104).account.d30.count, 2, "it was not idle");
}

#[test]
fn events_are_bounded_over_all_entities() {
    let config = Config { max_events: 100, ..Config::default() };
    let (registry, store) = measured(config);
    for n in 0..1000 {
        let more = json!({"account": {"id": format!("acc-{}", n / 10)}});
        store.observe(&transaction(&format!("tx-{n}"), n, "1", more));
    }
    assert_eq!(entities(&registry), 10.0);
    let last = store.peek(&transaction("x", 1000, "1", json!({"account": {"id": "acc-99"}})));
    assert_eq!(last.account.d30.count, 10);
}

#[test]
fn transactions_are_forgotten_by_age_and_number() {
    let config = Config { label_horizon_days: 10, max_transactions: 5, ..Config::default() };
    let store = store(config);
    for n in 0..6 {
        store.observe(&paid(&format!("tx-{n}"), n, "1", "shop"));
    }
    assert_eq!(store.label(&id("tx-0"), &fraud(9)), LabelEffect::UnknownTransaction);
    assert_eq!(store.label(&id("tx-1"), &fraud(9)), LabelEffect::Applied);
    for n in 0..2 {
        store.observe(&paid(&format!("new-{n}"), 11 * DAY, "1", "shop"));
    }
    assert_eq!(store.label(&id("tx-5"), &fraud(9)), LabelEffect::UnknownTransaction);
    let facts = store.peek(&paid("x", 11 * DAY, "1", "shop"));
    assert_eq!(facts.account.confirmed_fraud.total, 1, "the label itself stays");
}

#[test]
fn frauds_too_many_to_be_dated_still_count() {
    let store = store(Config { max_frauds_per_entity: 2, ..Config::default() });
    for n in 0..4 {
        store.observe(&paid(&format!("tx-{n}"), n, "1", "shop"));
        store.label(&id(&format!("tx-{n}")), &fraud(n + 10));
    }
    let fraud_facts = || store.peek(&paid("x", DAY, "1", "shop")).account.confirmed_fraud;
    assert_eq!((fraud_facts().d30, fraud_facts().total), (2, 4));
    store.label(&id("tx-0"), &fraud(1));
    assert_eq!((fraud_facts().d30, fraud_facts().total), (2, 4), "known earlier, counted once");
    let reversal = domain::Label { reversed: true, ..fraud(20) };
    store.label(&id("tx-0"), &reversal);
    assert_eq!((fraud_facts().d30, fraud_facts().total), (2, 3));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_number_of_entities_stays_bounded(
        max_entities in 1_usize..40,
        names in prop::collection::vec((0_u8..60, 0_u8..60), 1..200),
    ) {
        let (registry, store) = measured(Config { max_entities, ..Config::default() });
        let (registry_again, store_again) = measured(Config { max_entities, ..Config::default() });
        for (n, (account, shop)) in names.into_iter().enumerate() {
            let more = json!({"account": {"id": format!("a{account}")}, "counterparty": {"id": format!("s{shop}")}});
            let next = transaction(&format!("tx-{n}"), n as i64, "1", more);
            prop_assert_eq!(store.observe(&next), store_again.observe(&next));
            prop_assert!(entities(&registry) <= max_entities as f64);
        }
        prop_assert_eq!(entities(&registry), entities(&registry_again));
    }
}

#[test]
fn threads_lose_and_double_nothing() {
    let (registry, store) = measured(Config::default());
    let (threads, each) = (8, 200);
    let barrier = Barrier::new(threads);
    let send = |name: String, n: usize| {
        let more = json!({"account": {"id": format!("acc-{}", n % 3)}, "counterparty": {"id": "shop"},
            "device": {"id": format!("dev-{}", n % 5)}, "terminal": {"id": format!("till-{}", n % 2)}});
        store.observe(&transaction(&name, (n % 50) as i64, "1", more));
        if n.is_multiple_of(10) {
            store.label(&id(&name), &fraud(60));
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (barrier, send) = (&barrier, &send);
            scope.spawn(move || {
                barrier.wait();
                for n in 0..each {
                    send(format!("own-{thread}-{n}"), n);
                    send(format!("same-{n}"), n);
                }
            });
        }
    });
    let shop = store.peek(&paid("x", 100, "1", "shop")).counterparty.unwrap();
    let expected = ((threads + 1) * each) as u32;
    assert_eq!((shop.h1.count, shop.h1.sum), (expected, f64::from(expected)));
    assert_eq!((shop.h1.distinct_peers, shop.confirmed_fraud.total), (3, expected / 10));
    assert_eq!(entities(&registry), (3 + 1 + 5 + 2) as f64);
}

#[test]
fn threads_that_crowd_each_other_out_finish_within_bounds() {
    let (registry, store) = measured(Config { max_entities: 20, ..Config::default() });
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..300 {
                    let more = json!({"account": {"id": format!("acc-{}", (n * 7 + thread) % 90)},
                        "counterparty": {"id": format!("shop-{}", n % 70)}});
                    store.observe(&transaction(&format!("{thread}-{n}"), n, "1", more));
                }
            });
        }
    });
    // Alone again, one call brings the rest back under the bound.
    store.observe(&paid("x", 1000, "1", "shop"));
    assert!(entities(&registry) <= 20.0);
}
