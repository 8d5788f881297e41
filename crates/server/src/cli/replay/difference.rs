//! Where two JSON documents differ.

use serde::Serialize;
use serde_json::Value;

/// One place at which they differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Difference {
    /// A JSON pointer.
    pub(super) pointer: String,
    /// What was recorded; null where there was nothing.
    pub(super) recorded: Value,
    /// What comes out now.
    pub(super) recomputed: Value,
}

/// Every place, in the order of the recorded document.
pub(super) fn differences(recorded: &str, recomputed: &str) -> Vec<Difference> {
    let mut found = Vec::new();
    match (serde_json::from_str(recorded), serde_json::from_str(recomputed)) {
        (Ok(recorded), Ok(recomputed)) => walk("", &recorded, &recomputed, &mut found),
        _ => found.push(Difference {
            pointer: String::new(),
            recorded: Value::String(recorded.to_owned()),
            recomputed: Value::String(recomputed.to_owned()),
        }),
    }
    found
}

fn walk(pointer: &str, recorded: &Value, recomputed: &Value, found: &mut Vec<Difference>) {
    if recorded == recomputed {
        return;
    }
    match (recorded, recomputed) {
        (Value::Object(a), Value::Object(b)) => {
            for (name, value) in a {
                let other = b.get(name).unwrap_or(&Value::Null);
                walk(&format!("{pointer}/{name}"), value, other, found);
            }
            for (name, value) in b.iter().filter(|(name, _)| !a.contains_key(*name)) {
                walk(&format!("{pointer}/{name}"), &Value::Null, value, found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                walk(&format!("{pointer}/{n}"), a, b, found);
            }
        }
        _ => found.push(Difference {
            pointer: pointer.to_owned(),
            recorded: recorded.clone(),
            recomputed: recomputed.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_place_is_named_and_equal_documents_have_none() {
        let a = r#"{"score":0.5,"reasons":[{"code":"A"}],"only":1}"#;
        assert!(differences(a, a).is_empty());
        let b = r#"{"score":0.6,"reasons":[{"code":"B"}],"new":2}"#;
        let found = differences(a, b);
        let pointers: Vec<_> = found.iter().map(|d| d.pointer.as_str()).collect();
        assert_eq!(pointers, ["/score", "/reasons/0/code", "/only", "/new"]);
        assert_eq!(found.first().map(|d| d.recomputed.clone()), Some(json!(0.6)));
    }
}
