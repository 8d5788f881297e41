//! What differs between two policies, in the document's terms.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use toml::Value;

use crate::document::Document;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Where in the document, such as `thresholds.escalate` or `rules.blocked-merchant.when`;
    /// segments and rules go by their names.
    pub path: String,
    /// The value before, as TOML writes it; `None` when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The value after; `None` when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, from, to } = self;
        match (from, to) {
            (Some(from), Some(to)) => write!(f, "~ {path}: {from} -> {to}"),
            (None, Some(to)) => write!(f, "+ {path}: {to}"),
            (Some(from), None) => write!(f, "- {path}: {from}"),
            (None, None) => write!(f, "  {path}"),
        }
    }
}

/// The differences, in the order of their paths. A value that is left out and one that is written
/// as it is by default are the same.
pub(crate) fn changes(from: &Document, to: &Document) -> Vec<Change> {
    let (before, after) = (leaves(from), leaves(to));
    let paths: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let change = |path: &String| Change {
        path: path.clone(),
        from: before.get(path).cloned(),
        to: after.get(path).cloned(),
    };
    let mut changes: Vec<_> =
        paths.into_iter().map(change).filter(|change| change.from != change.to).collect();
    changes.extend(order("segments", &names_of_segments(from), &names_of_segments(to)));
    changes.extend(order("rules", &names_of_rules(from), &names_of_rules(to)));
    changes
}

fn names_of_segments(document: &Document) -> Vec<&str> {
    document.segments.iter().map(|segment| segment.name.get_ref().as_str()).collect()
}

fn names_of_rules(document: &Document) -> Vec<&str> {
    document.rules.iter().map(|rule| rule.id.get_ref().as_str()).collect()
}

/// The first that matches wins: the order of what is in both is a difference.
fn order(table: &str, from: &[&str], to: &[&str]) -> Option<Change> {
    let common = |names: &[&str], other: &[&str]| -> String {
        let kept = names.iter().filter(|name| other.contains(name)).copied();
        kept.collect::<Vec<_>>().join(", ")
    };
    let (before, after) = (common(from, to), common(to, from));
    (before != after).then(|| Change {
        path: format!("{table} (order)"),
        from: Some(before),
        to: Some(after),
    })
}

fn leaves(document: &Document) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    if let Ok(value) = Value::try_from(document) {
        flatten(&value, String::new(), &mut leaves);
    }
    leaves
}

fn flatten(value: &Value, path: String, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(value, path, leaves);
            }
        }
        Value::Array(elements) if elements.iter().all(Value::is_table) => {
            for (n, element) in elements.iter().enumerate() {
                let name = element.get("name").or_else(|| element.get("id"));
                let path = match name.and_then(Value::as_str) {
                    Some(name) => format!("{path}.{name}"),
                    None => format!("{path}[{n}]"),
                };
                flatten(element, path, leaves);
            }
        }
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => {
            leaves.insert(path, value.to_string());
        }
        Value::Datetime(_) | Value::Array(_) => {
            leaves.insert(path, value.to_string());
        }
    }
}
