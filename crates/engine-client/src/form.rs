//! What is asked for: one JSON object whose first property is a verdict.

use std::sync::Arc;

use jsonschema::Validator;
use serde_json::{Map, Value};

use crate::error::FormError;

/// The schema of the answer, what it begins with, and the words the verdict is chosen from.
/// Compiled once, cheap to clone.
#[derive(Debug, Clone)]
pub struct Form(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    schema: Value,
    validator: Validator,
    prefix: String,
    property: String,
    choices: Vec<String>,
}

impl Form {
    /// `prefix` is what every compact answer begins with, up to the verdict's opening quote:
    /// `{"verdict":"`. `choices` are the verdict's words, in the caller's order.
    ///
    /// # Errors
    /// When the schema does not compile, its first property is not the prefix's, the prefix is
    /// not the start of an object with one string, or the choices are empty, repeat, or need
    /// escapes in JSON.
    pub fn new(schema: Value, prefix: &str, choices: &[&str]) -> Result<Self, FormError> {
        let fail = |what: &str| Err(FormError(what.into()));
        let Ok(object) = serde_json::from_str::<Map<String, Value>>(&format!("{prefix}\"}}"))
        else {
            return fail("the prefix is not the start of an object, up to a string's quote");
        };
        let mut properties = object.into_iter();
        let (Some((property, value)), None) = (properties.next(), properties.next()) else {
            return fail("the prefix holds one property");
        };
        if value.as_str() != Some("") {
            return fail("the prefix ends with the opening quote of the verdict");
        }
        let first = schema["properties"].as_object().and_then(|all| all.keys().next());
        if first != Some(&property) {
            return fail("the schema's first property is not the prefix's");
        }
        let plain = |word: &&str| {
            !word.is_empty() && !word.contains(['"', '\\']) && !word.contains(char::is_control)
        };
        if choices.is_empty() || !choices.iter().all(plain) {
            return fail("there are choices, each a word without quotes or escapes");
        }
        if (1..choices.len()).any(|i| choices[..i].contains(&choices[i])) {
            return fail("a choice repeats");
        }
        let validator = jsonschema::validator_for(&schema)
            .map_err(|error| FormError(format!("the schema does not compile: {error}")))?;
        let choices = choices.iter().map(|&word| word.to_owned()).collect();
        let prefix = prefix.to_owned();
        Ok(Self(Arc::new(Inner { schema, validator, prefix, property, choices })))
    }

    /// The JSON schema.
    #[must_use]
    pub fn schema(&self) -> &Value {
        &self.0.schema
    }

    /// What every compact answer begins with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0.prefix
    }

    /// The verdict's words.
    #[must_use]
    pub fn choices(&self) -> &[String] {
        &self.0.choices
    }

    /// Whether a finished text is JSON of the schema that concludes with `word`. The answer's own
    /// words stay out of the message.
    pub(crate) fn check(&self, text: &str, word: &str) -> Result<(), String> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        if let Err(error) = self.0.validator.validate(&value) {
            return Err(format!(
                "breaks the schema at '{}' ({})",
                error.instance_path(),
                error.schema_path()
            ));
        }
        // A property written twice is read as its last value, after the first has been announced.
        if value[&self.0.property].as_str() != Some(word) {
            return Err("states its verdict twice".into());
        }
        Ok(())
    }
}

/// One question to the engine.
#[derive(Debug, Clone)]
pub struct Request {
    /// The prompt: the user's message with [`Endpoint::Chat`](crate::Endpoint::Chat), everything
    /// that the model reads with [`Endpoint::Completions`](crate::Endpoint::Completions).
    pub prompt: String,
    /// What the answer looks like.
    pub form: Form,
    /// The most tokens the engine may write.
    pub max_tokens: u32,
}
