//! The detector over the tables of texts in `tests/data`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod data;

use std::collections::BTreeSet;

use data::{Row, benign, injections};
use domain::Text;
use screening::{Finding, instruction_like};

fn found(row: &Row) -> Option<Finding> {
    instruction_like(&row.cleaned())
}

/// `(flagged, all)` of the rows of a split, and the ids that went the wrong way.
fn count(rows: &[Row], split: &str, wanted: bool) -> (usize, usize, Vec<String>) {
    let rows: Vec<_> = rows.iter().filter(|row| row.split == split).collect();
    let wrong = rows.iter().filter(|row| found(row).is_some() != wanted);
    let wrong: Vec<_> =
        wrong.map(|row| format!("{} {:?} {:?}", row.id, row.text, found(row))).collect();
    let flagged = rows.iter().filter(|row| found(row).is_some()).count();
    (flagged, rows.len(), wrong)
}

/// Rows of the held-out split that the detector misses: paraphrases without any of its words.
/// The split was written after the detector and is not tuned on; a change here is news.
const MISSED: &[&str] = &[
    "i139", "i140", "i141", "i146", "i147", "i148", "i153", "i155", "i157", "i162", "i163", "i165",
    "i166", "i173", "i186", "i187", "i192", "i203",
];

#[test]
fn injections_are_found_but_for_known_paraphrases() {
    for split in ["tune", "held_out"] {
        let (flagged, all, wrong) = count(&injections(), split, true);
        println!("injections, {split}: {flagged} of {all} found");
        let unknown: Vec<_> =
            wrong.iter().filter(|row| !MISSED.iter().any(|id| row.starts_with(id))).collect();
        assert!(unknown.is_empty(), "{unknown:#?}");
        assert!(split == "held_out" || wrong.is_empty());
        assert!(flagged * 10 >= all * 7, "{flagged} of {all}");
    }
}

#[test]
fn the_tables_have_rows_of_every_language_and_no_id_twice() {
    let languages: BTreeSet<_> = injections().into_iter().map(|row| row.language).collect();
    for language in "en de fr es it pt nl pl tr ru uk ar hi zh ja ko".split(' ') {
        assert!(languages.contains(language), "{language}");
    }
    for rows in [injections(), benign()] {
        let ids: BTreeSet<_> = rows.iter().map(|row| &row.id).collect();
        assert_eq!(ids.len(), rows.len());
        assert!(rows.iter().filter(|row| row.split == "held_out").count() * 4 >= rows.len());
    }
}

#[test]
fn ordinary_texts_full_of_trigger_words_are_left_alone() {
    for split in ["tune", "held_out"] {
        let (flagged, all, wrong) = count(&benign(), split, false);
        println!("benign, {split}: {flagged} of {all} flagged");
        assert!(flagged * 50 < all, "{wrong:#?}");
    }
}

/// Names and memos of the samples, which the shipped models' training data resembles.
fn sample_texts() -> Vec<String> {
    let mut texts = Vec::new();
    for file in ["history.ndjson", "payments.ndjson"] {
        let path = format!("{}/../../samples/{file}", env!("CARGO_MANIFEST_DIR"));
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let transaction = &value["transaction"];
            for pointer in ["/memo", "/counterparty/name", "/device/user_agent"] {
                texts.extend(
                    transaction.pointer(pointer).and_then(|t| t.as_str()).map(str::to_owned),
                );
            }
        }
    }
    texts
}

#[test]
fn the_texts_of_the_samples_are_neither_changed_nor_flagged() {
    let texts = sample_texts();
    assert!(texts.len() > 10_000, "{}", texts.len());
    for text in texts {
        assert_eq!(text.parse::<Text<256>>().unwrap().as_str(), text);
        assert_eq!(instruction_like(&text), None, "{text}");
    }
}
