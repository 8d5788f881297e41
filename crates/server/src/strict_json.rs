//! JSON as RFC 8259 advises: UTF-8, and every member name once. A name that occurs twice would
//! otherwise mean one thing here and another in the caller's own parser.

use std::fmt;

use domain::redact_card_numbers;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, map::Entry};

/// Parses one JSON document; nesting is bounded by the parser.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, String> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("is empty; a JSON object is expected".into());
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("is not UTF-8 from byte {} on", error.valid_up_to()))?;
    serde_json::from_str::<Strict>(text)
        .map(|strict| strict.0)
        .map_err(|error| format!("is not valid JSON: {error}"))
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            match object.entry(name) {
                Entry::Vacant(entry) => {
                    let Strict(value) = members.next_value()?;
                    entry.insert(value);
                }
                Entry::Occupied(entry) => return Err(de::Error::custom(twice(entry.key()))),
            }
        }
        Ok(Value::Object(object))
    }
}

fn twice(name: &str) -> String {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    let shown = redact_card_numbers(&shown);
    format!("the member {shown:?} occurs twice")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_documents_parse_as_they_would_otherwise() {
        let text = r#"{"a":[1,-2,0.5,"x",true,null],"b":{"c":{}}}"#;
        assert_eq!(parse(text.as_bytes()), Ok(serde_json::from_str(text).unwrap()));
    }

    #[test]
    fn what_is_wrong_is_said_without_repeating_a_card_number() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for (bytes, expected) in [
            (&b""[..], "empty"),
            (b" \n", "empty"),
            (b"\xff{}", "not UTF-8"),
            (b"{", "EOF"),
            (b"{\"amount\": NaN}", "line 1"),
            (b"{\"a\": 1e999}", "number out of range"),
            (br#"{"a": "\ud800"}"#, "line 1"),
            (b"{} {}", "trailing"),
            (br#"{"x": {"a":1,"a":2}}"#, "\"a\" occurs twice"),
            (br#"{"4111111111111111":1,"4111111111111111":2}"#, "[card]"),
            (deep.as_bytes(), "recursion limit"),
        ] {
            let error = parse(bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("4111"), "{error}");
        }
    }
}
