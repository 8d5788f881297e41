//! Reads JSON objects strictly: every problem is collected with its JSON pointer, unknown
//! members included, so that a caller can mend a request in one go.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One thing wrong with an input document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Violation {
    /// RFC 6901 pointer to the offending member, such as `/transaction/amount`.
    pub pointer: String,
    /// What is wrong and what would be right, without repeating the value.
    pub detail: String,
}

/// All that is wrong with an input document. Never empty when returned as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violations(pub Vec<Violation>);

/// The most violations kept for one document; a flood of unknown members says nothing more.
const VIOLATIONS_MAX: usize = 32;

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, violation) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", violation.pointer, violation.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

impl Violations {
    /// Adds a violation, up to a bound.
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.0.len() < VIOLATIONS_MAX {
            self.0.push(Violation { pointer: pointer.into(), detail: detail.into() });
        }
    }

    /// `Err(self)` when anything was added.
    ///
    /// # Errors
    /// The violations themselves.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// A cursor over one JSON object that remembers which members were read.
pub struct ObjectReader<'a, 'v> {
    object: &'a Map<String, Value>,
    pointer: String,
    known: Vec<&'static str>,
    violations: &'v mut Violations,
}

/// No object has more known members; one that had would only cost an allocation.
const KNOWN_MAX: usize = 16;

impl<'a, 'v> ObjectReader<'a, 'v> {
    /// Opens `value` as an object found at `pointer`; anything else is a violation.
    pub fn open(value: &'a Value, pointer: &str, violations: &'v mut Violations) -> Option<Self> {
        match value.as_object() {
            Some(object) => {
                let known = Vec::with_capacity(KNOWN_MAX);
                Some(Self { object, pointer: pointer.to_owned(), known, violations })
            }
            None => {
                violations.add(pointer, format!("must be an object, not {}", kind_of(value)));
                None
            }
        }
    }

    /// A required member turned into `T`; its absence, or `null`, is a violation.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.require(name)?;
        self.parse(name, value, parse)
    }

    /// An optional member turned into `T`; absent and `null` are alike.
    pub fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.take(name)?;
        self.parse(name, value, parse)
    }

    /// A required nested object.
    pub fn required_object<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut ObjectReader<'_, '_>) -> Option<T>,
    ) -> Option<T> {
        let value = self.require(name)?;
        self.nested(name, value, read)
    }

    /// An optional nested object; it is closed (unknown members refused) after `read`.
    pub fn optional_object<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut ObjectReader<'_, '_>) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(name)?;
        self.nested(name, value, read)
    }

    /// The raw member, remembered as read. `None` for absent and `null`.
    pub fn take(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.object.get(name).filter(|value| !value.is_null())
    }

    /// Adds a violation at a member of this object.
    pub fn violation(&mut self, name: &str, detail: impl Into<String>) {
        let pointer = self.child(name);
        self.violations.add(pointer, detail);
    }

    /// Refuses every member that was not read, by name.
    pub fn close(self) {
        for name in self.object.keys().filter(|name| !self.known.contains(&name.as_str())) {
            let pointer = self.child(name);
            let detail = format!("is not a known field; known here: {}", self.known.join(", "));
            self.violations.add(pointer, detail);
        }
    }

    fn require(&mut self, name: &'static str) -> Option<&'a Value> {
        let value = self.take(name);
        if value.is_none() {
            self.violations.add(self.child(name), "is required");
        }
        value
    }

    fn parse<T>(
        &mut self,
        name: &'static str,
        value: &Value,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        match parse(value) {
            Ok(parsed) => Some(parsed),
            Err(detail) => {
                self.violations.add(self.child(name), detail);
                None
            }
        }
    }

    fn nested<T>(
        &mut self,
        name: &'static str,
        value: &Value,
        read: impl FnOnce(&mut ObjectReader<'_, '_>) -> Option<T>,
    ) -> Option<T> {
        let pointer = self.member(name);
        let mut reader = ObjectReader::open(value, &pointer, self.violations)?;
        let parsed = read(&mut reader);
        reader.close();
        parsed
    }

    /// The pointer to a member with one of our own names, which hide nothing.
    fn member(&self, name: &'static str) -> String {
        [&self.pointer, "/", name].concat()
    }

    fn child(&self, name: &str) -> String {
        // A hostile member name must not make the error unbounded, nor carry a card number.
        let shown: String = name.chars().take(64).filter(|c| !c.is_control()).collect();
        let shown = crate::redact_card_numbers(&shown).into_owned();
        format!("{}/{}", self.pointer, shown.replace('~', "~0").replace('/', "~1"))
    }
}

/// The JSON kind of a value, for messages.
#[must_use]
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The string inside, or a message naming what was found.
///
/// # Errors
/// When the value is not a string.
pub fn string(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("must be a string, not {}", kind_of(value)))
}

/// A string parsed by `T`'s own parser.
///
/// # Errors
/// When the value is not a string or `T` refuses it.
pub fn parsed<T>(value: &Value) -> Result<T, String>
where
    T: std::str::FromStr,
    T::Err: fmt::Display,
{
    string(value)?.parse().map_err(|error: T::Err| error.to_string())
}
