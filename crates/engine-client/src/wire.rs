//! The JSON that engines send: chat and legacy shapes, whole or in pieces, read alike.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::verdict::Token;

/// How many tokens a request took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens read; 0 when the engine does not say.
    pub prompt_tokens: u64,
    /// Tokens written; 0 when the engine does not say.
    pub completion_tokens: u64,
}

/// What one event, or one whole body, adds to the answer.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) finish: Option<String>,
    pub(crate) usage: Option<Usage>,
    /// The engine's complaint in place of an answer.
    pub(crate) error: Option<Value>,
}

#[derive(Deserialize)]
struct WireBody {
    choices: Option<Vec<WireChoice>>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct WireChoice {
    delta: Option<WireMessage>,
    message: Option<WireMessage>,
    text: Option<String>,
    /// Read leniently: a shape that is not known is as good as none.
    logprobs: Option<Value>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct WireMessage {
    content: Option<String>,
}

/// Engines send the chat shape on the legacy route too (llama.cpp), so both are looked for.
#[derive(Deserialize)]
struct WireLogprobs {
    content: Option<Vec<WireToken>>,
    tokens: Option<Vec<String>>,
    token_logprobs: Option<Vec<Option<f64>>>,
    top_logprobs: Option<Vec<Option<Map<String, Value>>>>,
}

#[derive(Deserialize)]
struct WireToken {
    token: String,
    bytes: Option<Vec<u8>>,
    logprob: Option<f64>,
    top_logprobs: Option<Vec<WireToken>>,
}

impl WireToken {
    fn bytes(&mut self) -> Vec<u8> {
        self.bytes.take().unwrap_or_else(|| std::mem::take(&mut self.token).into_bytes())
    }

    fn read(mut self) -> Token {
        let alternatives = self.top_logprobs.take().unwrap_or_default();
        let alternatives = alternatives.into_iter().map(|mut t| (t.bytes(), known(t.logprob)));
        Token {
            alternatives: alternatives.collect(),
            log_prob: known(self.logprob),
            bytes: self.bytes(),
        }
    }
}

/// JSON has no infinity: engines send `null` or the lowest `f32` for a masked token.
fn known(log_prob: Option<f64>) -> f64 {
    log_prob.map_or(f64::NEG_INFINITY, |value| value.min(0.0))
}

impl WireLogprobs {
    fn read(self) -> Vec<Token> {
        if let Some(content) = self.content {
            return content.into_iter().map(WireToken::read).collect();
        }
        let mut own = self.token_logprobs.unwrap_or_default().into_iter();
        let mut top = self.top_logprobs.unwrap_or_default().into_iter();
        let listed = |map: Map<String, Value>| {
            map.into_iter().map(|(text, p)| (text.into_bytes(), known(p.as_f64()))).collect()
        };
        let token = |text: String| Token {
            bytes: text.into_bytes(),
            log_prob: known(own.next().flatten()),
            alternatives: top.next().flatten().map(listed).unwrap_or_default(),
        };
        self.tokens.unwrap_or_default().into_iter().map(token).collect()
    }
}

/// Reads one event's data or one body.
///
/// # Errors
/// When it is not JSON of the expected shape; the message holds no part of it.
pub(crate) fn read(json: &[u8]) -> Result<Piece, String> {
    let body: WireBody = serde_json::from_slice(json).map_err(|error| {
        // serde's own text may quote the answer.
        format!("an unreadable message (line {}, column {})", error.line(), error.column())
    })?;
    let count = |usage: &Value, name: &str| usage[name].as_u64().unwrap_or(0);
    let usage = body.usage.filter(Value::is_object).map(|usage| Usage {
        prompt_tokens: count(&usage, "prompt_tokens"),
        completion_tokens: count(&usage, "completion_tokens"),
    });
    let mut piece = Piece { usage, error: body.error, ..Piece::default() };
    let Some(choice) = body.choices.and_then(|all| all.into_iter().next()) else {
        return Ok(piece);
    };
    let message = choice.delta.or(choice.message).and_then(|message| message.content);
    piece.text = choice.text.or(message).unwrap_or_default();
    let log_probs = choice.logprobs.and_then(|value| WireLogprobs::deserialize(value).ok());
    piece.tokens = log_probs.map(WireLogprobs::read).unwrap_or_default();
    piece.finish = choice.finish_reason;
    Ok(piece)
}

/// The message inside an engine's error, in any of the shapes met: `{"error":{"message":…}}`,
/// `{"error":"…"}`, `{"message":…}`, `{"detail":…}`.
pub(crate) fn complaint(error: &Value) -> Option<&str> {
    let inner = error.get("error").unwrap_or(error);
    inner
        .as_str()
        .or_else(|| inner.get("message").and_then(Value::as_str))
        .or_else(|| inner.get("detail").and_then(Value::as_str))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn piece(body: &Value) -> Piece {
        read(body.to_string().as_bytes()).expect("a piece")
    }

    #[test]
    fn llama_cpp_sends_the_chat_shape_on_the_legacy_route() {
        let top = json!([
            { "id": 223, "token": " ", "bytes": [32], "logprob": -0.5 },
            { "id": 9, "token": "", "bytes": [195], "logprob": -3.402_823_466_385_288_6e38 },
        ]);
        let content = json!([{ "id": 335, "token": "{\"", "bytes": [123, 34], "logprob": -10.4,
                               "top_logprobs": top }]);
        let read = piece(&json!({
            "choices": [{ "text": "{\"", "index": 0, "logprobs": { "content": content },
                          "finish_reason": null }],
            "object": "text_completion",
        }));
        assert_eq!(read.text, "{\"");
        let token = &read.tokens[0];
        assert_eq!((token.bytes.as_slice(), token.log_prob), (&b"{\""[..], -10.4));
        assert_eq!(token.alternatives[0], (b" ".to_vec(), -0.5));
        assert_eq!(token.alternatives[1].0, [195]);
    }

    #[test]
    fn masked_tokens_without_a_number_are_impossible_ones() {
        let content = json!([{ "token": "a", "logprob": null }]);
        let read = piece(&json!({ "choices": [{ "logprobs": { "content": content } }] }));
        assert_eq!(read.tokens[0].log_prob, f64::NEG_INFINITY);
    }

    #[test]
    fn pieces_that_add_nothing_are_read_as_such() {
        for body in [
            json!({ "choices": [] }),
            json!({ "choices": [{ "delta": { "role": "assistant", "content": null } }] }),
            json!({ "choices": [{ "delta": { "reasoning_content": "hm" }, "logprobs": null }] }),
            json!({ "choices": null, "usage": null, "error": null }),
        ] {
            let read = piece(&body);
            assert!(read.text.is_empty() && read.tokens.is_empty() && read.finish.is_none());
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_quoted() {
        let message = read(b"{\"choices\":[{\"text\":secret}]}").expect_err("no piece");
        assert!(!message.contains("secret"), "{message}");
    }

    #[test]
    fn complaints_are_found_in_every_shape_met() {
        for body in [
            json!({ "error": { "message": "no", "type": "invalid" } }),
            json!({ "error": "no" }),
            json!({ "object": "error", "message": "no", "code": 400 }),
            json!({ "detail": "no" }),
        ] {
            assert_eq!(complaint(&body), Some("no"), "{body}");
        }
        assert_eq!(complaint(&json!({ "detail": [{ "loc": ["body"] }] })), None);
    }
}
