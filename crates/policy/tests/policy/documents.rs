//! What is refused, and where; what differs between two documents.

use policy::{Policy, Problem};

use crate::support::{EXAMPLE, parse, with};

/// The problems of the shipped policy with `from` replaced by `to`.
fn problems(from: &str, to: &str) -> Vec<Problem> {
    assert!(Policy::DEFAULT.contains(from), "{from}");
    Policy::parse(&Policy::DEFAULT.replacen(from, to, 1)).unwrap_err().problems
}

#[test]
fn the_example_uses_every_table_and_is_valid() {
    let policy = parse(EXAMPLE);
    assert_eq!(policy.reference().version, "example-1");
    for table in ["segments", "rules", "fallback.bands", "budget", "audit", "text"] {
        assert!(EXAMPLE.contains(&format!("[{table}]")), "{table}");
    }
    assert!(policy.budget().is_some() && policy.controller().is_some());
    let summary = policy.to_string();
    assert!(summary.contains("rules      6") && summary.contains("segments   2"), "{summary}");
}

#[test]
fn the_shipped_policy_behaves_as_it_did_before_there_were_rules() {
    let policy = parse(Policy::DEFAULT);
    assert!(policy.budget().is_none() && policy.controller().is_none());
    assert_eq!(policy.document(), Policy::DEFAULT);
    assert_eq!(policy.thresholds().escalate.value(), 0.02);
    let (older, _) = Policy::DEFAULT.split_once("[text]").unwrap();
    assert_eq!(policy.diff(&parse(older)), []);
    assert_ne!(policy.reference().sha256, parse(older).reference().sha256);
}

#[test]
fn what_is_wrong_is_told_with_its_line_its_column_and_its_text() {
    let budget = |key: &str| format!("[budget]\ntarget_share = 0.1\n{key}\n[text]");
    let segment = |key: &str| format!("[[segments]]\nname = \"s\"\nmatch = {key}\n[text]");
    let rule = |keys: &str| format!("[[rules]]\nid = \"one\"\nwhen = 'true'\n{keys}\n[text]");
    let cases: Vec<(&str, String, (usize, usize), &str)> = vec![
        ("escalate = 0", "escalate = 9".into(), (5, 12), "between 0 and 1"),
        ("escalate = 0.02", "escalate = nan".into(), (5, 12), "between 0 and 1"),
        ("escalate = 0.02", "escalate = 0.99".into(), (4, 1), "must not be above decline = 0.95"),
        ("challenge = 0.15", "challenge = 0.5".into(), (8, 1), "challenge = 0.5 must not be above"),
        ("[fallback]", "[fallback]\nhope = 1".into(), (15, 1), "hope"),
        ("outcome = \"review\"", "outcome = \"shrug\"".into(), (15, 11), "shrug"),
        ("version = ", "version = \"\" #".into(), (2, 11), "version"),
        ("[text]", "[audit]\nshare = 0.51\n[text]".into(), (18, 9), "between 0 and 0.5"),
        ("[text]", budget("target = 1"), (19, 1), "target"),
        ("[text]", budget("window = 99"), (17, 1), "window = 99"),
        ("[text]", budget("min_observations = 0"), (17, 1), "min_observations = 0"),
        ("[text]", budget("min_shift = 0.1"), (17, 1), "min_shift must be at most 0"),
        ("[text]", budget("max_shift = 11"), (19, 13), "between -10 and 10"),
        ("[text]", budget("max_step = 0"), (17, 1), "max_step = 0"),
        ("[text]", segment("{ }"), (19, 9), "at least one condition"),
        ("[text]", segment("{ type = \"bribe\" }"), (19, 18), "card_payment"),
        ("[text]", segment("{ type = [] }"), (19, 18), "at least one"),
        ("[text]", segment("{ amount_from = 0 }"), (19, 25), "above zero"),
        (
            "[text]",
            segment("{ amount_from = 5, amount_below = \"5.0\" }"),
            (19, 9),
            "must be below",
        ),
        ("[text]", segment("{ currency = \"euro\" }"), (19, 22), "ISO 4217"),
        ("[text]", rule("at_least = \"review\"\nescalate = true"), (18, 6), "exactly one of"),
        ("[text]", rule("escalate = false"), (18, 6), "exactly one of"),
        ("[text]", rule(""), (18, 6), "exactly one of"),
        ("[text]", rule("escalate = true\nreason = \"low\""), (21, 10), "A-Z"),
        ("[text]", rule("escalate = true\ndetail = \"\""), (21, 10), "1 to 200 characters"),
        (
            "[text]",
            "[[fallback.bands]]\noutcome = \"review\"\n[text]".into(),
            (17, 1),
            "at least one",
        ),
    ];
    for (from, to, place, expected) in cases {
        let problems = problems(from, &to);
        let found = problems.iter().any(|problem| {
            (problem.line, problem.column) == place && problem.detail.contains(expected)
        });
        assert!(found, "{to}\n{problems:#?}");
    }
}

#[test]
fn several_problems_are_told_at_once_in_the_order_of_the_document() {
    let text = "[[rules]]\nid = \"a b\"\nwhen = 'nope > 1'\nescalate = true\n\n[[rules]]\nid = \"x\"\n\
                when = 'true'\nescalate = true\n[[rules]]\nid = \"x\"\nwhen = '1'\nescalate = true\n";
    let text = format!("{}\n{text}", Policy::DEFAULT);
    let error = Policy::parse(&text).unwrap_err();
    let details: Vec<_> = error.problems.iter().map(|problem| problem.detail.as_str()).collect();
    let expected = [
        "id must have",
        "no reason code",
        "unknown variable",
        "no reason code",
        "same id",
        "no reason code",
        "true or false",
    ];
    assert_eq!(details.len(), expected.len(), "{details:#?}");
    for (detail, expected) in details.iter().zip(expected) {
        assert!(detail.contains(expected), "{details:#?}");
    }
    assert_eq!(error.to_string().lines().count(), expected.len());
}

#[test]
fn no_document_is_too_strange_to_be_refused() {
    let long = format!("version = \"{}\"", "x".repeat(2 << 20));
    for text in ["", "\u{feff}", "x", "[", "version = 1", "version = 'x'\n[thresholds", &long] {
        assert!(!Policy::parse(text).unwrap_err().problems.is_empty());
    }
    let many = "[[rules]]\nid = \"r\"\nwhen = 'true'\nescalate = true\n".repeat(300);
    let error = Policy::parse(&format!("{}\n{many}", Policy::DEFAULT)).unwrap_err();
    assert_eq!(error.problems.len(), 20);
}

#[test]
fn differences_are_told_in_the_documents_terms() {
    let rules = |first: &str, second: &str, when: &str| {
        with(&format!(
            "[[rules]]\nid = \"{first}\"\nwhen = 'true'\nescalate = true\n\
             [[rules]]\nid = \"{second}\"\nwhen = '{when}'\nescalate = true\n"
        ))
    };
    let told =
        |a: &Policy, b: &Policy| a.diff(b).iter().map(ToString::to_string).collect::<Vec<_>>();
    let (ab, ba) = (rules("rule-a", "rule-b", "false"), rules("rule-b", "rule-a", "true"));
    assert_eq!(
        told(&ab, &ba),
        [
            "~ rules.rule-b.when: \"false\" -> \"true\"",
            "~ rules (order): rule-a, rule-b -> rule-b, rule-a",
        ]
    );
    let shipped = parse(Policy::DEFAULT);
    let told = told(&shipped, &parse(EXAMPLE));
    for expected in [
        "~ version: \"2026-11-1\" -> \"example-1\"",
        "+ budget.target_share: 0.05",
        "~ audit.share: 0.0 -> 0.01",
        "+ segments.large-transfers.thresholds.escalate: 0.005",
        "+ segments.large-transfers.match.amount_from: \"5000\"",
        "+ rules.device-farm.escalate: true",
        "+ fallback.bands[1].outcome: \"decline\"",
    ] {
        assert!(told.iter().any(|line| line == expected), "{expected} in {told:#?}");
    }
    assert_eq!(shipped.diff(&shipped), []);
    assert_eq!(parse(EXAMPLE).diff(&shipped).len(), shipped.diff(&parse(EXAMPLE)).len());
}
