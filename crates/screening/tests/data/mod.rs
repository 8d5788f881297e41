//! Reads the tables of texts.

#![allow(dead_code, reason = "not every test that shares this uses all of it")]

use domain::Text;
use serde::Deserialize;

/// A text of the tables.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) split: String,
    pub(crate) language: String,
    #[serde(default)]
    pub(crate) technique: String,
    pub(crate) field: String,
    pub(crate) text: String,
}

impl Row {
    /// The text as it stands in a parsed transaction.
    pub(crate) fn cleaned(&self) -> String {
        self.text.parse::<Text<256>>().unwrap().as_str().to_owned()
    }
}

fn read(table: &str) -> Vec<Row> {
    table.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

pub(crate) fn injections() -> Vec<Row> {
    read(include_str!("injections.jsonl"))
}

pub(crate) fn benign() -> Vec<Row> {
    read(include_str!("benign.jsonl"))
}
