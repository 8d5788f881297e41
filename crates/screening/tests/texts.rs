//! The detector over the tables of texts in `tests/data`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod data;

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

#[test]
fn injections_are_found() {
    for split in ["tune", "held_out"] {
        let (flagged, all, wrong) = count(&injections(), split, true);
        println!("injections, {split}: {flagged} of {all} found");
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

#[test]
fn ordinary_texts_full_of_trigger_words_are_left_alone() {
    for split in ["tune", "held_out"] {
        let (flagged, all, wrong) = count(&benign(), split, false);
        println!("benign, {split}: {flagged} of {all} flagged");
        assert!(wrong.is_empty(), "{wrong:#?}");
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
