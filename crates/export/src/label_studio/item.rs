//! One item of an export: a task with its annotations (`JSON`), or one annotation (`JSON_MIN`).

use domain::{TransactionId, TruthLabel};
use jiff::Timestamp;
use serde_json::Value;

use super::{CONTROL, UNSURE};

/// What one annotator said of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vote {
    /// Who; two without a name are two people.
    pub(crate) annotator: Option<String>,
    pub(crate) choice: Choice,
    /// When it was last changed.
    pub(crate) at: Timestamp,
    /// Someone marked it as the truth.
    pub(crate) is_ground_truth: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    Label(TruthLabel),
    Unsure,
}

/// What an item says.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) transaction_id: TransactionId,
    pub(crate) votes: Vec<Vote>,
    /// Annotations that the annotator skipped.
    pub(crate) cancelled: u64,
    /// Annotations without a choice.
    pub(crate) empty: u64,
    /// What is wrong with an annotation; the others count.
    pub(crate) bad: Vec<String>,
}

impl Item {
    /// Reads an item of either kind. The error tells what is wrong with it as a whole.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        if !value.is_object() {
            return Err("is not an object".into());
        }
        // `completions` is what old versions call them.
        let annotations = value.get("annotations").or_else(|| value.get("completions"));
        let (places, annotations): (&[&str], &[Value]) = match annotations {
            Some(list) => (
                &["/data/transaction_id", "/meta/transaction_id"],
                list.as_array().ok_or("annotations is not a list")?,
            ),
            None => (&["/transaction_id"], std::slice::from_ref(value)),
        };
        let id = places.iter().find_map(|place| value.pointer(place)?.as_str());
        let id = id.ok_or("has no transaction_id: it is not one of Weir's tasks")?;
        let mut item = Self {
            transaction_id: id.parse()?,
            votes: Vec::new(),
            cancelled: 0,
            empty: 0,
            bad: Vec::new(),
        };
        for annotation in annotations {
            item.take(annotation);
        }
        Ok(item)
    }

    fn take(&mut self, annotation: &Value) {
        let is = |name: &str| annotation.get(name).and_then(Value::as_bool) == Some(true);
        if is("was_cancelled") || is("skipped") {
            self.cancelled += 1;
            return;
        }
        match vote(annotation, is("ground_truth")) {
            Ok(Some(vote)) => self.votes.push(vote),
            Ok(None) => self.empty += 1,
            Err(what) => self.bad.push(what),
        }
    }
}

fn vote(annotation: &Value, is_ground_truth: bool) -> Result<Option<Vote>, String> {
    let chosen = match annotation.get("result") {
        Some(result) => chosen(result)?,
        None => annotation.get(CONTROL).map_or(Ok(Vec::new()), words)?,
    };
    let choice = match chosen.as_slice() {
        [] => return Ok(None),
        [UNSURE] => Choice::Unsure,
        [word] => {
            Choice::Label(word.parse().map_err(|_| format!("{word:?} is no choice of Weir's"))?)
        }
        several => return Err(format!("has {} choices", several.len())),
    };
    let time = ["updated_at", "created_at"].iter().find_map(|name| annotation.get(name)?.as_str());
    let at = time.ok_or("has no time")?;
    let at = at.parse().map_err(|_| format!("{at:?} is not a time"))?;
    let by = annotation.get("completed_by").or_else(|| annotation.get("annotator"));
    Ok(Some(Vote { annotator: by.and_then(annotator), choice, at, is_ground_truth }))
}

/// The choices among an annotation's results.
fn chosen(result: &Value) -> Result<Vec<&str>, String> {
    let results = result.as_array().ok_or("result is not a list")?;
    let ours = |result: &&Value| result.get("from_name").and_then(Value::as_str) == Some(CONTROL);
    let mut all = Vec::new();
    for result in results.iter().filter(ours) {
        all.extend(words(result.get("value").ok_or("a result has no value")?)?);
    }
    Ok(all)
}

/// `"fraud"`, `["fraud"]` or `{"choices": ["fraud"]}`.
fn words(value: &Value) -> Result<Vec<&str>, String> {
    let value = value.get("choices").unwrap_or(value);
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(word) => Ok(vec![word]),
        Value::Array(list) => {
            list.iter().map(|word| word.as_str().ok_or("a choice is not a text".into())).collect()
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err("a choice is not a text".into())
        }
    }
}

/// A number, a mail address, or an object with either.
fn annotator(by: &Value) -> Option<String> {
    match by {
        Value::Number(id) => Some(id.to_string()),
        Value::String(name) if !name.is_empty() && name != "None" => Some(name.clone()),
        Value::Object(user) => annotator(user.get("id").or_else(|| user.get("email"))?),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) => None,
    }
}
