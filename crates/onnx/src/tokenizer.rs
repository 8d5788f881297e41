//! Turns text into token ids, the same way however hostile the text.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;
use tokenizers::{Tokenizer, TruncationDirection, TruncationParams, TruncationStrategy};

use crate::error::{EncodeError, LoadError};
use crate::files;

mod word_pieces;

use word_pieces::{Pieces, WordPieces};

/// One text, encoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EncodedText {
    /// Token ids, special tokens included; at least one.
    pub ids: Vec<u32>,
    /// Segment ids, one per token; all zero for a single text.
    pub type_ids: Vec<u32>,
    /// Whether the text was longer than the model takes, and its end was dropped.
    pub truncated: bool,
}

/// Encodes texts for a classifier. Shared by all callers.
#[derive(Debug)]
pub struct TextEncoder {
    tokenizer: SafeTokenizer,
    /// The short way, where there is one.
    word_pieces: Option<WordPieces>,
    max_tokens: usize,
}

impl TextEncoder {
    /// Reads `tokenizer.json`; texts are truncated to `max_tokens`, special tokens kept.
    pub(crate) fn load(
        path: &Path,
        max_tokens: usize,
        vocabulary: usize,
    ) -> Result<Self, LoadError> {
        let mut tokenizer = SafeTokenizer::load(path, &[])?;
        tokenizer.check_vocabulary(path, vocabulary)?;
        let word_pieces = WordPieces::of(&tokenizer.inner).filter(|pieces| {
            let (before, after) = pieces.template();
            before.len() + after.len() < max_tokens
        });
        let truncation = TruncationParams {
            direction: TruncationDirection::Right,
            max_length: max_tokens,
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
        };
        tokenizer
            .inner
            // The short way truncates what it has put together.
            .with_truncation(word_pieces.is_none().then_some(truncation))
            .map_err(|error| LoadError::invalid(path, error))?;
        Ok(Self { tokenizer, word_pieces, max_tokens })
    }

    /// Encodes one text. Special-token strings inside it (`[SEP]`, `</s>`) are plain text.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn encode(&self, text: &str) -> Result<EncodedText, EncodeError> {
        let encoded = match &self.word_pieces {
            Some(pieces) => self.encode_words(pieces, text)?,
            None => self.encode_whole(text)?,
        };
        if encoded.ids.is_empty() {
            return Err(EncodeError::Tokenizer("the text encodes to no token at all".into()));
        }
        Ok(encoded)
    }

    fn encode_words(&self, words: &WordPieces, text: &str) -> Result<EncodedText, EncodeError> {
        let (before, after) = words.template();
        let room = self.max_tokens - before.len() - after.len();
        let Pieces { ids: pieces, truncated } = words.encode(text, room, &self.tokenizer.inner)?;
        let own = pieces.iter().filter(|id| !self.tokenizer.controls.contains(id));
        let ids: Vec<u32> = before.iter().chain(own).chain(after).copied().collect();
        Ok(EncodedText { type_ids: vec![0; ids.len()], ids, truncated })
    }

    fn encode_whole(&self, text: &str) -> Result<EncodedText, EncodeError> {
        let encoding = self.tokenizer.encode(text)?;
        let (ids, type_ids) = self.tokenizer.without_smuggled_controls(&encoding);
        Ok(EncodedText { ids, type_ids, truncated: !encoding.get_overflowing().is_empty() })
    }

    /// The longest encoding in tokens, special tokens included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }
}

/// A tokenizer that never turns text into control tokens, truncates or pads unasked.
#[derive(Debug)]
pub(crate) struct SafeTokenizer {
    pub(crate) inner: Tokenizer,
    json: Vec<u8>,
    controls: HashSet<u32>,
}

impl SafeTokenizer {
    /// Reads `tokenizer.json`. `controls` are ids that are control tokens even if the file does
    /// not say so, such as the end of the sequence.
    pub(crate) fn load(path: &Path, controls: &[u32]) -> Result<Self, LoadError> {
        let invalid = |reason: String| LoadError::invalid(path, reason);
        let mut json: Value = files::read_json(path)?;
        let mut all = mark_controls(&mut json, controls);
        let unknown = unknown_token(&json);
        let json = serde_json::to_vec(&json).map_err(|error| invalid(error.to_string()))?;
        let mut inner = Tokenizer::from_bytes(&json).map_err(|error| invalid(error.to_string()))?;
        inner.with_truncation(None).map_err(|error| invalid(error.to_string()))?;
        inner.with_padding(None);
        inner.set_encode_special_tokens(true);
        if let Some(id) = unknown.and_then(|token| inner.token_to_id(&token)) {
            all.remove(&id);
        }
        Ok(Self { inner, json, controls: all })
    }

    /// The file's content, with every control token marked as one.
    pub(crate) fn json(&self) -> &[u8] {
        &self.json
    }

    /// Every id must have a row in the model's embedding, or a rare word would crash it.
    pub(crate) fn check_vocabulary(&self, path: &Path, rows: usize) -> Result<(), LoadError> {
        let highest = self.inner.get_vocab(true).into_values().max().unwrap_or(0) as usize;
        if highest < rows {
            return Ok(());
        }
        Err(LoadError::invalid(
            path,
            format!("token id {highest} is beyond the model's vocab_size of {rows}"),
        ))
    }

    pub(crate) fn encode(&self, text: &str) -> Result<tokenizers::Encoding, EncodeError> {
        self.inner
            .encode_fast(text, true)
            .map_err(|error| EncodeError::Tokenizer(error.to_string()))
    }

    /// The first control token that came out of the text itself rather than the template.
    pub(crate) fn smuggled_control(&self, encoding: &tokenizers::Encoding) -> Option<u32> {
        let from_template = encoding.get_special_tokens_mask();
        let tokens = encoding.get_ids().iter().zip(from_template);
        tokens
            .filter(|(id, from_template)| **from_template == 0 && self.controls.contains(id))
            .map(|(id, _)| *id)
            .next()
    }

    /// Some pre-tokenizers keep `[SEP]` in one piece, which the vocabulary then knows.
    fn without_smuggled_controls(&self, encoding: &tokenizers::Encoding) -> (Vec<u32>, Vec<u32>) {
        let from_template = encoding.get_special_tokens_mask();
        let tokens = encoding.get_ids().iter().zip(encoding.get_type_ids()).zip(from_template);
        tokens
            .filter(|((id, _), from_template)| **from_template == 1 || !self.controls.contains(id))
            .map(|((id, type_id), _)| (*id, *type_id))
            .unzip()
    }
}

/// Marks the tokens with these ids as special, and answers the ids of all special tokens.
fn mark_controls(json: &mut Value, controls: &[u32]) -> HashSet<u32> {
    let mut all: HashSet<u32> = controls.iter().copied().collect();
    let added = json.get_mut("added_tokens").and_then(Value::as_array_mut);
    for token in added.into_iter().flatten() {
        let Some(id) = token["id"].as_u64().and_then(|id| u32::try_from(id).ok()) else {
            continue;
        };
        if controls.contains(&id) {
            token["special"] = Value::Bool(true);
        }
        if token["special"] == Value::Bool(true) {
            all.insert(id);
        }
    }
    all
}

/// What an unknown word becomes is an honest token, although exporters mark it as special.
fn unknown_token(json: &Value) -> Option<String> {
    json["model"]["unk_token"].as_str().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests;
