//! Reads lines and makes request bodies of them.

use std::{
    io::{self, BufRead},
    sync::Arc,
};

use bytes::Bytes;
use serde_json::{Map, Value};

/// Stands for an identifier while its place in the body is looked for.
const PLACE: &str = "\u{1}place of the identifier\u{1}";
/// The longest line, in bytes.
const LINE_MAX: u64 = 1 << 20;
/// The most lines.
const LINES_MAX: usize = 1_000_000;

/// How lines become bodies.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shape {
    /// Lines are bodies as they are.
    pub(super) raw: bool,
    /// Ask for screening that leaves no trace.
    pub(super) dry_run: bool,
    /// The deadline asked for.
    pub(super) deadline_ms: Option<u64>,
}

/// Bodies, and where in each the identifier ends; no ends if lines are raw.
#[derive(Debug)]
pub(super) struct Bodies {
    pub(super) bodies: Arc<[Bytes]>,
    pub(super) id_ends: Option<Arc<[usize]>>,
}

/// Why the input cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    #[error("has no lines to send")]
    Empty,
    #[error("has more than {LINES_MAX} lines")]
    TooMany,
    #[error("line {line}: {problem}")]
    Line { line: usize, problem: String },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads all lines; empty ones are passed over.
pub(super) fn read(mut reader: impl BufRead, shape: Shape) -> Result<Bodies, InputError> {
    let (mut bodies, mut ends) = (Vec::new(), Vec::new());
    let mut text = String::new();
    for line in 1.. {
        let wrong = |problem: String| InputError::Line { line, problem };
        text.clear();
        let read = io::Read::take(&mut reader, LINE_MAX + 1)
            .read_line(&mut text)
            .map_err(|error| wrong(error.to_string()))?;
        if read == 0 {
            break;
        }
        if read as u64 > LINE_MAX {
            return Err(wrong(format!("is longer than {LINE_MAX} bytes")));
        }
        let content = text.trim();
        if content.is_empty() {
            continue;
        }
        if bodies.len() == LINES_MAX {
            return Err(InputError::TooMany);
        }
        if shape.raw {
            bodies.push(Bytes::from(content.to_owned()));
        } else {
            let (body, end) = body(content, shape).map_err(wrong)?;
            bodies.push(body);
            ends.push(end);
        }
    }
    if bodies.is_empty() {
        return Err(InputError::Empty);
    }
    let id_ends = (!shape.raw).then(|| ends.into());
    Ok(Bodies { bodies: bodies.into(), id_ends })
}

/// The body for one line, and where its transaction's identifier ends.
fn body(line: &str, shape: Shape) -> Result<(Bytes, usize), String> {
    let value: Value = serde_json::from_str(line).map_err(|error| {
        format!("is not JSON (column {}); `--raw` sends lines as they are", error.column())
    })?;
    let Value::Object(mut object) = value else {
        return Err("is not a JSON object; `--raw` sends lines as they are".into());
    };
    let mut transaction = match object.remove("transaction") {
        Some(Value::Object(transaction)) => transaction,
        Some(_) => return Err("\"transaction\" is not an object".into()),
        None => object,
    };
    let Some(Value::String(id)) = transaction.get_mut("id") else {
        return Err("the transaction has no \"id\" that is a string".into());
    };
    let id = std::mem::replace(id, PLACE.to_owned());
    let mut request = Map::new();
    request.insert("transaction".into(), Value::Object(transaction));
    if shape.dry_run {
        request.insert("dry_run".into(), true.into());
    }
    if let Some(deadline) = shape.deadline_ms {
        request.insert("deadline_ms".into(), deadline.into());
    }
    let text = Value::Object(request).to_string();
    let (place, id) = (quoted(PLACE), quoted(&id));
    let (before, after) = text.split_once(&place).ok_or("the identifier cannot be placed")?;
    // Behind the last character of the identifier, before its closing quote.
    let end = before.len() + id.len() - 1;
    Ok((Bytes::from(format!("{before}{id}{after}")), end))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UniqueIds;

    fn bodies(text: &str, shape: Shape) -> Result<Vec<String>, String> {
        let read = read(text.as_bytes(), shape).map_err(|error| error.to_string())?;
        Ok(read.bodies.iter().map(|body| String::from_utf8(body.to_vec()).unwrap()).collect())
    }

    #[test]
    fn samples_and_bare_transactions_become_requests_with_what_was_asked_for() {
        let text = "{\"transaction\":{\"id\":\"a\"},\"label\":\"fraud\"}\n\n{\"id\":\"b\"}\r\n";
        assert_eq!(
            bodies(text, Shape::default()).unwrap(),
            [r#"{"transaction":{"id":"a"}}"#, r#"{"transaction":{"id":"b"}}"#]
        );
        let asked = Shape { raw: false, dry_run: true, deadline_ms: Some(50) };
        assert_eq!(
            bodies("{\"id\":\"b\"}", asked).unwrap(),
            [r#"{"transaction":{"id":"b"},"dry_run":true,"deadline_ms":50}"#]
        );
    }

    #[test]
    fn raw_lines_stay_as_they_are() {
        let raw = Shape { raw: true, ..Shape::default() };
        assert_eq!(bodies("not json\n[1]\n", raw).unwrap(), ["not json", "[1]"]);
    }

    #[test]
    fn a_second_pass_changes_the_identifier_of_the_transaction_and_nothing_else() {
        let line = r#"{"account":{"id":"a\"b"},"id":"a\"b","note":"ä"}"#;
        let read = read(line.as_bytes(), Shape::default()).unwrap();
        let unique = UniqueIds { ends: read.id_ends.unwrap(), run: 0 };
        let again: Value = serde_json::from_slice(&unique.apply(&read.bodies[0], 0, 1)).unwrap();
        let mut expected: Value = serde_json::from_str(line).unwrap();
        expected["id"] = "a\"b-r0p1".into();
        assert_eq!(again["transaction"], expected);
    }

    #[test]
    fn what_cannot_be_sent_is_named_with_its_line() {
        for (text, expected) in [
            ("", "no lines"),
            ("\n \n", "no lines"),
            ("{\"id\":\"a\"}\n{\n", "line 2: is not JSON"),
            ("[]", "line 1: is not a JSON object"),
            ("{\"transaction\":1}", "line 1: \"transaction\" is not an object"),
            ("\n{\"id\":1}", "line 2: the transaction has no \"id\""),
        ] {
            let error = bodies(text, Shape::default()).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        let long = "x".repeat(LINE_MAX as usize + 1);
        assert!(bodies(&long, Shape::default()).unwrap_err().contains("longer"));
    }
}
