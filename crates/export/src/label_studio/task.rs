//! Decisions as tasks for annotators.

use std::{fmt::Write as _, io::Write};

use domain::{Reason, TruthLabel, Verdict};
use serde_json::{Map, Value, json};

use super::{CONTROL, OBJECT};
use crate::{error::ExportError, row::DecisionRow};

/// A decision with what an annotator wants to see of it.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The decision.
    pub row: &'a DecisionRow,
    /// Its transaction, as `POST /v1/screen` takes it.
    pub transaction: &'a Value,
    /// Why it was decided so.
    pub reasons: &'a [Reason],
    /// Tier 2's account of it.
    pub narrative: Option<&'a str>,
}

/// What is shown of a transaction, in this order: label, key of the task's data, and where it
/// stands in the transaction's JSON. Every task has every key, so that the labelling interface can
/// rely on it.
const FIELDS: [(&str, &str, &str); 22] = [
    ("Amount", "amount", "/amount"),
    ("Currency", "currency", "/currency"),
    ("Type", "type", "/type"),
    ("Channel", "channel", "/channel"),
    ("Time", "event_time", "/timestamp"),
    ("Account", "account_id", "/account/id"),
    ("Account opened", "account_opened_at", "/account/opened_at"),
    ("Account country", "account_country", "/account/country"),
    ("Counterparty", "counterparty_name", "/counterparty/name"),
    ("Counterparty id", "counterparty_id", "/counterparty/id"),
    ("Counterparty kind", "counterparty_kind", "/counterparty/kind"),
    ("Category (MCC)", "counterparty_mcc", "/counterparty/mcc"),
    ("Counterparty country", "counterparty_country", "/counterparty/country"),
    ("Counterparty first seen", "counterparty_first_seen", "/counterparty/first_seen"),
    ("Card entry", "card_entry_mode", "/card/entry_mode"),
    ("Terminal", "terminal_id", "/terminal/id"),
    ("Device", "device_id", "/device/id"),
    ("Network address", "device_ip", "/device/ip"),
    ("Network country", "device_ip_country", "/device/ip_country"),
    ("User agent", "device_user_agent", "/device/user_agent"),
    ("Memo", "memo", "/memo"),
    ("Attributes", "attributes", "/attributes"),
];

/// Writes a JSON array of tasks, one at a time.
pub struct TaskWriter<W: Write> {
    out: W,
    blind: bool,
    tasks: u64,
}

impl<W: Write> TaskWriter<W> {
    /// Begins the array. A `blind` one tells annotators nothing of what the models and the policy
    /// said, so that their labels are worth something as a check of those.
    ///
    /// # Errors
    /// When the output fails.
    pub fn new(mut out: W, blind: bool) -> Result<Self, ExportError> {
        out.write_all(b"[")?;
        Ok(Self { out, blind, tasks: 0 })
    }

    /// Adds a task. A decision whose personal parts were erased has nothing to show: `false`.
    ///
    /// # Errors
    /// When the output fails.
    pub fn write(&mut self, case: &Case<'_>) -> Result<bool, ExportError> {
        let Some(task) = task(case, self.blind) else { return Ok(false) };
        self.out.write_all(if self.tasks == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut self.out, &task)?;
        self.tasks += 1;
        Ok(true)
    }

    /// How many were added.
    #[must_use]
    pub fn tasks(&self) -> u64 {
        self.tasks
    }

    /// Ends the array and flushes it.
    ///
    /// # Errors
    /// When the output fails.
    pub fn finish(mut self) -> Result<W, ExportError> {
        self.out.write_all(b"\n]\n")?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn task(case: &Case<'_>, blind: bool) -> Option<Value> {
    let transaction_id = case.row.transaction_id.as_ref()?.as_str();
    let decision_id = case.row.decision_id.to_string();
    let mut data = Map::new();
    // `JSON_MIN` drops `meta`: what finds the transaction again must stand in the data too.
    data.insert("transaction_id".into(), json!(transaction_id));
    data.insert("decision_id".into(), json!(decision_id));
    let mut shown = String::new();
    for (name, key, pointer) in FIELDS {
        let text = case.transaction.pointer(pointer).map(readable).unwrap_or_default();
        if !text.is_empty() {
            let _ = writeln!(shown, "{name}: {text}");
        }
        data.insert(key.into(), text.into());
    }
    let field = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default();
    let headline = [field("amount"), field("currency"), field("type"), field("counterparty_name")]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" · ");
    data.insert("headline".into(), headline.into());
    data.insert(OBJECT.into(), shown.into());
    data.insert("models".into(), if blind { "(not shown)".into() } else { models(case).into() });
    let mut task = json!({
        "data": data,
        "meta": { "decision_id": decision_id, "transaction_id": transaction_id },
    });
    if !blind {
        task["predictions"] = json!([prediction(case.row)]);
    }
    Some(task)
}

/// A value as a person reads it.
fn readable(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(map) => {
            let pair = |(key, value): (&String, &Value)| format!("{key} = {}", readable(value));
            map.iter().map(pair).collect::<Vec<_>>().join(", ")
        }
        Value::Array(list) => list.iter().map(readable).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn models(case: &Case<'_>) -> String {
    let row = case.row;
    let mut text = format!(
        "Outcome: {} (by {}), score {:.3}\n",
        row.outcome,
        row.decided_by,
        row.score.value()
    );
    for reason in case.reasons {
        let _ = writeln!(text, "{}: {}", reason.code, reason.detail);
    }
    if let Some(verdict) = row.analysis_verdict {
        let _ = writeln!(text, "Verdict: {verdict}");
    }
    if let Some(narrative) = case.narrative {
        let _ = writeln!(text, "{narrative}");
    }
    text
}

/// What the models would choose. `score` is how sure they are of that choice, 0.5 to 1 where there
/// is no verdict, so that the doubtful come first when tasks are sorted by it.
fn prediction(row: &DecisionRow) -> Value {
    let fraud = row.score.value();
    let choice = match row.analysis_verdict {
        Some(Verdict::Fraud) => TruthLabel::Fraud,
        Some(Verdict::Legitimate) => TruthLabel::Legitimate,
        Some(Verdict::Suspicious) | None if fraud >= 0.5 => TruthLabel::Fraud,
        Some(Verdict::Suspicious) | None => TruthLabel::Legitimate,
    };
    let sure = if choice == TruthLabel::Fraud { fraud } else { 1.0 - fraud };
    let package = row.analysis_package.as_ref().or(row.screening_package.as_ref());
    let version = package.map(|package| format!("{} {}", package.name, package.version));
    json!({
        "model_version": version.unwrap_or_else(|| "weir".into()),
        "score": sure,
        "result": [{
            "from_name": CONTROL,
            "to_name": OBJECT,
            "type": "choices",
            "value": { "choices": [choice.as_str()] },
        }],
    })
}
