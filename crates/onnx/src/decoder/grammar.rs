//! What the decoder may write: a JSON schema, with the verdict forced to come first.

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use toktrie_hf_tokenizers::ByteTokenizer;

use super::layout::Layout;
use crate::tokenizer::SafeTokenizer;

/// What the decoder's answers look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrammarSpec {
    /// A JSON schema. Answers are compact JSON, with properties in the schema's order.
    pub schema_json: String,
    /// The field whose probabilities are the result.
    pub choice: ChoiceProbe,
}

/// Where an answer's first choice is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoiceProbe {
    /// What every answer starts with, such as `{"verdict":"`.
    pub prefix: String,
    /// What may follow the prefix, such as `fraud`. Each must start with a token of its own.
    pub choices: Vec<String>,
}

/// A compiled grammar: per request one matcher is cloned from it.
pub(super) struct Grammar {
    start: Matcher,
    /// The tokens of the forced prefix.
    pub(super) prefix: Vec<u32>,
    /// The first token of each choice.
    pub(super) heads: Vec<u32>,
    pub(super) choices: Vec<String>,
}

impl Grammar {
    pub(super) fn compile(
        tokenizer: &SafeTokenizer,
        layout: &Layout,
        spec: &GrammarSpec,
    ) -> Result<Self, String> {
        let mut start = matcher(tokenizer, layout, &spec.schema_json)?;
        let prefix = start.consume_ff_tokens();
        check(&start)?;
        let heads = spec
            .choice
            .choices
            .iter()
            .map(|choice| head(tokenizer, &mut start, &prefix, &spec.choice.prefix, choice))
            .collect::<Result<Vec<u32>, String>>()?;
        for (index, head) in heads.iter().enumerate() {
            if let Some(twin) = heads[..index].iter().position(|other| other == head) {
                let (first, second) = (&spec.choice.choices[twin], &spec.choice.choices[index]);
                return Err(format!("the choices `{first}` and `{second}` start with one token"));
            }
        }
        if heads.len() < 2 {
            return Err("a choice needs at least two alternatives".into());
        }
        Ok(Self { start, prefix, heads, choices: spec.choice.choices.clone() })
    }

    /// A matcher that stands behind the forced prefix.
    pub(super) fn matcher(&self) -> Matcher {
        self.start.clone()
    }
}

fn matcher(tokenizer: &SafeTokenizer, layout: &Layout, schema: &str) -> Result<Matcher, String> {
    let mut schema: Value =
        serde_json::from_str(schema).map_err(|error| format!("the schema is no JSON: {error}"))?;
    let Some(object) = schema.as_object_mut() else {
        return Err("the schema is no JSON object".into());
    };
    object.insert("x-guidance".into(), json!({"whitespace_flexible": false}));
    let readable =
        |error: &dyn std::fmt::Display| format!("the grammar cannot be compiled: {error}");
    // Bytes, not a tokenizer value: the crates may disagree about the tokenizer's version.
    let mut bytes =
        ByteTokenizer::from_json_bytes(tokenizer.json()).map_err(|error| readable(&error))?;
    bytes.set_eos_tokens(&layout.end_ids);
    let environment =
        bytes.into_tok_env(Some(layout.vocabulary)).map_err(|error| readable(&error))?;
    let mut factory = ParserFactory::new_simple(&environment).map_err(|error| readable(&error))?;
    factory.quiet();
    let matcher = Matcher::new(factory.create_parser(TopLevelGrammar::from_json_schema(schema)));
    check(&matcher)?;
    Ok(matcher)
}

fn check(matcher: &Matcher) -> Result<(), String> {
    match matcher.get_error() {
        Some(error) => Err(format!("the grammar cannot be compiled: {error}")),
        None => Ok(()),
    }
}

/// The token that `choice` starts with behind the forced tokens, as the tokenizer writes it.
///
/// The forced tokens may end before the prefix does, when a token spans its end; the head then
/// starts with the rest.
fn head(
    tokenizer: &SafeTokenizer,
    start: &mut Matcher,
    forced: &[u32],
    prefix: &str,
    choice: &str,
) -> Result<u32, String> {
    let text = format!("{prefix}{choice}\"");
    let encoding = tokenizer
        .inner
        .encode_fast(text.as_str(), false)
        .map_err(|error| format!("cannot tokenize `{text}`: {error}"))?;
    let head =
        encoding.get_ids().strip_prefix(forced).and_then(|rest| rest.first()).copied().ok_or_else(
            || format!("the schema does not force every answer to start with `{prefix}`"),
        )?;
    let allowed = start.compute_mask().map_err(|error| error.to_string())?;
    if !allowed.is_allowed(head) {
        return Err(format!("the schema does not allow `{choice}` behind `{prefix}`"));
    }
    let mut rest = start.clone();
    rest.consume_token(head).map_err(|error| error.to_string())?;
    let tokens = [forced, &[head], &rest.consume_ff_tokens()].concat();
    let settled = tokenizer.inner.decode(&tokens, true).map_err(|error| error.to_string())?;
    if settled.starts_with(&text) {
        Ok(head)
    } else {
        Err(format!(
            "the first token of `{choice}` does not settle the choice: `{settled}` follows"
        ))
    }
}
