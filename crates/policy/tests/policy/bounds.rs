//! Documents and rules that try to cost too much.

use policy::Policy;
use proptest::prelude::*;
use serde_json::json;

use crate::support::{assess, rule, transaction};

fn refused(when: &str) -> String {
    let text = format!(
        "{}[[rules]]\nid = \"one\"\nreason = \"ONE\"\nwhen = '''{when}'''\nescalate = true\n",
        Policy::DEFAULT
    );
    Policy::parse(&text).unwrap_err().to_string()
}

#[test]
fn expressions_that_are_too_long_or_too_deep_are_refused_before_they_are_run() {
    let nested = format!("{}1{} == 1", "(".repeat(33), ")".repeat(33));
    assert!(refused(&nested).contains("32 deep"));
    assert!(refused(&format!("true || {}", "true || ".repeat(400))).contains("2048 bytes"));
    for (unit, times) in [("1 + ", 500), ("!", 900), ("-", 900), ("true ? true : ", 100)] {
        let end = if unit == "!" || unit.contains('?') { "true" } else { "1 > 1" };
        let when = format!("{}{end}", unit.repeat(times));
        // Refused or understood, but neither a panic nor a full stack.
        let text = format!(
            "{}[[rules]]\nid = \"one\"\nreason = \"ONE\"\nwhen = '''{when}'''\nescalate = true\n",
            Policy::DEFAULT
        );
        let _ = Policy::parse(&text);
    }
    let fields = format!("transaction{} == 1", ".a".repeat(900));
    assert!(refused(&fields).contains("rule `one`"));
    let indexes = format!("transaction.attributes.a{} == 1", "[0]".repeat(500));
    assert!(refused(&indexes).contains("deep"));
}

#[test]
fn expressions_whose_values_grow_are_refused() {
    for when in [
        // Doubles with every macro.
        "[transaction.memo].map(a, a + a + a + a).map(a, a + a + a + a).map(a, a + a + a + a)\
         .map(a, a + a + a + a).map(a, a + a + a + a).map(a, a + a + a + a).size() > 1",
        "velocity.recent.map(a, velocity.recent).map(a, velocity).size() > 1",
        "transaction.attributes.exists(a, transaction.attributes.exists(b, \
         transaction.attributes[a] == transaction.attributes[b] && a.matches('a.*b')))",
    ] {
        assert!(refused(when).contains("steps; a rule may take at most"), "{}", refused(when));
    }
}

#[test]
fn rules_that_are_cheap_one_by_one_may_be_too_dear_together() {
    let when = "transaction.attributes.exists(a, a.contains('x') && a.size() > 10 && \
                transaction.memo.contains(a))";
    let one =
        |n: usize| format!("[[rules]]\nid = \"rule-{n}\"\nwhen = \"{when}\"\nescalate = true\n");
    let many: String = (0..250).map(one).collect();
    let error = Policy::parse(&format!("{}{many}", Policy::DEFAULT)).unwrap_err();
    assert!(error.to_string().contains("all rules may take"), "{error}");
}

#[test]
fn ordinary_rules_fit_in_their_hundreds() {
    let when = "transaction.type == 'transfer' && transaction.amount > 500.0 && \
                velocity.account.h24.count >= 3";
    let one =
        |n: usize| format!("[[rules]]\nid = \"rule-{n}\"\nwhen = \"{when}\"\nescalate = true\n");
    let many: String = (0..256).map(one).collect();
    Policy::parse(&format!("{}{many}", Policy::DEFAULT)).unwrap();
}

/// Pieces of expressions, so that many of what is put together compiles.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("transaction.amount".to_owned()),
        Just("transaction.memo".to_owned()),
        Just("transaction.attributes.note".to_owned()),
        Just("transaction.timestamp".to_owned()),
        Just("velocity.recent".to_owned()),
        Just("velocity.recent[0].amount".to_owned()),
        Just("velocity.account.h1.count".to_owned()),
        Just("velocity.device".to_owned()),
        Just("duration('9999999h')".to_owned()),
        Just("9223372036854775807".to_owned()),
        Just("-9223372036854775808".to_owned()),
        Just("1e308".to_owned()),
        Just("'é'".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("null".to_owned()),
        Just("x".to_owned()),
        Just("true".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let pair = (inner.clone(), inner.clone());
        let operator = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in",
        ]);
        let call = prop::sample::select(vec![
            "size",
            "int",
            "double",
            "string",
            "bool",
            "timestamp",
            "duration",
            "has",
            "!",
            "-",
        ]);
        let method = prop::sample::select(vec![
            "contains",
            "startsWith",
            "endsWith",
            "size",
            "getHours",
            "getDayOfYear",
        ]);
        let walk = prop::sample::select(vec!["exists", "all", "exists_one", "map", "filter"]);
        prop_oneof![
            (pair.clone(), operator).prop_map(|((a, b), op)| format!("({a} {op} {b})")),
            (inner.clone(), call).prop_map(|(a, call)| format!("{call}({a})")),
            (pair.clone(), method).prop_map(|((a, b), method)| format!("{a}.{method}({b})")),
            (pair.clone(), walk).prop_map(|((a, b), walk)| format!("{a}.{walk}(x, {b})")),
            (pair.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            (pair, inner).prop_map(|((a, b), c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_expression_panics_when_it_is_read_or_run(when in expression()) {
        let text = format!(
            "{}[[rules]]\nid = \"one\"\nreason = \"ONE\"\nwhen = '''{when}'''\nescalate = true\n",
            Policy::DEFAULT
        );
        if let Ok(policy) = Policy::parse(&text) {
            let assessment = assess(&policy, &transaction(&json!({})), 0.5);
            let bare = json!({"memo": null, "device": null, "attributes": null, "card": null});
            assess(&policy, &transaction(&bare), 0.5);
            let failed = assessment.rule_errors.iter().any(|e| e.detail == "the evaluator failed");
            prop_assert!(!failed, "{}", when);
        }
    }

    #[test]
    fn no_text_panics_when_it_is_read(when in "\\PC{0,40}", document in "\\PC{0,60}") {
        let _ = Policy::parse(&document);
        let text = format!("{}[[rules]]\nid = \"o\"\nwhen = {when:?}\n", Policy::DEFAULT);
        let _ = Policy::parse(&text);
    }
}

#[test]
fn the_generator_of_expressions_makes_some_that_run() {
    // Otherwise the property above would be empty.
    let policy = rule("(velocity.recent.filter(x, true).size() in [2])", "escalate = true");
    assert_eq!(assess(&policy, &transaction(&json!({})), 0.0).escalations.len(), 1);
}
