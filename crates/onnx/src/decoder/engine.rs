//! The engine: sequences join by a prefill of their own, then decode together.

use std::time::Instant;

use batching::{ModelError, SequenceId, SequenceModel, StepOutcome, StepOutcomes};
use ort::session::Session;

use super::encoder::EncodedPrompt;
use super::lanes::Lanes;
use super::metrics::DecoderMetrics;
use super::sequence::{Generation, Sequence};
use super::{Admission, Decoder, DecoderConfig, Model};

/// Advances up to `max_batch_size` sequences by one token per step. Owned by one thread.
///
/// Prompts are prefilled one by one, so that a verdict is computed from its own prompt alone
/// whatever else runs. There is no idle row, because attention takes no row of length zero and
/// an idle row would cost as much as a busy one: a sequence that joins takes the row of one that
/// left, and when none joins the others move to a smaller slab.
pub struct DecoderEngine {
    session: Session,
    model: Model,
    config: DecoderConfig,
    metrics: DecoderMetrics,
    /// Where prompts are prefilled: one row.
    entry: Lanes,
    prefix: Option<Prefix>,
    lanes: Option<Lanes>,
    running: Vec<Sequence>,
}

/// The cache of the instruction prefix.
struct Prefix {
    tokens: Vec<u32>,
    lanes: Lanes,
}

impl DecoderEngine {
    pub(super) fn new(decoder: Decoder, metrics: DecoderMetrics) -> Result<Self, ModelError> {
        let Decoder { mut session, entry, model, config } = decoder;
        let prefix = Prefix::compute(&mut session, &model, &config)?;
        let engine =
            Self { session, model, config, metrics, entry, prefix, lanes: None, running: vec![] };
        engine.show_slots();
        Ok(engine)
    }

    /// Answers one prompt alone, from start to end.
    ///
    /// # Errors
    /// When the prompt does not fit, the model fails, or other sequences are running.
    pub fn generate(&mut self, prompt: EncodedPrompt) -> Result<Generation, ModelError> {
        if !self.running.is_empty() {
            return Err(ModelError("other sequences are running".into()));
        }
        let id = SequenceId(0);
        for (_, joined) in self.join(vec![(id, prompt)]) {
            joined?;
        }
        loop {
            for (_, outcome) in self.step()? {
                match outcome {
                    StepOutcome::Running => {}
                    StepOutcome::Finished(generation) => return Ok(generation),
                    StepOutcome::Failed(error) => return Err(error),
                }
            }
        }
    }

    /// Computes the prompt in the entry row; its cache is then the entry slab.
    fn prefill(&mut self, id: SequenceId, prompt: &EncodedPrompt) -> Result<Sequence, ModelError> {
        let limit = self.model.limits.prompt;
        let count = prompt.ids.len();
        if count == 0 || count > limit {
            return Err(ModelError(format!("the prompt has {count} tokens, not 1 to {limit}")));
        }
        let mut tokens = prompt.ids.clone();
        if let Some(grammar) = &self.model.grammar {
            tokens.extend(&grammar.prefix);
        }
        let started = Instant::now();
        let cached = self.prefix.as_ref().map_or(0, |prefix| prefix.shared(&tokens));
        if let Some(prefix) = &self.prefix {
            self.entry.slab_mut().copy_row(0, prefix.lanes.slab(), 0, 0..cached);
        }
        let logits =
            self.entry.extend(&mut self.session, &tokens[cached..], cached).map_err(failure)?;
        tracing::debug!(tokens = tokens.len(), cached, elapsed = ?started.elapsed(), "prefilled");
        self.metrics.prompt.inc_by((tokens.len() - cached) as u64);
        self.metrics.cached.inc_by(cached as u64);
        Ok(Sequence::start(&self.model, id, count, tokens.len(), &logits))
    }

    /// Makes a slab in which the running sequences leave just `extra` rows free.
    fn resize(&mut self, extra: usize) -> Result<(), ModelError> {
        let rows = self.running.len() + extra;
        if self.lanes.as_ref().map_or(0, Lanes::rows) == rows {
            return Ok(());
        }
        let old = self.lanes.take();
        if rows == 0 {
            return Ok(());
        }
        let mut fresh = Lanes::new(&self.session, &self.model.layout, rows, self.model.limits.slot)
            .map_err(failure)?;
        for (row, sequence) in self.running.iter_mut().enumerate() {
            if let Some(old) = &old {
                let slab = fresh.slab_mut();
                slab.copy_row(row, old.slab(), sequence.row, 0..sequence.length);
            }
            sequence.row = row;
        }
        self.lanes = Some(fresh);
        Ok(())
    }

    /// Copies the entry row into a free row.
    fn seat(&mut self, mut sequence: Sequence) {
        let taken = |row: &usize| self.running.iter().any(|other| other.row == *row);
        sequence.row = (0..).find(|row| !taken(row)).unwrap_or_default();
        if let Some(lanes) = self.lanes.as_mut() {
            let slab = lanes.slab_mut();
            slab.copy_row(sequence.row, self.entry.slab(), 0, 0..sequence.length);
        }
        self.running.push(sequence);
    }

    /// Removes the sequences that have ended and answers them.
    fn retire(&mut self) -> StepOutcomes<Generation> {
        let model = &self.model;
        let mut outcomes = Vec::new();
        self.running.retain_mut(|sequence| {
            let Some(end) = sequence.end.take() else {
                return true;
            };
            let outcome = match end.and_then(|finish| sequence.generation(model, finish)) {
                Ok(generation) => StepOutcome::Finished(generation),
                Err(error) => StepOutcome::Failed(error),
            };
            self.metrics.sampled.inc_by(sequence.sampled as u64);
            self.metrics.forced.inc_by(sequence.forced as u64);
            outcomes.push((sequence.id, outcome));
            false
        });
        outcomes
    }

    /// Feeds every sequence its next token, or the only one all its forced tokens.
    fn decode(&mut self) -> Result<(), ModelError> {
        let Some(lanes) = self.lanes.as_mut() else {
            return Ok(());
        };
        let logits = match self.running.as_mut_slice() {
            [alone] if self.config.fast_forward => {
                let tokens: Vec<u32> = alone.feed.drain(..).collect();
                let length = alone.length;
                alone.length += tokens.len();
                lanes.extend(&mut self.session, &tokens, length).map_err(failure)?
            }
            running => {
                let mut tokens = vec![0; lanes.rows()];
                let mut lengths = vec![0; lanes.rows()];
                for sequence in running {
                    let Some(token) = sequence.feed.pop_front() else {
                        return Err(ModelError("a running sequence has no next token".into()));
                    };
                    tokens[sequence.row] = token;
                    lengths[sequence.row] = sequence.length;
                    sequence.length += 1;
                }
                lanes.step(&mut self.session, &tokens, &lengths).map_err(failure)?
            }
        };
        let rows: Vec<&[f32]> = logits.chunks_exact(self.model.layout.vocabulary).collect();
        for sequence in &mut self.running {
            if sequence.feed.is_empty() {
                sequence.advance(&self.model, rows[sequence.row]);
            }
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<StepOutcomes<Generation>, ModelError> {
        let mut outcomes = self.retire();
        self.resize(0)?;
        self.decode()?;
        outcomes.extend(self.retire());
        outcomes.extend(self.running.iter().map(|sequence| (sequence.id, StepOutcome::Running)));
        Ok(outcomes)
    }

    fn show_slots(&self) {
        let free = self.config.max_batch_size - self.running.len().min(self.config.max_batch_size);
        self.metrics.slots_running.set(gauge(self.running.len()));
        self.metrics.slots_free.set(gauge(free));
    }
}

impl SequenceModel for DecoderEngine {
    type Prompt = EncodedPrompt;
    type Output = Generation;

    fn capacity(&self) -> usize {
        let free = self.config.max_batch_size - self.running.len();
        match self.config.admission {
            _ if self.running.is_empty() => free,
            Admission::Continuous => free.min(1),
            Admission::Static => 0,
        }
    }

    fn join(
        &mut self,
        prompts: Vec<(SequenceId, EncodedPrompt)>,
    ) -> Vec<(SequenceId, Result<(), ModelError>)> {
        let room = self.capacity();
        if let Err(error) = self.resize(prompts.len().min(room)) {
            self.running.clear();
            return prompts.into_iter().map(|(id, _)| (id, Err(error.clone()))).collect();
        }
        let mut answers = Vec::with_capacity(prompts.len());
        for (index, (id, prompt)) in prompts.into_iter().enumerate() {
            let joined = if index < room {
                self.prefill(id, &prompt)
            } else {
                Err(ModelError("every slot of the decoder is taken".into()))
            };
            answers.push((id, joined.map(|sequence| self.seat(sequence))));
        }
        self.show_slots();
        answers
    }

    fn step(&mut self) -> Result<StepOutcomes<Generation>, ModelError> {
        let outcomes = self.advance();
        if outcomes.is_err() {
            self.running.clear();
            self.lanes = None;
        }
        self.show_slots();
        outcomes
    }

    fn cancel(&mut self, id: SequenceId) {
        self.running.retain(|sequence| sequence.id != id);
        self.show_slots();
    }
}

impl Prefix {
    fn compute(
        session: &mut Session,
        model: &Model,
        config: &DecoderConfig,
    ) -> Result<Option<Self>, ModelError> {
        let Some(text) = &config.instruction_prefix else {
            return Ok(None);
        };
        let tokens = model.encoder.encode(text);
        let tokens = tokens.map_err(|error| ModelError(error.to_string()))?.ids;
        let lanes = Lanes::new(session, &model.layout, 1, model.limits.slot)
            .and_then(|mut lanes| lanes.extend(session, &tokens, 0).map(|_| lanes))
            .map_err(failure)?;
        Ok(Some(Self { tokens, lanes }))
    }

    /// How many leading tokens of the prompt are in the cache. Depends on the prompt alone, and
    /// so do the results. At least one token is left to compute, for its logits.
    fn shared(&self, tokens: &[u32]) -> usize {
        let pairs = self.tokens.iter().zip(tokens);
        let same = pairs.take_while(|(cached, token)| cached == token).count();
        same.min(tokens.len() - 1)
    }
}

fn failure(error: ort::Error) -> ModelError {
    ModelError(error.to_string())
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
