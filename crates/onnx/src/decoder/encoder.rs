//! Encodes prompts on the caller's thread.

use std::sync::Arc;

use super::sampler::Sampling;
use crate::error::EncodeError;
use crate::tokenizer::SafeTokenizer;

/// One prompt, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedPrompt {
    /// Token ids, the template's special tokens included; without the answer's forced prefix.
    pub ids: Vec<u32>,
}

/// How far an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extent {
    /// To its first choice, which is known as soon as the prompt is computed: nothing is
    /// generated.
    Choice,
    /// To its end.
    #[default]
    Whole,
}

/// What an engine is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodeRequest {
    /// The prompt.
    pub prompt: EncodedPrompt,
    /// How far to answer it.
    pub extent: Extent,
    /// How to choose tokens.
    pub sampling: Sampling,
}

impl From<EncodedPrompt> for DecodeRequest {
    /// The whole answer, greedily.
    fn from(prompt: EncodedPrompt) -> Self {
        Self { prompt, extent: Extent::Whole, sampling: Sampling::Greedy }
    }
}

/// Encodes prompts for a decoder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DecoderEncoder {
    tokenizer: Arc<SafeTokenizer>,
    max_prompt_tokens: usize,
}

impl DecoderEncoder {
    pub(super) fn new(tokenizer: Arc<SafeTokenizer>, max_prompt_tokens: usize) -> Self {
        Self { tokenizer, max_prompt_tokens }
    }

    /// Encodes one prompt. Special-token strings inside it are plain text.
    ///
    /// # Errors
    /// When the prompt is too long, or would smuggle a control token in.
    pub fn encode(&self, prompt: &str) -> Result<EncodedPrompt, EncodeError> {
        let encoding = self.tokenizer.encode(prompt)?;
        if let Some(id) = self.tokenizer.smuggled_control(&encoding) {
            return Err(EncodeError::ControlToken(id));
        }
        let ids = encoding.get_ids().to_vec();
        if ids.len() > self.max_prompt_tokens {
            let limit = self.max_prompt_tokens;
            return Err(EncodeError::TooLong { tokens: ids.len(), limit });
        }
        if ids.is_empty() {
            return Err(EncodeError::Tokenizer("the prompt encodes to no token at all".into()));
        }
        Ok(EncodedPrompt { ids })
    }

    /// The longest prompt in tokens.
    #[must_use]
    pub fn max_prompt_tokens(&self) -> usize {
        self.max_prompt_tokens
    }

    pub(super) fn decode(&self, ids: &[u32]) -> Result<String, String> {
        self.tokenizer.inner.decode(ids, true).map_err(|error| error.to_string())
    }
}
