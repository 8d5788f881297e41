//! What rules see and do.

use domain::{Escalation, Outcome};
use policy::{Policy, Route, Shift, Subject};
use serde_json::json;

use crate::support::{assess, rule, score, transaction};

/// Whether a rule of that condition holds for the full transaction; panics when it fails.
fn holds(when: &str) -> bool {
    let assessment = assess(&rule(when, "at_least = \"review\""), &transaction(&json!({})), 0.5);
    assert!(assessment.rule_errors.is_empty(), "{when}: {:?}", assessment.rule_errors);
    !assessment.floors.is_empty()
}

#[test]
fn conditions_see_the_facts_with_their_types() {
    for when in [
        "transaction.amount > 250",
        "transaction.amount == 250.5",
        "transaction.amount * 2.0 > 500.0 && transaction.amount >= 250.50",
        "transaction.type == 'transfer' && transaction.channel in ['web', 'mobile']",
        "transaction.timestamp > timestamp('2026-01-01T00:00:00Z')",
        "transaction.timestamp - transaction.account.opened_at < duration('720h')",
        "transaction.timestamp.getHours() == 12",
        "velocity.account.h1.count >= 3 && velocity.account.h1.sum + 1.0 > 300.0",
        "velocity.account.h1.count + 1 == 4",
        "velocity.account.h1.count > 2.5",
        "velocity.recent.exists(r, r.amount > 500.0)",
        "velocity.recent.filter(r, r.counterparty_new).size() == 1",
        "size(velocity.recent.map(r, r.amount)) == 2",
        "velocity.novelty.counterparty_new && !velocity.recent[1].counterparty_new",
        "!has(velocity.device) && !has(derived.counterparty_age_days) && has(velocity.card)",
        "transaction['currency'] == 'EUR' && transaction.attributes['risk'] >= 3.0",
        "transaction.attributes.vip && 'risk' in transaction.attributes",
        "transaction.attributes.exists(name, name == 'note')",
        "screening.score > 0.4 && screening.score < 0.6",
        "derived.foreign_counterparty && !derived.foreign_network && !derived.instructed",
        "transaction.memo.startsWith('rent') && transaction.memo.matches('r.nt')",
        "transaction.counterparty.name.contains('Shop') ? true : false",
        "has(transaction.card.bin) || transaction.card.entry_mode == 'chip'",
    ] {
        assert!(holds(when), "{when}");
    }
}

/// The one problem of the shipped policy with a rule of that condition, and what it is about.
fn flaw(when: &str) -> (String, String) {
    let text =
        format!("{}[[rules]]\nid = \"one\"\nwhen = {when}\nat_least = \"review\"", Policy::DEFAULT);
    let problem = Policy::parse(&text).unwrap_err().problems.swap_remove(0);
    let about = problem.source.chars().skip(problem.column - 1).take(problem.width).collect();
    (problem.detail, about)
}

#[test]
fn conditions_that_cannot_work_are_refused_at_their_place_in_the_document() {
    for (when, about, expected) in [
        ("'transaction.amout > 5.0'", "amout", "unknown field `amout`"),
        ("'tx.amount > 5.0'", "tx", "unknown variable `tx`"),
        ("\"transaction.memo == \\\"\\u00e9\\\" && nope\"", "nope", "unknown variable `nope`"),
        ("'''\ntransaction.amount > 5.0\n  && frob(1)\n'''", "frob", "unknown function `frob`"),
        ("'transaction[\"amout\"] > 5.0'", "\"amout\"", "unknown field `amout`"),
        ("'velocity.recent.exists(r, r.amont > 1.0)'", "amont", "unknown field `amont`"),
        ("'velocity.recent.filter(r, true).exists(r, r.foo)'", "foo", "unknown field `foo`"),
        ("'velocity.recent[0].foo'", "foo", "unknown field `foo`"),
        ("'transaction.memo.foo == 1'", "foo", "without fields"),
        ("'transaction.amount >'", "'", "the end"),
        ("'a b'", "b", "extraneous input"),
        ("'transaction.memo.matches(transaction.currency)'", ".", "must be a literal"),
        ("'transaction.memo.matches(\"(\")'", "\"(\"", "unclosed group"),
        ("'transaction.memo.matches(\"(a{99}){99}\")'", "\"(a{99}){99}\"", "size limit"),
        ("'transaction.memo.exists(c, true)'", ".", "can be walked"),
        ("'[1].all(a, [2].all(b, [3].all(c, true)))'", "(", "2 deep"),
        ("'Foo{a: 1} == 1'", "{", "not supported"),
        ("'transaction.amount'", "'transaction.amount'", "true or false"),
        ("'transaction.amount > \"x\"'", "'transaction.amount > \"x\"'", "no matching overload"),
        ("'transaction.?memo == 1'", ".", "unknown function"),
        ("''", "'", "the end"),
    ] {
        let (detail, found) = flaw(when);
        assert!(detail.contains(expected), "{when}: {detail}");
        assert_eq!(found, about, "{when}: {detail}");
        assert!(detail.starts_with("rule `one`: "), "{detail}");
    }
}

#[test]
fn a_rule_that_fails_does_not_hold_and_is_told_without_a_value() {
    for (when, expected) in [
        ("velocity.device.h1.count > 1", "there is no `device`"),
        ("transaction.attributes.absent > 1", "there is no `absent`"),
        ("transaction.attributes[transaction.memo] == 1", "there is no such field"),
        ("transaction.attributes.note > 1", "no matching overload"),
        ("transaction.attributes.note", "is not true or false"),
        ("velocity.recent[7].amount > 1.0", "there is no such element"),
        ("1 / (derived.hour - 12) > 1", "divides by zero"),
        ("9223372036854775807 + derived.hour > 1", "a number overflows"),
        ("int(transaction.memo) > 1", "`int` failed"),
        ("timestamp(transaction.memo) == transaction.timestamp", "`timestamp` failed"),
    ] {
        let assessment =
            assess(&rule(when, "at_least = \"decline\""), &transaction(&json!({})), 0.5);
        let [error] = assessment.rule_errors.as_slice() else { panic!("{when}: {assessment:?}") };
        assert_eq!(error.rule, "the-rule");
        assert!(error.detail.contains(expected), "{when}: {}", error.detail);
        assert!(!error.detail.contains("rent") && !error.detail.contains("words"), "{error:?}");
        assert_eq!((assessment.floors.len(), assessment.floor), (0, Outcome::Approve));
    }
}

#[test]
fn what_is_absent_can_be_asked_for() {
    let bare = transaction(&json!({"memo": null, "device": null, "attributes": null}));
    for (when, expected) in [
        ("has(transaction.memo) && transaction.memo == 'rent'", false),
        ("!has(transaction.memo) || transaction.memo == 'rent'", true),
        ("has(transaction.device) && has(transaction.device.ip)", false),
        ("!has(transaction.attributes.vip)", false),
    ] {
        let assessment = assess(&rule(when, "at_least = \"review\""), &bare, 0.5);
        assert_eq!(!assessment.floors.is_empty(), expected, "{when} {:?}", assessment.rule_errors);
    }
}

#[test]
fn facts_that_are_no_map_fail_every_rule_and_nothing_else() {
    let policy = rule("true", "at_least = \"decline\"");
    let transaction = transaction(&json!({}));
    for facts in [json!(null), json!([1]), json!("x")] {
        let screening = score(0.5);
        let subject =
            Subject { transaction: &transaction, facts: &facts, screening, instructed: false };
        let assessment = policy.assess(&subject, Shift::ZERO);
        assert_eq!(assessment.rule_errors.len(), 1);
        assert_eq!(assessment.route, Route::Escalate(Escalation::Score));
    }
}

#[test]
fn facts_outside_the_vocabulary_are_named() {
    let facts = json!({
        "transaction": {"id": "t", "colour": "red"}, "extra": 1,
        "velocity": {"account": {"h2": {}}, "recent": [{"amount": 1.0, "secret": "x"}]},
    });
    let mut paths = policy::vocabulary::unnameable(&facts);
    paths.sort();
    let expected =
        ["extra", "transaction.colour", "velocity.account.h2", "velocity.recent[].secret"];
    assert_eq!(paths, expected);
    let all = crate::support::facts(&transaction(&json!({})));
    assert_eq!(policy::vocabulary::unnameable(&all), Vec::<String>::new());
}
