//! The facts as rules see them.

use std::{collections::HashMap, sync::Arc};

use cel::{
    Context, Env, Value,
    objects::{Key, Map},
};
use chrono::DateTime;
use domain::Score;
use serde::Serialize;
use serde_json::Value as Json;

use super::vocabulary::{ELEMENTS_MAX, Kind, VARIABLES, find};

/// Whether strangers' text is in sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Everything.
    Full,
    /// Nothing that a stranger wrote, as if it had not been sent.
    WithoutText,
}

/// The facts, ready for rules: with strangers' text and without.
pub(crate) struct Views {
    full: Context<'static, 'static>,
    /// `None` when there is no text: both views are the same.
    without_text: Option<Context<'static, 'static>>,
}

impl Views {
    /// Fields outside the vocabulary are left out, and so are nulls: what is absent is absent.
    pub(crate) fn new(env: &Arc<Env>, facts: &Json) -> Self {
        let mut texts = 0;
        let full = context(env, facts, Sight::Full, &mut texts);
        let without_text = (texts > 0).then(|| context(env, facts, Sight::WithoutText, &mut texts));
        Self { full, without_text }
    }

    /// The view of that sight.
    pub(crate) fn get(&self, sight: Sight) -> &Context<'static, 'static> {
        match sight {
            Sight::Full => &self.full,
            Sight::WithoutText => self.without_text.as_ref().unwrap_or(&self.full),
        }
    }

    /// Whether the views differ.
    pub(crate) fn has_text(&self) -> bool {
        self.without_text.is_some()
    }
}

/// `facts` serialise to a map of `transaction`, `velocity` and `derived`; the score and whether a
/// text gives instructions are added. `None` when they do not.
pub(crate) fn read(facts: &impl Serialize, screening: Score, instructed: bool) -> Option<Json> {
    let mut facts = serde_json::to_value(facts).ok()?;
    let root = facts.as_object_mut()?;
    root.insert("screening".into(), serde_json::json!({ "score": screening.value() }));
    if let Some(derived) = root.get_mut("derived").and_then(Json::as_object_mut) {
        derived.insert("instructed".into(), instructed.into());
    }
    Some(facts)
}

fn context(
    env: &Arc<Env>,
    facts: &Json,
    sight: Sight,
    texts: &mut usize,
) -> Context<'static, 'static> {
    let mut context = Context::with_env(Arc::clone(env));
    for (name, kind) in VARIABLES {
        let value = facts.get(name).and_then(|value| convert(value, *kind, sight, texts));
        context.add_variable_from_value(*name, value.unwrap_or_else(|| map(HashMap::new())));
    }
    context
}

fn map(members: HashMap<Key, Value>) -> Value {
    Value::Map(Map { map: Arc::new(members) })
}

/// The value as its kind, or `None` when it is absent, out of sight or of another kind.
fn convert(value: &Json, kind: Kind, sight: Sight, texts: &mut usize) -> Option<Value> {
    match kind {
        Kind::Bool => value.as_bool().map(Value::Bool),
        Kind::Int => value.as_i64().map(Value::Int),
        Kind::Double => double(value).map(Value::Float),
        Kind::Time => DateTime::parse_from_rfc3339(value.as_str()?).ok().map(Value::Timestamp),
        Kind::Word => value.as_str().map(string),
        Kind::Text => {
            let text = value.as_str()?;
            *texts += 1;
            (sight == Sight::Full).then(|| string(text))
        }
        Kind::TextBool => {
            let stands = value.as_bool()?;
            *texts += usize::from(stands);
            Some(Value::Bool(stands && sight == Sight::Full))
        }
        Kind::Fields(fields) => {
            let members = value.as_object()?.iter().filter_map(|(name, member)| {
                let value = convert(member, find(fields, name)?, sight, texts)?;
                Some((Key::from(name.as_str()), value))
            });
            Some(map(members.collect()))
        }
        Kind::List(kind) => {
            let elements = value.as_array()?.iter().take(ELEMENTS_MAX as usize);
            let elements = elements.filter_map(|element| convert(element, *kind, sight, texts));
            Some(Value::List(Arc::new(elements.collect())))
        }
        Kind::Attributes => {
            let members = value.as_object()?.iter().take(ELEMENTS_MAX as usize);
            let members = members.filter_map(|(name, member)| {
                let kind = match member {
                    Json::Bool(_) => Kind::Bool,
                    Json::Number(_) => Kind::Double,
                    Json::Null | Json::String(_) | Json::Array(_) | Json::Object(_) => Kind::Text,
                };
                Some((Key::from(name.as_str()), convert(member, kind, sight, texts)?))
            });
            Some(map(members.collect()))
        }
    }
}

/// A number, or a decimal string as amounts are written.
fn double(value: &Json) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|number| number.is_finite())
}

fn string(text: &str) -> Value {
    Value::String(Arc::new(text.to_owned()))
}

/// Facts in which everything is present, to try a rule on.
pub(crate) fn sample() -> Json {
    Json::Object(
        VARIABLES.iter().map(|(name, kind)| ((*name).to_owned(), example(*kind))).collect(),
    )
}

fn example(kind: Kind) -> Json {
    match kind {
        Kind::Bool => true.into(),
        Kind::TextBool => false.into(),
        Kind::Int => 1.into(),
        Kind::Double => 1.5.into(),
        Kind::Time => "2026-03-01T12:00:00Z".into(),
        Kind::Word | Kind::Text => "x".into(),
        Kind::Attributes => Json::Object(serde_json::Map::new()),
        Kind::List(kind) => Json::Array(vec![example(*kind)]),
        Kind::Fields(fields) => Json::Object(
            fields.iter().map(|(name, kind)| ((*name).to_owned(), example(*kind))).collect(),
        ),
    }
}
