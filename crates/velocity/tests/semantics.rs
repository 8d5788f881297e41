//! What the facts mean, one sentence at a time.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{DAY, HOUR, fraud, id, label, paid, store, transaction};
use domain::TruthLabel;
use serde_json::json;
use velocity::{Config, FraudFacts, LabelEffect, VelocityFacts};

#[test]
fn a_window_excludes_its_start_and_the_transaction_itself() {
    let store = store(Config::default());
    for (name, second) in [("edge", 0), ("inside", 1)] {
        store.observe(&paid(name, second, "10", "shop"));
    }
    let facts = store.observe(&paid("now", HOUR, "10", "shop"));
    assert_eq!((facts.account.h1.count, facts.account.h24.count), (1, 2));
    assert_eq!((facts.account.h1.sum, facts.account.h24.sum), (10.0, 20.0));
}

#[test]
fn a_tie_that_arrived_earlier_is_counted() {
    let store = store(Config::default());
    assert_eq!(store.observe(&paid("a", 5, "1", "shop")).account.h1.count, 0);
    let facts = store.observe(&paid("b", 5, "1", "shop"));
    assert_eq!((facts.account.h1.count, facts.account.seconds_since_last), (1, Some(0)));
}

#[test]
fn a_late_transaction_does_not_see_what_happened_after_it() {
    let store = store(Config::default());
    store.observe(&paid("a", 0, "1", "shop"));
    store.observe(&paid("c", 2 * HOUR, "4", "shop"));
    let late = store.observe(&paid("b", HOUR / 2, "2", "shop"));
    assert_eq!((late.account.d30.count, late.account.d30.sum), (1, 1.0));
    let next = store.observe(&paid("d", 2 * HOUR, "8", "shop"));
    assert_eq!((next.account.d30.count, next.account.d30.sum), (3, 7.0));
    let amounts: Vec<f64> = next.recent.iter().map(|recent| recent.amount).collect();
    assert_eq!(amounts, [4.0, 2.0, 1.0], "the late one is in its place");
}

#[test]
fn a_repeated_transaction_gets_its_first_facts_and_is_counted_once() {
    let store = store(Config::default());
    store.observe(&paid("a", 0, "3", "shop"));
    let second = paid("b", 60, "5", "other");
    let first_facts = store.observe(&second);
    assert_eq!(store.observe(&second), first_facts);
    assert_eq!(store.peek(&second), first_facts);
    let facts = store.observe(&paid("c", 120, "1", "shop"));
    assert_eq!((facts.account.h1.count, facts.account.h1.sum), (2, 8.0));
}

#[test]
fn looking_counts_nothing() {
    let store = store(Config::default());
    let first = paid("a", 0, "3", "shop");
    assert_eq!(store.peek(&first), store.peek(&first));
    assert_eq!(store.observe(&first).account.d30.count, 0);
    assert_eq!(store.label(&id("never-observed"), &fraud(0)), LabelEffect::UnknownTransaction);
}

#[test]
fn cents_add_up_exactly() {
    let store = store(Config::default());
    for n in 0..10 {
        store.observe(&paid(&format!("tx-{n}"), n, "0.10", "shop"));
    }
    let facts = store.peek(&paid("now", 10, "0.20", "shop"));
    assert_eq!((facts.account.h1.sum, facts.account.h1.mean), (1.0, 0.1));
    assert_eq!((facts.account.amount_ratio, facts.account.amount_deviation), (Some(2.0), None));
}

#[test]
fn the_deviation_counts_standard_deviations_above_the_mean() {
    let store = store(Config::default());
    for (n, amount) in ["2", "4", "4", "4", "5", "5", "7", "9"].into_iter().enumerate() {
        store.observe(&paid(&format!("tx-{n}"), n as i64, amount, "shop"));
    }
    let facts = store.peek(&paid("now", 100, "11", "shop"));
    assert_eq!(facts.account.amount_deviation, Some(3.0), "mean 5, standard deviation 2");
}

#[test]
fn the_largest_amounts_keep_their_sums_exact() {
    let store = store(Config::default());
    for n in 0..100 {
        store.observe(&paid(&format!("tx-{n}"), n, "1000000000000", "shop"));
    }
    let facts = store.peek(&paid("now", 100, "0.01", "shop"));
    assert_eq!((facts.account.h1.sum, facts.account.h1.max), (1e14, 1e12));
    assert_eq!(facts.account.amount_deviation, None, "all of them were equal");
}

#[test]
fn peers_are_counterparties_of_an_account_and_accounts_of_a_counterparty() {
    let store = store(Config::default());
    for (n, (account, shop)) in
        [("x", "s1"), ("x", "s2"), ("y", "s1"), ("x", "s1")].into_iter().enumerate()
    {
        let more = json!({"account": {"id": account}, "counterparty": {"id": shop}});
        store.observe(&transaction(&format!("tx-{n}"), n as i64, "1", more));
    }
    let more = json!({"account": {"id": "x"}, "counterparty": {"id": "s1"}});
    let facts = store.peek(&transaction("now", 10, "1", more));
    assert_eq!((facts.account.h1.count, facts.account.h1.distinct_peers), (3, 2));
    let shop = facts.counterparty.unwrap();
    assert_eq!((shop.h1.count, shop.h1.distinct_peers), (3, 2));
    assert_eq!((facts.card, facts.terminal), (None, None));
}

#[test]
fn payers_are_first_timers_only_without_an_earlier_payment_within_thirty_days() {
    let store = store(Config::default());
    let pay = |name: &str, account: &str, second: i64| {
        let more = json!({"account": {"id": account}, "counterparty": {"id": "shop"}});
        store.observe(&transaction(name, second, "1", more)).novelty.first_time_payers_d7
    };
    pay("a", "old", 0);
    pay("b", "old", 10 * DAY);
    pay("c", "new", 10 * DAY + 1);
    assert_eq!(pay("d", "new", 10 * DAY + 2), Some(1));
    assert_eq!(pay("e", "newer", 18 * DAY), Some(0));
}

#[test]
fn a_country_is_known_once_it_occurred_in_either_role() {
    let store = store(Config::default());
    let seen = |name: &str, second: i64, shop: &str, network: &str| {
        let more = json!({
            "counterparty": {"id": "shop", "country": shop},
            "device": {"ip_country": network},
        });
        store.observe(&transaction(name, second, "1", more)).novelty.country_new
    };
    assert_eq!(seen("a", 0, "DE", "FR"), Some(true));
    assert_eq!(seen("b", 1, "FR", "DE"), Some(false));
    assert_eq!(seen("c", 2, "DE", "NL"), Some(true));
    assert_eq!(seen("d", 31 * DAY, "DE", "DE"), Some(true), "forgotten after thirty days");
    let without = store.observe(&paid("e", 31 * DAY, "1", "shop"));
    assert_eq!(without.novelty.country_new, None);
}

#[test]
fn habits_count_small_amounts_refunds_and_devices() {
    let store = store(Config::default());
    let more = json!({"type": "refund", "device": {"id": "phone"}, "terminal": {"id": "till"}});
    store.observe(&transaction("a", 0, "4.9999", more.clone()));
    store.observe(&transaction("b", 1, "5", more.clone()));
    let novelty = store.observe(&transaction("c", 2, "5", more)).novelty;
    assert_eq!((novelty.small_h1, novelty.refunds_d30), (1, 2));
    assert_eq!((novelty.device_count_d30, novelty.device_new), (Some(2), Some(false)));
    assert_eq!((novelty.terminal_new, novelty.counterparty_new), (Some(false), None));
}

#[test]
fn the_latest_six_are_listed_newest_first_with_short_names() {
    let store = store(Config::default());
    for n in 0..8 {
        let name = "Ünïted Überlong Traders of Somewhere";
        let more = json!({"counterparty": {"id": format!("s{}", n / 2), "name": name, "mcc": "0742", "country": "NL"},
            "type": "card_payment", "channel": "pos", "currency": "SEK"});
        store.observe(&transaction(&format!("tx-{n}"), n, "1", more));
    }
    let recent = store.peek(&paid("now", 10, "1", "shop")).recent;
    assert_eq!(recent.len(), VelocityFacts::RECENT_MAX);
    assert_eq!(
        serde_json::to_value(&recent[0]).unwrap(),
        json!({"seconds_ago": 3, "amount": 1.0, "currency": "SEK", "kind": "card_payment",
            "channel": "pos", "counterparty_name": "Ünïted Überlong Traders ", "mcc": "0742",
            "country": "NL", "counterparty_new": false})
    );
    assert!(recent[1].counterparty_new);
}

#[test]
fn facts_survive_json() {
    let store = store(Config::default());
    for n in 0..5 {
        store.observe(&paid(&format!("tx-{n}"), n * 997, &format!("{}.37", n + 1), "shop"));
    }
    store.label(&id("tx-1"), &fraud(5_000));
    let facts = store.peek(&paid("now", 5_001, "3.33", "shop"));
    let text = serde_json::to_string(&facts).unwrap();
    assert_eq!(serde_json::from_str::<VelocityFacts>(&text).unwrap(), facts);
}

#[test]
fn days_known_survive_the_windows() {
    let store = store(Config::default());
    store.observe(&paid("a", 0, "1", "shop"));
    store.observe(&paid("b", 90 * DAY, "1", "shop"));
    let facts = store.observe(&paid("c", 100 * DAY, "1", "shop"));
    assert_eq!((facts.account.days_known, facts.account.d30.count), (Some(100.0), 1));
}

#[test]
fn fraud_counts_from_the_day_it_was_known() {
    let store = store(Config::default());
    store.observe(&paid("a", 0, "1", "shop"));
    assert_eq!(store.label(&id("a"), &fraud(10 * DAY)), LabelEffect::Applied);
    let before = store.peek(&paid("x", 10 * DAY - 1, "1", "shop"));
    assert_eq!(before.account.confirmed_fraud.total, 0);
    let after = store.peek(&paid("x", 10 * DAY, "1", "shop")).counterparty.unwrap().confirmed_fraud;
    assert_eq!((after.d7, after.d30, after.total, after.rate_d30), (0, 1, 1, 1.0));
    assert_eq!(after.days_since_last, Some(10.0), "since it happened, not since it was known");
    let later = store.peek(&paid("x", 30 * DAY, "1", "shop")).account.confirmed_fraud;
    assert_eq!((later.d30, later.total, later.rate_d30), (0, 1, 0.0));
}

#[test]
fn a_fraud_label_reaches_every_entity_of_the_transaction() {
    let store = store(Config::default());
    let more = json!({"card": {"token": "card"}, "device": {"id": "phone"},
        "counterparty": {"id": "shop"}, "terminal": {"id": "till"}});
    store.observe(&transaction("a", 0, "1", more.clone()));
    store.label(&id("a"), &fraud(1));
    let facts = store.peek(&transaction("x", 2, "1", more));
    let all = [Some(facts.account), facts.card, facts.device, facts.counterparty, facts.terminal];
    assert!(all.into_iter().all(|entity| entity.unwrap().confirmed_fraud.total == 1));
}

#[test]
fn reversals_and_legitimate_labels_take_fraud_back() {
    let store = store(Config::default());
    store.observe(&paid("a", 0, "1", "shop"));
    let total = || store.peek(&paid("x", DAY, "1", "shop")).account.confirmed_fraud.total;
    let give = |truth, reversed| store.label(&id("a"), &label(truth, 1, reversed));
    use LabelEffect::{Applied, Unchanged};
    for (truth, reversed, effect, expected) in [
        (TruthLabel::Fraud, true, Unchanged, 0),
        (TruthLabel::Fraud, false, Applied, 1),
        (TruthLabel::Fraud, false, Unchanged, 1),
        (TruthLabel::Fraud, true, Applied, 0),
        (TruthLabel::Fraud, true, Unchanged, 0),
        (TruthLabel::Fraud, false, Applied, 1),
        (TruthLabel::Legitimate, false, Applied, 0),
        (TruthLabel::Legitimate, true, Applied, 1),
        (TruthLabel::Legitimate, false, Applied, 0),
        (TruthLabel::Fraud, false, Applied, 1),
    ] {
        assert_eq!((give(truth, reversed), total()), (effect, expected), "{truth} {reversed}");
    }
}

#[test]
fn the_earliest_of_two_confirmations_counts() {
    let store = store(Config::default());
    store.observe(&paid("a", 0, "1", "shop"));
    store.label(&id("a"), &fraud(3 * DAY));
    assert_eq!(store.label(&id("a"), &fraud(5 * DAY)), LabelEffect::Unchanged);
    assert_eq!(store.label(&id("a"), &fraud(DAY)), LabelEffect::Applied);
    let facts = store.peek(&paid("x", 2 * DAY, "1", "shop"));
    assert_eq!(facts.account.confirmed_fraud.total, 1);
}

#[test]
fn labels_are_listed_newest_first_as_far_as_they_were_known() {
    let store = store(Config::default());
    for (name, day) in [("a", 0), ("b", 1), ("c", 2), ("d", 3)] {
        store.observe(&paid(name, day * DAY, "1", "shop"));
    }
    store.label(&id("a"), &fraud(4 * DAY));
    store.label(&id("b"), &label(TruthLabel::Legitimate, 5 * DAY, false));
    store.label(&id("d"), &fraud(9 * DAY));
    let told = |day: i64| {
        let facts = store.peek(&paid("x", day * DAY, "1", "shop"));
        let labels = facts.counterparty.unwrap().labels;
        labels.iter().map(|label| (label.days_ago, label.fraud)).collect::<Vec<_>>()
    };
    assert_eq!(told(3), []);
    assert_eq!(told(4), [(4.0, true)]);
    assert_eq!(told(6), [(5.0, false), (6.0, true)]);
    assert_eq!(told(9), [(6.0, true), (8.0, false), (9.0, true)]);
    store.label(&id("b"), &label(TruthLabel::Legitimate, 9 * DAY, true));
    store.label(&id("a"), &label(TruthLabel::Legitimate, 9 * DAY, false));
    assert_eq!(told(9), [(6.0, true), (9.0, false)], "a reversal leaves, a later word replaces");
}

#[test]
fn a_spell_of_fraud_begins_anew_after_a_quiet_fortnight() {
    let store = store(Config::default());
    for (name, day) in [("a", 0), ("b", 20), ("c", 30), ("d", 44)] {
        store.observe(&paid(name, day * DAY, "1", "shop"));
        store.label(&id(name), &fraud(day * DAY));
    }
    let facts = store.peek(&paid("x", 50 * DAY, "1", "shop")).counterparty.unwrap();
    let FraudFacts { days_since_first, days_since_last, total, .. } = facts.confirmed_fraud;
    assert_eq!((days_since_first, days_since_last, total), (Some(30.0), Some(6.0), 4));
}
