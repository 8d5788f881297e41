//! Transactions and facts to judge.

use domain::{ParseContext, Score, Transaction};
use policy::{Assessment, Policy, Shift, Subject};
use serde_json::{Value, json};

pub(crate) const EXAMPLE: &str = include_str!("../../../../deploy/policy.example.toml");

pub(crate) fn score(value: f64) -> Score {
    Score::new(value).unwrap()
}

pub(crate) fn parse(text: &str) -> Policy {
    Policy::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The shipped policy with more tables after it.
pub(crate) fn with(tables: &str) -> Policy {
    parse(&format!("{}\n{tables}", Policy::DEFAULT))
}

/// The shipped policy with one rule of that condition and effect.
pub(crate) fn rule(when: &str, effect: &str) -> Policy {
    with(&format!("[[rules]]\nid = \"the-rule\"\nwhen = '''{when}'''\n{effect}\n"))
}

/// A transaction with every field, over which `changes` are laid; null takes a field away.
pub(crate) fn transaction(changes: &Value) -> Transaction {
    let mut value = json!({
        "id": "tx-1", "timestamp": "2026-03-01T12:00:00Z", "amount": "250.50", "currency": "EUR",
        "type": "transfer", "channel": "web",
        "account": {"id": "acc-1", "opened_at": "2026-02-20T00:00:00Z", "country": "DE"},
        "card": {"token": "card-1", "entry_mode": "chip"},
        "counterparty": {"id": "shop-1", "name": "Corner Shop", "kind": "merchant", "country": "FR"},
        "terminal": {"id": "term-1"},
        "device": {"id": "dev-1", "ip": "192.0.2.7", "ip_country": "DE", "user_agent": "Agent/1"},
        "memo": "rent march",
        "attributes": {"note": "words", "risk": 3, "vip": true},
    });
    lay(&mut value, changes);
    let context = ParseContext { now: "2026-03-01T12:00:00Z".parse().unwrap() };
    Transaction::parse(&value, &context).unwrap()
}

fn lay(value: &mut Value, changes: &Value) {
    let (Value::Object(members), Value::Object(changes)) = (&mut *value, changes) else {
        *value = changes.clone();
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            lay(members.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

/// Facts as the cascade gives them.
pub(crate) fn facts(transaction: &Transaction) -> Value {
    let window =
        json!({"count": 3, "sum": 300.0, "mean": 100.0, "max": 200.0, "distinct_peers": 2});
    let fraud = json!({"d7": 0, "d30": 1, "total": 2, "rate_d30": 0.1, "days_since_last": 9.5,
        "days_since_first": 21.5});
    let entity = json!({
        "h1": window, "h24": window, "d7": window, "d30": window, "seconds_since_last": 60,
        "amount_ratio": 2.5, "amount_deviation": null, "days_known": 12.0, "confirmed_fraud": fraud,
        "labels": [{"days_ago": 9.5, "fraud": true}],
    });
    json!({
        "transaction": transaction,
        "velocity": {
            "account": entity, "card": entity, "device": null, "counterparty": entity,
            "terminal": null,
            "novelty": {"counterparty_new": true, "small_h1": 0, "refunds_d30": 0},
            "recent": [
                {"seconds_ago": 60, "amount": 12.0, "currency": "EUR", "kind": "card_payment",
                 "channel": null, "counterparty_name": "Gift Card Store", "mcc": "5411",
                 "country": "FR", "counterparty_new": true},
                {"seconds_ago": 90, "amount": 700.0, "currency": "EUR", "kind": null,
                 "channel": null, "counterparty_name": null, "mcc": null, "country": null,
                 "counterparty_new": false},
            ],
        },
        "derived": {
            "hour": 12, "amount": 250.5, "account_age_days": 9.5, "counterparty_age_days": null,
            "foreign_counterparty": true, "foreign_network": false,
        },
    })
}

pub(crate) fn assess(policy: &Policy, transaction: &Transaction, screening: f64) -> Assessment {
    let facts = facts(transaction);
    let screening = score(screening);
    let subject = Subject { transaction, facts: &facts, screening, instructed: false };
    policy.assess(&subject, Shift::ZERO)
}
