//! Rows as lines of JSON.

use std::{collections::BTreeMap, io::Write};

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use crate::{
    columns::{COLUMNS, Value},
    error::ExportError,
    row::DecisionRow,
};

/// Writes one line. Every line has every column, absent ones as `null`.
pub(crate) fn write_line(row: &DecisionRow, mut out: impl Write) -> Result<(), ExportError> {
    let mut embedded = BTreeMap::new();
    for column in &COLUMNS {
        if let Value::Json(value) = column.value
            && let Some(text) = value(row)
        {
            embedded.insert(column.name, embeddable(column.name, row, text)?);
        }
    }
    serde_json::to_writer(&mut out, &Line { row, embedded })?;
    out.write_all(b"\n")?;
    Ok(())
}

/// JSON that can stand in a line. Raw line breaks can only stand between JSON's tokens.
fn embeddable(
    what: &'static str,
    row: &DecisionRow,
    text: &str,
) -> Result<Box<RawValue>, ExportError> {
    one_line(text).map_err(|error| ExportError::NotJson {
        what,
        decision: row.decision_id.to_string(),
        detail: error.to_string(),
    })
}

/// The same JSON on one line.
pub(crate) fn one_line(text: &str) -> Result<Box<RawValue>, serde_json::Error> {
    RawValue::from_string(text.replace(['\n', '\r'], " "))
}

struct Line<'a> {
    row: &'a DecisionRow,
    embedded: BTreeMap<&'static str, Box<RawValue>>,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(COLUMNS.len()))?;
        for column in &COLUMNS {
            let (name, row) = (column.name, self.row);
            match column.value {
                Value::Text(value) => map.serialize_entry(name, &value(row))?,
                Value::Time(value) => map.serialize_entry(name, &value(row))?,
                Value::Number(value) => map.serialize_entry(name, &value(row))?,
                Value::Flag(value) => map.serialize_entry(name, &value(row))?,
                Value::Json(_) => map.serialize_entry(name, &self.embedded.get(name))?,
            }
        }
        map.end()
    }
}
