//! `Idempotency-Key`: a request that is sent again gets the answer of the first time
//! (draft-ietf-httpapi-idempotency-key-header).

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::{Violations, contains_card_number};
use ledger::IdempotencyKey;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::api_error::ApiError;

/// Names one attempt of the caller's, however often it is sent.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is that of an earlier request.
pub(crate) const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
pub(crate) const TRUE: HeaderValue = HeaderValue::from_static("true");

const KEY_LENGTH_MAX: usize = 255;

/// The key of a request, with what its body said; `None` without the header.
///
/// The draft's quoted string and the bare token that most clients send name the same key.
pub(crate) fn key(headers: &HeaderMap, body: &Value) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let read = match given.next() {
        Some(_) => Err("must be given once"),
        None => value.to_str().map_err(|_| "must be ASCII").and_then(parse),
    };
    match read {
        Ok(key) => Ok(Some(IdempotencyKey { key: key.to_owned(), fingerprint: fingerprint(body) })),
        Err(detail) => {
            let mut violations = Violations::default();
            violations.add("/headers/idempotency-key", detail);
            Err(ApiError::BadParameters(violations))
        }
    }
}

fn parse(text: &str) -> Result<&str, &'static str> {
    let text = text.trim();
    let key = match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').ok_or("must end with the quote it begins with")?,
        None => text,
    };
    if !(1..=KEY_LENGTH_MAX).contains(&key.len()) {
        return Err("must have 1 to 255 characters");
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')) {
        return Err("must be visible ASCII without quotes, backslashes and spaces");
    }
    if contains_card_number(key) {
        return Err("must not look like a card number");
    }
    Ok(key)
}

/// SHA-256 of what a body says: spaces and the order of members make no difference.
fn fingerprint(body: &Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    add(&mut hash, body);
    hash.finalize().into()
}

/// Each value with its kind, each text and list with its length, so that no two values hash the
/// same bytes.
fn add(hash: &mut Sha256, value: &Value) {
    let text = |hash: &mut Sha256, kind: &[u8], text: &str| {
        hash.update(kind);
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    match value {
        Value::Null => hash.update(b"n"),
        Value::Bool(flag) => hash.update(if *flag { b"t" } else { b"f" }),
        Value::Number(number) => text(hash, b"#", &number.to_string()),
        Value::String(string) => text(hash, b"s", string),
        Value::Array(items) => {
            hash.update(b"[");
            hash.update((items.len() as u64).to_be_bytes());
            items.iter().for_each(|item| add(hash, item));
        }
        Value::Object(members) => {
            hash.update(b"{");
            hash.update((members.len() as u64).to_be_bytes());
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            for (name, member) in members {
                text(hash, b"k", name);
                add(hash, member);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quoted_and_bare_keys_are_the_same_and_unsafe_ones_are_refused() {
        assert_eq!(parse("\"8e03978e-40d5\""), Ok("8e03978e-40d5"));
        assert_eq!(parse(" 8e03978e-40d5 "), Ok("8e03978e-40d5"));
        let long = "x".repeat(256);
        for bad in ["", "\"", "\"\"", "\"a", "a b", "a\"b", "4111111111111111", long.as_str()] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_fingerprint_hears_what_is_said_not_how_it_is_written() {
        let one: Value =
            serde_json::from_str(r#"{"a": [1, {"x": null, "y": "z"}], "b": 2}"#).unwrap();
        let same: Value = serde_json::from_str(r#"{"b":2,"a":[1,{"y":"z","x":null}]}"#).unwrap();
        assert_eq!(fingerprint(&one), fingerprint(&same));
        for other in [
            json!({"a": [1, {"x": null, "y": "z"}], "b": "2"}),
            json!({"a": [1, {"x": null, "y": "z"}, {}], "b": 2}),
            json!({"a": [{"x": null, "y": "z"}, 1], "b": 2}),
            json!({"a": [1, {"x": false, "y": "z"}], "b": 2}),
        ] {
            assert_ne!(fingerprint(&one), fingerprint(&other), "{other}");
        }
    }
}
