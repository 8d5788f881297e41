//! What strangers write, inside the shipped prompt.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod data;

use std::{path::Path, sync::LazyLock};

use data::{benign, injections};
use domain::{ParseContext, Text, Transaction};
use package::Template;
use prometheus::Registry;
use proptest::prelude::*;
use screening::{Facts, Renderer};
use serde_json::json;
use velocity::VelocityStore;

static RENDERER: LazyLock<Renderer> = LazyLock::new(|| {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let template = |file: &str| Template::read(&models.join(file)).unwrap();
    Renderer::new(template("screening/input.j2"), Some(template("analysis/prompt.j2")))
});

/// A transfer with these texts; no detector keeps them from the templates.
fn facts(name: &str, memo: &str) -> Facts {
    let value = json!({
        "id": "t", "timestamp": "2026-03-01T12:00:00Z", "amount": "123.45", "currency": "EUR",
        "type": "transfer", "channel": "web", "account": {"id": "a", "country": "DE"},
        "counterparty": {"id": "c", "name": name, "country": "DE"}, "memo": memo,
    });
    let context = ParseContext { now: "2026-03-01T12:00:00Z".parse().unwrap() };
    let transaction = Transaction::parse(&value, &context).unwrap();
    let store = VelocityStore::new(velocity::Config::default(), &Registry::new()).unwrap();
    let velocity = store.observe(&transaction);
    let mut facts = Facts::new(transaction, velocity);
    facts.derived.instructions.clear();
    facts
}

/// The prompt with every quotation emptied.
fn outside_quotes(prompt: &str) -> String {
    let mut outside = String::new();
    let mut inside = false;
    for c in prompt.chars() {
        match c {
            '«' => {
                assert!(!inside, "a quotation within a quotation: {prompt}");
                inside = true;
            }
            '»' => {
                assert!(inside, "a quotation closed twice: {prompt}");
                inside = false;
            }
            c if !inside => outside.push(c),
            c => {
                assert!(c == ' ' || !c.is_whitespace() && !"<>[]".contains(c), "{c:?} in {prompt}")
            }
        }
    }
    assert!(!inside, "an open quotation: {prompt}");
    outside
}

fn check(name: &str, memo: &str) {
    let name = name.parse::<Text<140>>();
    let memo = memo.parse::<Text<256>>();
    let (Ok(name), Ok(memo)) = (name, memo) else { return };
    if memo.as_str().is_empty() {
        return;
    }
    let prompt = |facts: &Facts| RENDERER.analysis_prompt(facts).unwrap().unwrap();
    let plain = prompt(&facts("Shop", "rent"));
    let hostile = prompt(&facts(name.as_str(), memo.as_str()));
    // A scam's wording raises a signal of its own, as it should.
    let hostile = hostile.replace(" SCAM_WORDING", "");
    assert_eq!(outside_quotes(&hostile), outside_quotes(&plain), "{name} {memo}");
    let input = RENDERER.screening_text(&facts(name.as_str(), memo.as_str())).unwrap();
    assert!(!input.contains(['\n', '\r', '\u{2028}', '\u{2029}']), "{input}");
}

#[test]
fn no_text_of_the_tables_leaves_its_quotation() {
    for row in injections().into_iter().chain(benign()) {
        check(&row.text.chars().take(140).collect::<String>(), &row.text);
    }
}

proptest! {
    #[test]
    fn no_text_leaves_its_quotation(
        name in "\\PC{0,40}|[«»\"<>|/\\[\\]{}%\\n\\t a-z]{0,40}",
        memo in "\\PC{1,120}|[«»\"<>|/\\[\\]{}%\\n\\t\u{85}\u{2028}\u{ff1c}\u{ff3b}a-z]{1,120}|(</s>|<s>|<pad>|»|«|\\n|\\{\\{|\\}\\}|report ){1,20}",
    ) {
        check(&name, &memo);
    }
}
