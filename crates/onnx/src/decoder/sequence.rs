//! One running sequence: what it has said, what it must say next, and when it is done.

use std::collections::VecDeque;

use batching::{ModelError, SequenceId};
use llguidance::Matcher;

use super::Model;
use super::encoder::Extent;
use super::engine::Entrant;
use super::grammar::Grammar;
use super::sampler::{Sampler, best};
use crate::logits::{log_sum_exp, top};

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It was complete.
    Stop,
    /// It reached its limit; the text is cut off.
    Length,
}

/// What is known of an answer as soon as its prompt is computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Opening {
    /// Each choice with its probability among the choices; empty without a grammar.
    pub choice: Vec<(String, f64)>,
    /// Each choice's log-probability over the whole vocabulary, before any mask.
    pub choice_log_probs: Vec<f64>,
    /// The probability that the model itself gave to all choices together, 0 to 1. Low means
    /// that it wanted to say something else.
    pub covered: f64,
    /// Tokens of the prompt, the answer's forced prefix excluded.
    pub prompt_tokens: usize,
    /// Those of them that came from the prefix cache.
    pub cached_tokens: usize,
}

/// One finished answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// The whole answer, its forced prefix included; empty when only the choice was asked for.
    pub text: String,
    /// The tokens of the answer, its forced prefix included.
    pub tokens: Vec<u32>,
    /// What was known before it was written.
    pub opening: Opening,
    /// Tokens of the answer, its forced prefix excluded.
    pub generated_tokens: usize,
    /// Those of them that the schema forced.
    pub forced_tokens: usize,
    /// Why it ended.
    pub finish: Finish,
}

/// What the model thought at the choice.
#[derive(Debug, Default)]
struct Choice {
    log_probs: Vec<f64>,
}

impl Choice {
    fn read(grammar: &Grammar, logits: &[f32]) -> Self {
        let all = log_sum_exp(logits.iter().map(|logit| f64::from(*logit)));
        let log_prob = |head: &u32| f64::from(logits[*head as usize]) - all;
        Self { log_probs: grammar.heads.iter().map(log_prob).collect() }
    }

    fn probabilities(&self) -> Vec<f64> {
        let all = log_sum_exp(self.log_probs.iter().copied());
        self.log_probs.iter().map(|log_prob| (log_prob - all).exp()).collect()
    }

    fn covered(&self) -> f64 {
        self.log_probs.iter().map(|log_prob| log_prob.exp()).sum::<f64>().min(1.0)
    }
}

/// A sequence in a slot. Its cache holds `length` tokens; `feed` come next.
pub(super) struct Sequence {
    pub(super) id: SequenceId,
    pub(super) length: usize,
    pub(super) feed: VecDeque<u32>,
    pub(super) sampled: usize,
    pub(super) forced: usize,
    pub(super) end: Option<Result<Finish, ModelError>>,
    matcher: Option<Matcher>,
    sampler: Sampler,
    extent: Extent,
    generated: Vec<u32>,
    opening: Opening,
}

impl Sequence {
    /// A sequence whose prompt and forced prefix are in the cache. `logits` are those behind
    /// them.
    pub(super) fn start(model: &Model, entrant: Entrant, logits: &[f32]) -> Self {
        let Entrant { id, prompt_tokens, cached, tokens, extent, sampling, .. } = entrant;
        let grammar = model.grammar.as_ref();
        let choice = grammar.map(|grammar| Choice::read(grammar, logits)).unwrap_or_default();
        let words = grammar.map_or(&[][..], |grammar| &grammar.choices);
        let opening = Opening {
            choice: words.iter().cloned().zip(choice.probabilities()).collect(),
            covered: choice.covered(),
            choice_log_probs: choice.log_probs,
            prompt_tokens,
            cached_tokens: cached.min(prompt_tokens),
        };
        let mut sequence = Self {
            id,
            length: tokens.len(),
            feed: VecDeque::new(),
            sampled: 0,
            forced: 0,
            end: None,
            matcher: grammar.map(Grammar::matcher),
            sampler: sampling.into(),
            extent,
            generated: Vec::new(),
            opening,
        };
        match extent {
            Extent::Choice => sequence.end = Some(Ok(Finish::Stop)),
            Extent::Whole => sequence.advance(model, logits),
        }
        sequence
    }

    pub(super) fn opening(&self) -> Opening {
        self.opening.clone()
    }

    /// Chooses the next token, and the tokens that the schema forces behind it.
    pub(super) fn advance(&mut self, model: &Model, logits: &[f32]) {
        match self.choose(model, logits) {
            Ok(end) => self.end = end.map(Ok),
            Err(reason) => self.end = Some(Err(ModelError(reason))),
        }
        let excess = self.generated.len() >= model.limits.answer;
        if excess && !matches!(self.end, Some(Err(_))) {
            let whole = self.generated.len() == model.limits.answer && self.end.is_some();
            self.generated.truncate(model.limits.answer);
            self.end.get_or_insert(Ok(Finish::Length));
            if !whole {
                self.end = Some(Ok(Finish::Length));
            }
        }
    }

    fn choose(&mut self, model: &Model, logits: &[f32]) -> Result<Option<Finish>, String> {
        let nothing = || "the decoder answered no logit that is a number".to_owned();
        let Some(matcher) = self.matcher.as_mut() else {
            let token = self.sampler.choose_any(logits).ok_or_else(nothing)?;
            return Ok(self.take(model, token));
        };
        let token = if self.generated.is_empty() {
            // The mask also allows other spellings of a choice, letter by letter; the answer
            // must be the choice whose probability is reported.
            let heads = model.grammar.as_ref().map_or(&[][..], |grammar| &grammar.heads);
            best(logits, |token| heads.contains(&token))
        } else {
            allowed_token(matcher, &mut self.sampler, &model.layout.end_ids, logits)?
        };
        let token = token.ok_or_else(nothing)?;
        matcher.consume_token(token).map_err(|error| error.to_string())?;
        let mut forced = Vec::new();
        if !matcher.is_stopped() {
            forced = matcher.consume_ff_tokens();
        }
        if let Some(error) = matcher.get_error() {
            return Err(error);
        }
        let stopped = matcher.is_stopped();
        if let Some(finish) = self.take(model, token) {
            return Ok(Some(finish));
        }
        self.forced += forced.len();
        self.generated.extend(&forced);
        self.feed.extend(forced);
        Ok(stopped.then_some(Finish::Stop))
    }

    fn take(&mut self, model: &Model, token: u32) -> Option<Finish> {
        if model.layout.end_ids.contains(&token) {
            return Some(Finish::Stop);
        }
        self.sampled += 1;
        self.generated.push(token);
        self.feed.push_back(token);
        None
    }

    pub(super) fn generation(
        &self,
        model: &Model,
        finish: Finish,
    ) -> Result<Generation, ModelError> {
        let prefix = model.grammar.as_ref().map_or(&[][..], |grammar| &grammar.prefix);
        let tokens = match self.extent {
            Extent::Choice => Vec::new(),
            Extent::Whole => [prefix, &self.generated].concat(),
        };
        Ok(Generation {
            text: model.encoder.decode(&tokens).map_err(ModelError)?,
            tokens,
            opening: self.opening(),
            generated_tokens: self.generated.len(),
            forced_tokens: self.forced.min(self.generated.len()),
            finish,
        })
    }
}

/// A token that the grammar allows.
///
/// The likeliest token of all is asked about first: where it is allowed, it is also the
/// likeliest of those allowed, and no mask over the vocabulary has to be computed. A trained
/// decoder is seldom corrected.
fn allowed_token(
    matcher: &mut Matcher,
    sampler: &mut Sampler,
    end_ids: &[u32],
    logits: &[f32],
) -> Result<Option<u32>, String> {
    if sampler.is_greedy()
        && let Some(top) = top(logits).and_then(|index| u32::try_from(index).ok())
        && !end_ids.contains(&top)
        && matcher.validate_tokens(&[top]).map_err(|error| error.to_string())? == 1
    {
        return Ok(Some(top));
    }
    let mask = matcher.compute_mask_or_eos().map_err(|error| error.to_string())?;
    Ok(sampler.choose(logits, |token| mask.is_allowed(token)))
}
