//! The body of a message.

use jiff::Timestamp;
use serde::Serialize;

/// The structure that the specification recommends.
#[derive(Serialize)]
struct Body<'a, T> {
    r#type: &'a str,
    timestamp: Timestamp,
    data: &'a T,
}

/// The JSON of a message: `{"type", "timestamp", "data"}`, on one line. `at` is when the event
/// happened, which is not when it is sent.
///
/// # Errors
/// When `data` cannot be written as JSON.
pub fn body(
    event: &str,
    at: Timestamp,
    data: &impl Serialize,
) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Body { r#type: event, timestamp: at, data })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_says_what_happened_and_when_before_the_details() {
        let at = "2026-11-01T12:00:00.5Z".parse().unwrap();
        let text = body("decision.completed", at, &json!({ "outcome": "review" })).unwrap();
        assert_eq!(
            text,
            r#"{"type":"decision.completed","timestamp":"2026-11-01T12:00:00.5Z","data":{"outcome":"review"}}"#
        );
    }
}
