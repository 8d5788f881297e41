//! The features in which a change of traffic shows first: what drift is watched in.
//!
//! The reference of a package and the monitor of a server must agree on names and meaning; both
//! take them from here.

use velocity::EntityFacts;

use crate::facts::Facts;

/// The names of [`drift_features`], in their order.
pub const DRIFT_FEATURES: [&str; 12] = [
    "amount",
    "account_amount_ratio",
    "account_count_h1",
    "account_count_h24",
    "account_sum_h24",
    "account_seconds_since_last",
    "counterparty_new",
    "device_new",
    "country_new",
    "counterparty_payers_h24",
    "counterparty_fraud_rate_d30",
    "terminal_fraud_rate_d30",
];

/// The main features of a transaction by name: amounts in major units as given, times in seconds,
/// flags as 0 or 1, rates from 0 to 1. `None` where the transaction lacks the field, or nothing is
/// known yet.
#[must_use]
pub fn drift_features(facts: &Facts) -> [(&'static str, Option<f64>); DRIFT_FEATURES.len()] {
    let velocity = &facts.velocity;
    let (account, novelty) = (&velocity.account, &velocity.novelty);
    let flag = |value: Option<bool>| value.map(|value| f64::from(u8::from(value)));
    let fraud_rate =
        |entity: &Option<EntityFacts>| entity.as_ref().map(|e| e.confirmed_fraud.rate_d30);
    let values = [
        Some(facts.derived.amount),
        account.amount_ratio,
        Some(f64::from(account.h1.count)),
        Some(f64::from(account.h24.count)),
        Some(account.h24.sum),
        account.seconds_since_last.map(|seconds| seconds as f64),
        flag(novelty.counterparty_new),
        flag(novelty.device_new),
        flag(novelty.country_new),
        velocity.counterparty.as_ref().map(|entity| f64::from(entity.h24.distinct_peers)),
        fraud_rate(&velocity.counterparty),
        fraud_rate(&velocity.terminal),
    ];
    std::array::from_fn(|n| (DRIFT_FEATURES[n], values[n]))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use domain::{ParseContext, Transaction};
    use prometheus::Registry;
    use serde_json::json;
    use velocity::VelocityStore;

    use super::*;

    #[test]
    fn features_have_names_of_their_own_and_tell_what_the_facts_tell() {
        assert_eq!(HashSet::from(DRIFT_FEATURES).len(), DRIFT_FEATURES.len());
        let store = VelocityStore::new(velocity::Config::default(), &Registry::new()).unwrap();
        let context = ParseContext { now: "2026-03-02T00:00:00Z".parse().unwrap() };
        let transaction = |id: &str, at: &str, amount: &str| {
            let value = json!({
                "id": id, "timestamp": at, "amount": amount, "currency": "EUR",
                "account": {"id": "a"}, "counterparty": {"id": "c"},
            });
            Transaction::parse(&value, &context).unwrap()
        };
        store.observe(&transaction("1", "2026-03-01T12:00:00Z", "10"));
        let second = transaction("2", "2026-03-01T12:01:00Z", "30");
        let seen = store.observe(&second);
        let features: std::collections::HashMap<_, _> =
            drift_features(&Facts::new(second, seen)).into_iter().collect();
        for (name, value) in [
            ("amount", Some(30.0)),
            ("account_amount_ratio", Some(3.0)),
            ("account_count_h1", Some(1.0)),
            ("account_sum_h24", Some(10.0)),
            ("account_seconds_since_last", Some(60.0)),
            ("counterparty_new", Some(0.0)),
            ("device_new", None),
            ("counterparty_payers_h24", Some(1.0)),
            ("terminal_fraud_rate_d30", None),
        ] {
            assert_eq!(features[name], value, "{name}");
        }
    }
}
