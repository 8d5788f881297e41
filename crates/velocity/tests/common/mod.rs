//! Transactions for tests.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod naive;

use domain::{Label, LabelSource, ParseContext, Transaction, TransactionId, TruthLabel};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use velocity::{Config, VelocityStore};

/// 2026-01-01T00:00:00Z: second 0 of the tests.
const EPOCH: i64 = 1_767_225_600;

pub(crate) const HOUR: i64 = 3600;
pub(crate) const DAY: i64 = 24 * HOUR;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(EPOCH + second).unwrap()
}

/// Parses `{id, account, at}` with anything else merged over it.
pub(crate) fn transaction(id: &str, second: i64, amount: &str, more: Value) -> Transaction {
    let mut value = json!({
        "id": id,
        "timestamp": at(second).to_string(),
        "amount": amount,
        "currency": "EUR",
        "account": {"id": "acc"},
    });
    let object = value.as_object_mut().unwrap();
    object.extend(more.as_object().unwrap().clone());
    let now = at(second) + SignedDuration::from_hours(1);
    Transaction::parse(&value, &ParseContext { now }).unwrap()
}

pub(crate) fn paid(id: &str, second: i64, amount: &str, counterparty: &str) -> Transaction {
    transaction(id, second, amount, json!({"counterparty": {"id": counterparty}}))
}

pub(crate) fn id(text: &str) -> TransactionId {
    text.parse().unwrap()
}

pub(crate) fn label(label: TruthLabel, second: i64, reversed: bool) -> Label {
    Label { label, source: LabelSource::Chargeback, effective_at: at(second), reversed }
}

pub(crate) fn fraud(second: i64) -> Label {
    label(TruthLabel::Fraud, second, false)
}

pub(crate) fn store(config: Config) -> VelocityStore {
    VelocityStore::new(config, &prometheus::Registry::new()).unwrap()
}
