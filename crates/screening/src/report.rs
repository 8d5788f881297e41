//! Tier 2's report: its schema, its parser, and the check against the facts.

use std::collections::BTreeSet;

use domain::{Outcome, Reason, ReasonCode, Typology, Verdict};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{facts::Facts, reasons::support};

/// What every report begins with; the verdict's first token follows.
pub const REPORT_PREFIX: &str = "{\"verdict\":\"";

/// The most reasons a report may claim.
const REASONS_MAX: usize = 4;
/// The longest narrative, in characters.
const NARRATIVE_MAX: usize = 240;

/// The verdicts in the order of the schema.
#[must_use]
pub fn verdict_words() -> Vec<&'static str> {
    Verdict::ALL.iter().map(|verdict| verdict.as_str()).collect()
}

/// The JSON schema that constrains generation. Property order is the order of writing: the
/// verdict comes first, so that the decision is ready right after prefill.
#[must_use]
pub fn report_schema() -> Value {
    let words = |all: Vec<&'static str>| json!({ "type": "string", "enum": all });
    let mut properties = Map::new();
    properties.insert("verdict".into(), words(verdict_words()));
    properties.insert("typology".into(), words(Typology::ALL.iter().map(|t| t.as_str()).collect()));
    let codes = ReasonCode::ALL.iter().map(|code| code.as_str()).collect();
    properties.insert(
        "reasons".into(),
        json!({ "type": "array", "items": words(codes), "maxItems": REASONS_MAX }),
    );
    properties.insert("action".into(), words(Outcome::ALL.iter().map(|o| o.as_str()).collect()));
    properties.insert("narrative".into(), json!({ "type": "string", "maxLength": NARRATIVE_MAX }));
    let required: Vec<String> = properties.keys().cloned().collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// A report that passed the schema; its claims are not checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The conclusion.
    pub verdict: Verdict,
    /// The pattern recognised.
    pub typology: Typology,
    /// The codes claimed.
    pub reasons: Vec<ReasonCode>,
    /// What the model would do.
    pub action: Outcome,
    /// The account of the case.
    pub narrative: String,
}

/// A report that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Not JSON of the schema.
    #[error("the report does not follow its schema: {0}")]
    Schema(String),
}

/// What the check against the facts left of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grounded {
    pub(crate) reasons: Vec<Reason>,
    pub(crate) reasons_dropped: usize,
    pub(crate) narrative: Option<String>,
}

impl Report {
    /// Parses the text a model wrote.
    ///
    /// # Errors
    /// When it is not JSON, or breaks the schema.
    pub fn parse(text: &str) -> Result<Self, ReportError> {
        let schema = |detail: String| ReportError::Schema(detail);
        let report: Self = serde_json::from_str(text).map_err(|error| schema(error.to_string()))?;
        if report.reasons.len() > REASONS_MAX {
            return Err(schema(format!("more than {REASONS_MAX} reasons")));
        }
        if report.narrative.chars().count() > NARRATIVE_MAX {
            return Err(schema(format!("a narrative of more than {NARRATIVE_MAX} characters")));
        }
        Ok(report)
    }

    /// Drops the codes that the facts do not support, and the narrative when it states a
    /// number that does not stand in the prompt.
    pub(crate) fn ground(&self, facts: &Facts, prompt: &str) -> Grounded {
        let mut seen = BTreeSet::new();
        let reasons: Vec<Reason> = self
            .reasons
            .iter()
            .filter(|code| seen.insert(**code))
            .filter_map(|&code| support(code, facts).map(|detail| Reason { code, detail }))
            .collect();
        let known = numbers(prompt);
        let stated = numbers(&self.narrative);
        let narrative = stated.is_subset(&known).then(|| self.narrative.clone());
        Grounded { reasons_dropped: seen.len() - reasons.len(), reasons, narrative }
    }
}

/// The numbers that a text states: digits with inner points, trailing zeros dropped, so that
/// `12.50` and `12.5` are the same number.
fn numbers(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .map(|word| word.trim_matches('.'))
        .filter(|word| word.bytes().any(|b| b.is_ascii_digit()))
        .map(|word| match word.contains('.') {
            true => word.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => word.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        let known = numbers("amount 249.50 EUR, 3 earlier, mean 41.");
        for stated in ["249.5 spent", "after 3", "mean of 41", "no number"] {
            assert!(numbers(stated).is_subset(&known), "{stated}");
        }
        for stated in ["250", "24", "1,000", "4"] {
            assert!(!numbers(stated).is_subset(&known), "{stated}");
        }
    }

    #[test]
    fn reports_outside_the_schema_are_refused() {
        let good = r#"{"verdict":"fraud","typology":"mule_account","reasons":["NEW_DEVICE"],"action":"decline","narrative":"x"}"#;
        assert!(Report::parse(good).is_ok());
        for (from, to) in [
            ("\"fraud\"", "\"maybe\""),
            ("NEW_DEVICE", "I_SAID_SO"),
            ("\"x\"", "7"),
            ("\"action\"", "\"actions\""),
            ("}", ",\"more\":1}"),
            ("}", ""),
        ] {
            assert!(Report::parse(&good.replacen(from, to, 1)).is_err(), "{to}");
        }
        assert!(Report::parse("The transaction looks fine.").is_err());
    }
}
