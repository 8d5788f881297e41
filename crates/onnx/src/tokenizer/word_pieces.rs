//! BERT's word pieces without the library's bookkeeping: no alignments, no offsets, no strings.
//!
//! Every answer is the library's to the token. Words of printable ASCII, which is what templates
//! write, are looked up here; what else there is goes through the library, word by word. That
//! changes nothing, because BERT's normalizer and pre-tokenizer look at one character at a time
//! (canonical decomposition at one word at a time) and a space always ends a word.

use std::collections::HashMap;

use tokenizers::{
    ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer,
};

use crate::error::EncodeError;

/// The vocabulary of a plain BERT tokenizer, ready to be looked up in.
#[derive(Debug)]
pub(super) struct WordPieces {
    /// Pieces that a word may begin with.
    heads: HashMap<Box<str>, u32>,
    /// Pieces that may follow, without their prefix.
    tails: HashMap<Box<str>, u32>,
    /// No piece is longer, in bytes.
    longest: usize,
    unknown: u32,
    /// Longer words are unknown, in characters.
    word_max: usize,
    lowercase: bool,
    /// What the template puts before the text's tokens.
    before: Vec<u32>,
    /// What the template puts after them.
    after: Vec<u32>,
}

/// The tokens of a text, cut to what fits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pieces {
    /// Without the template's tokens.
    pub(super) ids: Vec<u32>,
    /// Whether there were more.
    pub(super) truncated: bool,
}

impl WordPieces {
    /// `None` unless the tokenizer is of the kind that is understood here.
    pub(super) fn of(tokenizer: &Tokenizer) -> Option<Self> {
        let Some(NormalizerWrapper::BertNormalizer(normalizer)) = tokenizer.get_normalizer() else {
            return None;
        };
        let Some(PreTokenizerWrapper::BertPreTokenizer(_)) = tokenizer.get_pre_tokenizer() else {
            return None;
        };
        let ModelWrapper::WordPiece(model) = tokenizer.get_model() else { return None };
        // Tokens that are not special would be cut out of the text before anything else.
        let is_plain = tokenizer.get_encode_special_tokens()
            && tokenizer.get_added_tokens_decoder().values().all(|token| token.special);
        if !is_plain {
            return None;
        }
        let (before, after) = template(tokenizer)?;
        let vocabulary = tokenizer.get_vocab(false);
        let prefix = model.continuing_subword_prefix.as_str();
        let tails = vocabulary
            .iter()
            .filter_map(|(piece, id)| Some((piece.strip_prefix(prefix)?.into(), *id)))
            .collect();
        Some(Self {
            tails,
            longest: vocabulary.keys().map(String::len).max()?,
            unknown: *vocabulary.get(&model.unk_token)?,
            word_max: model.max_input_chars_per_word,
            lowercase: normalizer.lowercase,
            before,
            after,
            heads: vocabulary.into_iter().map(|(piece, id)| (piece.into(), id)).collect(),
        })
    }

    /// The template's tokens around a text's.
    pub(super) fn template(&self) -> (&[u32], &[u32]) {
        (&self.before, &self.after)
    }

    /// The first `room` tokens of a text; `tokenizer` is the one that all this was read from,
    /// and must not truncate.
    pub(super) fn encode(
        &self,
        text: &str,
        room: usize,
        tokenizer: &Tokenizer,
    ) -> Result<Pieces, EncodeError> {
        let mut ids = Vec::with_capacity(room.min(text.len()));
        let mut lowered = String::new();
        for word in text.split(' ') {
            if ids.len() > room {
                break;
            }
            if !word.bytes().all(|byte| byte.is_ascii_graphic()) {
                let encoding = tokenizer
                    .encode_fast(word, false)
                    .map_err(|error| EncodeError::Tokenizer(error.to_string()))?;
                ids.extend_from_slice(encoding.get_ids());
                continue;
            }
            lowered.clear();
            lowered.push_str(word);
            if self.lowercase {
                lowered.make_ascii_lowercase();
            }
            self.push_ascii(&lowered, &mut ids);
        }
        let truncated = ids.len() > room;
        ids.truncate(room);
        Ok(Pieces { ids, truncated })
    }

    /// Letters and digits stay together, each punctuation mark stands alone.
    fn push_ascii(&self, text: &str, ids: &mut Vec<u32>) {
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|c: char| c.is_ascii_punctuation()).unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end.max(1));
            self.push_word(word, ids);
            rest = tail;
        }
    }

    /// Longest piece first, and again from where it ended; one unknown token if that fails.
    fn push_word(&self, word: &str, ids: &mut Vec<u32>) {
        let before = ids.len();
        let mut rest = if word.len() > self.word_max { None } else { Some(word) };
        while let Some(left) = rest.filter(|left| !left.is_empty()) {
            let pieces = if left.len() == word.len() { &self.heads } else { &self.tails };
            let longest = left.len().min(self.longest);
            let found = (1..=longest)
                .rev()
                .find_map(|end| Some((pieces.get(left.get(..end)?)?, left.get(end..)?)));
            rest = found.map(|(id, next)| {
                ids.push(*id);
                next
            });
        }
        if rest.is_none() {
            ids.truncate(before);
            ids.push(self.unknown);
        }
    }
}

/// What stands before and after the tokens of a text, found out by encoding one.
fn template(tokenizer: &Tokenizer) -> Option<(Vec<u32>, Vec<u32>)> {
    match tokenizer.get_post_processor()? {
        PostProcessorWrapper::Template(_) | PostProcessorWrapper::Bert(_) => {}
        PostProcessorWrapper::Roberta(_)
        | PostProcessorWrapper::ByteLevel(_)
        | PostProcessorWrapper::Sequence(_) => return None,
    }
    let bare = tokenizer.encode_fast("a", false).ok()?;
    let dressed = tokenizer.encode_fast("a", true).ok()?;
    let ids = dressed.get_ids();
    let start = dressed.get_special_tokens_mask().iter().position(|mask| *mask == 0)?;
    let (before, rest) = ids.split_at_checked(start)?;
    let after = rest.strip_prefix(bare.get_ids())?;
    let is_plain = dressed.get_type_ids().iter().all(|id| *id == 0)
        && dressed.get_special_tokens_mask().iter().filter(|mask| **mask == 0).count()
            == bare.len();
    is_plain.then(|| (before.to_vec(), after.to_vec()))
}
