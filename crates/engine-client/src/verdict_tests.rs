use proptest::prelude::*;
use serde_json::json;

use super::*;

const PREFIX: &str = "{\"verdict\":\"";

fn form(choices: &[&str]) -> Form {
    let schema = json!({
        "type": "object",
        "properties": { "verdict": { "enum": choices }, "note": { "type": "string" } },
    });
    Form::new(schema, PREFIX, choices).expect("a form")
}

fn verdicts() -> Form {
    form(&["fraud", "suspicious", "legitimate"])
}

/// A token, and the alternatives with their probabilities.
fn token(text: &str, alternatives: &[(&str, f64)]) -> Token {
    let alternatives: Vec<_> =
        alternatives.iter().map(|(t, p)| (t.as_bytes().to_vec(), p.ln())).collect();
    let own = alternatives.iter().find(|(t, _)| t == text.as_bytes());
    Token { bytes: text.into(), log_prob: own.map_or(0.0, |(_, p)| *p), alternatives }
}

fn sure(text: &str) -> Token {
    token(text, &[(text, 1.0)])
}

fn assert_probabilities(found: &LogProbs, expected: &[f64]) {
    for ((word, log_prob), p) in found.by_choice.iter().zip(expected) {
        assert!((log_prob.exp() - p).abs() < 1e-6, "{word}: {} is not {p}", log_prob.exp());
    }
}

#[test]
fn a_verdict_is_found_once_its_closing_quote_is_there() {
    let form = verdicts();
    let found = |text: &str| search(&form, text.as_bytes());
    assert_eq!(found(""), Search::Pending);
    assert_eq!(found("{\"ver"), Search::Pending);
    assert_eq!(found("{\"verdict\":\"frau"), Search::Pending);
    assert_eq!(found("{\"verdict\":\"fraud"), Search::Pending);
    assert_eq!(found("{\"verdict\":\"fraud\""), Search::Found(0));
    assert_eq!(found("\n{ \"verdict\" :\t\"legitimate\", "), Search::Found(2));
}

#[test]
fn anything_else_is_absent_at_once() {
    let form = verdicts();
    for text in [
        "The",
        "```json",
        "[",
        "{\"reason",
        "{\"verdict\":\"no",
        "{\"verdict\":\"fraudulent",
        "{\"verdict\":\"Fraud",
        "{\"ver dict\"",
        "{\"verdict\":\" fraud",
        "{\"verdict\":1",
    ] {
        assert_eq!(search(&form, text.as_bytes()), Search::Absent, "{text}");
    }
}

#[test]
fn probabilities_are_read_where_the_choice_starts() {
    let tokens = [
        sure("{\""),
        sure("verdict"),
        sure("\":\""),
        token("sus", &[("sus", 0.6), ("fraud", 0.25), ("leg", 0.1), ("x", 0.01)]),
        sure("picious"),
        sure("\","),
    ];
    let found = log_probs(&verdicts(), &tokens).expect("log-probabilities");
    assert_probabilities(&found, &[0.25, 0.6, 0.1]);
    assert!((found.covered - 0.95).abs() < 1e-9);
}

#[test]
fn a_token_may_hold_the_end_of_the_prefix() {
    let tokens = [
        sure("{\"verdict\""),
        token(":\"f", &[(":\"f", 0.5), (":\"leg", 0.3), (":\"", 0.1), (": \"", 0.1)]),
        sure("raud\""),
    ];
    let found = log_probs(&verdicts(), &tokens).expect("log-probabilities");
    assert_probabilities(&found, &[0.5, 0.1, 0.3]);
    assert!((found.covered - 0.8).abs() < 1e-9);
}

#[test]
fn a_token_may_hold_the_closing_quote_and_more() {
    let tokens = [
        sure("{\"verdict\":\""),
        token("fraud\",\"", &[("fraud\",\"", 0.5), ("fraud\"", 0.2), ("fraud", 0.1)]),
    ];
    let found = log_probs(&verdicts(), &tokens).expect("log-probabilities");
    assert!((found.by_choice[0].1.exp() - 0.8).abs() < 1e-9);
}

#[test]
fn several_spellings_of_a_choice_add_up() {
    let alternatives = [("f", 0.2), ("fr", 0.3), ("fraud", 0.1), ("s", 0.2), ("l", 0.2)];
    let tokens = [sure(PREFIX), token("fr", &alternatives), sure("aud\"")];
    let found = log_probs(&verdicts(), &tokens).expect("log-probabilities");
    assert_probabilities(&found, &[0.6, 0.2, 0.2]);
}

#[test]
fn choices_that_begin_alike_are_told_apart_where_they_part() {
    let form = form(&["unlikely", "unsure", "no"]);
    let tokens = [
        sure(PREFIX),
        token("un", &[("un", 0.8), ("no", 0.2)]),
        token("sure", &[("sure", 0.75), ("likely", 0.25)]),
        sure("\""),
    ];
    let found = log_probs(&form, &tokens).expect("log-probabilities");
    assert_probabilities(&found, &[0.2, 0.6, 0.2]);
    assert!((found.covered - 1.0).abs() < 1e-9);
}

#[test]
fn a_choice_that_begins_another_is_told_apart_by_its_quote() {
    let form = form(&["no", "none"]);
    let tokens = [sure(PREFIX), sure("no"), token("\"", &[("\"", 0.7), ("ne", 0.3)])];
    let found = log_probs(&form, &tokens).expect("log-probabilities");
    assert_probabilities(&found, &[0.7, 0.3]);
}

#[test]
fn an_unlisted_choice_has_the_most_it_can_have() {
    let least = [sure(PREFIX), token("fraud", &[("fraud", 0.5), ("x", 0.02)]), sure("\"")];
    let found = log_probs(&verdicts(), &least).expect("log-probabilities");
    assert_probabilities(&found, &[0.5, 0.02, 0.02]);
    let left = [sure(PREFIX), token("fraud", &[("fraud", 0.9), ("sus", 0.099)]), sure("\"")];
    let found = log_probs(&verdicts(), &left).expect("log-probabilities");
    assert_probabilities(&found, &[0.9, 0.099, 0.001]);
    let nothing = [sure(PREFIX), sure("fraud"), sure("\"")];
    let found = log_probs(&verdicts(), &nothing).expect("log-probabilities");
    assert_eq!(found.by_choice[1].1, FLOOR);
}

#[test]
fn probabilities_among_the_choices_sum_to_one_and_keep_their_ratios() {
    let raw = [("fraud", 0.06), ("sus", 0.03), ("leg", 0.01), ("The", 0.9)];
    let masked = [("fraud", 0.6), ("sus", 0.3), ("leg", 0.1)];
    for list in [&raw[..], &masked[..]] {
        let tokens = [sure(PREFIX), token("fraud", list), sure("\"")];
        let found = log_probs(&verdicts(), &tokens).expect("log-probabilities").probabilities();
        let expected = [0.6, 0.3, 0.1];
        assert!(found.iter().zip(expected).all(|((_, p), e)| (p - e).abs() < 1e-9), "{found:?}");
    }
}

#[test]
fn infinite_and_lowest_log_probabilities_stay_finite() {
    let mut masked = token("fraud", &[("fraud", 1.0)]);
    masked.alternatives.push((b"sus".to_vec(), f64::NEG_INFINITY));
    masked.alternatives.push((b"leg".to_vec(), f64::from(f32::MIN)));
    let found = log_probs(&verdicts(), &[sure(PREFIX), masked, sure("\"")]).expect("some");
    assert!(found.by_choice.iter().all(|(_, p)| p.is_finite()), "{found:?}");
}

#[test]
fn tokens_that_do_not_spell_the_prefix_or_a_choice_say_nothing() {
    let form = verdicts();
    assert_eq!(log_probs(&form, &[]), None);
    assert_eq!(log_probs(&form, &[sure("The"), sure(" sea")]), None);
    assert_eq!(log_probs(&form, &[sure(PREFIX)]), None);
    assert_eq!(log_probs(&form, &[sure(PREFIX), sure("xyz")]), None);
}

proptest! {
    /// However the answer is cut into tokens, a sure model is sure of the word it wrote.
    #[test]
    fn every_cut_into_tokens_finds_the_word(
        which in 0_usize..3,
        cuts in proptest::collection::btree_set(1_usize..30, 0..12),
        spaces in 0_usize..3,
    ) {
        let form = verdicts();
        let word = &form.choices()[which];
        let text = format!("{0}{{{0}\"verdict\":{0}\"{word}\",\"note\":\"\"}}", " ".repeat(spaces));
        let mut tokens = Vec::new();
        let mut start = 0;
        for cut in cuts.into_iter().filter(|cut| *cut < text.len()).chain([text.len()]) {
            tokens.push(sure(&text[start..cut]));
            start = cut;
        }
        prop_assert_eq!(search(&form, text.as_bytes()), Search::Found(which));
        let found = log_probs(&form, &tokens).expect("log-probabilities");
        prop_assert!((found.by_choice[which].1).abs() < 1e-9);
        prop_assert!((found.covered - 1.0).abs() < 1e-9);
    }

    /// Garbage in the lists never breaks the sums.
    #[test]
    fn any_list_gives_finite_numbers(
        list in proptest::collection::vec(("[a-z\"{:]{0,6}", -40.0_f64..=0.0), 0..8),
    ) {
        let mut first = sure("fraud");
        first.alternatives.extend(list.into_iter().map(|(text, p)| (text.into_bytes(), p)));
        let found = log_probs(&verdicts(), &[sure(PREFIX), first, sure("\"")]).expect("some");
        prop_assert!((0.0..=1.0).contains(&found.covered));
        prop_assert!(found.by_choice.iter().all(|(_, p)| p.is_finite()));
    }
}
