//! A text that a stranger writes makes an outcome stricter or leaves it; never laxer.

use domain::{Outcome, Score, Transaction};
use policy::{Policy, Shift, Subject};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{assess, facts, parse, rule, score, transaction, with};

/// Conditions over texts, those that a text could talk itself out of included.
const CONDITIONS: &[&str] = &[
    "transaction.memo.contains('gift')",
    "!transaction.memo.contains('invoice')",
    "!has(transaction.memo)",
    "has(transaction.memo) && transaction.memo.size() > 6",
    "transaction.memo == 'rent'",
    "transaction.counterparty.name.startsWith('Good')",
    "!(transaction.counterparty.name == 'Good Shop')",
    "transaction.device.user_agent.contains('gift')",
    "transaction.attributes.note == 'gift'",
    "!has(transaction.attributes.note)",
    "size(transaction.attributes) > 1",
    "transaction.attributes.all(name, name != 'note')",
    "velocity.recent.exists(r, has(r.counterparty_name))",
    "velocity.recent.all(r, !has(r.counterparty_name))",
    "derived.instructed",
    "!derived.instructed",
    "size(transaction) < 11",
    "transaction.amount > 100.0",
    "true",
];

const EFFECTS: &[&str] = &[
    "outcome = \"approve\"",
    "outcome = \"challenge\"",
    "outcome = \"review\"",
    "outcome = \"decline\"",
    "at_least = \"challenge\"",
    "at_least = \"decline\"",
    "escalate = true",
];

/// A policy of these rules, or of those among them that may be written.
fn policy(rules: &[(usize, usize)]) -> Policy {
    let mut text = Policy::DEFAULT.to_owned();
    for (n, (condition, effect)) in rules.iter().enumerate() {
        let (when, effect) = (CONDITIONS[*condition], EFFECTS[*effect]);
        let more = format!("{text}\n[[rules]]\nid = \"rule-{n}\"\nwhen = \"{when}\"\n{effect}\n");
        if Policy::parse(&more).is_ok() {
            text = more;
        }
    }
    parse(&text)
}

fn outcome(
    policy: &Policy,
    (transaction, facts): (&Transaction, &Value),
    instructed: bool,
    (screening, analysis): (f64, Option<f64>),
) -> Outcome {
    let screening = score(screening);
    let subject = Subject { transaction, facts, screening, instructed };
    let assessment = policy.assess(&subject, Shift::ZERO);
    assessment.conclude(screening, analysis.map(|p| Score::new(p).unwrap())).outcome
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_text_makes_an_outcome_laxer(
        rules in prop::collection::vec((0..CONDITIONS.len(), 0..EFFECTS.len()), 1..5),
        memo in prop::sample::select(vec!["gift", "invoice", "rent", "a long memo", "x"]),
        name in prop::sample::select(vec!["Good Shop", "Bad Shop"]),
        note in prop::sample::select(vec!["gift", "x"]),
        instructed: bool,
        screening in 0.0..=1.0,
        analysis in prop::option::of(0.0..=1.0),
    ) {
        let policy = policy(&rules);
        let with_text = transaction(&json!({
            "memo": memo, "counterparty": {"name": name}, "attributes": {"note": note},
            "device": {"user_agent": memo},
        }));
        let without_text = transaction(&json!({
            "memo": null, "counterparty": {"name": null}, "attributes": {"note": null},
            "device": {"user_agent": null},
        }));
        let seen = facts(&with_text);
        let mut bare = facts(&without_text);
        bare["velocity"]["recent"][0]["counterparty_name"] = Value::Null;
        let scores = (screening, analysis);
        let stricter = outcome(&policy, (&with_text, &seen), instructed, scores);
        let plain = outcome(&policy, (&without_text, &bare), false, scores);
        prop_assert!(stricter >= plain, "{stricter} < {plain} under {}", policy.document());
    }
}

#[test]
fn a_rule_that_could_make_an_outcome_laxer_may_not_name_a_text() {
    for field in [
        "has(transaction.memo)",
        "transaction['memo'] == 'x'",
        "transaction.counterparty.name == 'x'",
        "transaction.device.user_agent == 'x'",
        "velocity.recent.exists(r, r.counterparty_name == 'x')",
        "velocity.recent.filter(r, true)[0].counterparty_name == 'x'",
        "derived.instructed",
    ] {
        for (effect, allowed) in EFFECTS.iter().zip([false, false, false, true, true, true, true]) {
            let text = format!(
                "{}[[rules]]\nid = \"the-rule\"\nwhen = \"{field}\"\n{effect}\n",
                Policy::DEFAULT
            );
            match Policy::parse(&text) {
                Ok(_) => assert!(allowed, "{field} {effect}"),
                Err(error) => {
                    assert!(!allowed, "{field} {effect}: {error}");
                    assert!(error.to_string().contains("a stranger's text"), "{error}");
                }
            }
        }
    }
}

#[test]
fn text_attributes_are_out_of_sight_of_laxer_rules_and_numbers_are_not() {
    let by_text = rule("transaction.attributes.note == 'words'", "outcome = \"approve\"");
    let transaction = transaction(&json!({}));
    let assessment = assess(&by_text, &transaction, 0.5);
    assert!(assessment.rule.is_none() && assessment.rule_errors.len() == 1);
    let by_number = rule("transaction.attributes.risk == 3.0", "outcome = \"approve\"");
    assert!(assess(&by_number, &transaction, 0.5).rule.is_some());
}

#[test]
fn a_floor_that_a_text_would_lift_holds_nevertheless() {
    let policy = rule("!transaction.memo.contains('invoice')", "at_least = \"review\"");
    let words = |memo: &str| assess(&policy, &transaction(&json!({"memo": memo})), 0.0).floor;
    assert_eq!((words("rent"), words("invoice 7")), (Outcome::Review, Outcome::Approve));
    // Without a memo the rule fails, so that no memo is no worse.
    let absent = rule("!has(transaction.memo)", "at_least = \"review\"");
    for memo in [json!(null), json!("invoice 7")] {
        let floor = assess(&absent, &transaction(&json!({"memo": memo})), 0.0).floor;
        assert_eq!(floor, Outcome::Review);
    }
}

#[test]
fn a_text_that_instructs_is_escalated_and_sets_the_policys_floor_over_every_rule() {
    let policy = with("[[rules]]\nid = \"friends\"\nwhen = 'true'\noutcome = \"approve\"\n");
    let transaction = transaction(&json!({}));
    let facts = facts(&transaction);
    let both = (&transaction, &facts);
    assert_eq!(outcome(&policy, both, false, (0.9, None)), Outcome::Approve);
    assert_eq!(outcome(&policy, both, true, (0.0, None)), Outcome::Review);
    let shipped = parse(Policy::DEFAULT);
    assert_eq!(outcome(&shipped, both, true, (0.0, Some(0.0))), Outcome::Review);
    let strict =
        Policy::DEFAULT.replace("instruction_like = \"review\"", "instruction_like = \"decline\"");
    assert_eq!(outcome(&parse(&strict), both, true, (0.0, Some(0.0))), Outcome::Decline);
}
