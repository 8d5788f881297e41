//! The engine: sequences join by a prefill of their own, then decode together.

use std::collections::VecDeque;
use std::time::Instant;

use batching::{ModelError, SequenceId, SequenceModel, StepOutcome, StepOutcomes};
use ort::session::Session;

use super::encoder::{DecodeRequest, Extent};
use super::memory::Memory;
use super::metrics::{Call, DecoderMetrics};
use super::sampler::Sampling;
use super::sequence::{Generation, Opening, Sequence};
use super::{Admission, Decoder, DecoderConfig, Model};

/// Runs up to `max_batch_size` sequences, one token per step each. Owned by one thread.
///
/// Prompts are computed one by one, in pieces, so that a verdict depends on its own prompt alone
/// whatever else runs, and a prompt holds up the others by no more than a piece. The running
/// sequences lie in the first rows without a gap, because attention takes no row of length zero
/// and an idle row would cost as much as a busy one: when one leaves, the last one moves into its
/// row. The last row of all is where prompts are computed.
pub struct DecoderEngine {
    session: Session,
    memory: Memory,
    model: Model,
    config: DecoderConfig,
    metrics: DecoderMetrics,
    /// The instruction prefix, whose cache is in the row behind all slots.
    prefix: Vec<u32>,
    /// Whose prompts are not computed yet; the first one's is under way.
    entering: VecDeque<Entrant>,
    /// By row.
    running: Vec<Sequence>,
}

/// A sequence whose prompt is being computed.
pub(super) struct Entrant {
    pub(super) id: SequenceId,
    /// The prompt and the answer's forced prefix.
    pub(super) tokens: Vec<u32>,
    pub(super) prompt_tokens: usize,
    /// How many of the tokens are in the row where prompts are computed.
    pub(super) done: usize,
    /// How many of them the prefix cache has.
    pub(super) cached: usize,
    pub(super) extent: Extent,
    pub(super) sampling: Sampling,
}

type Outcomes = StepOutcomes<Opening, Generation>;

impl DecoderEngine {
    pub(super) fn new(decoder: Decoder, metrics: DecoderMetrics) -> Result<Self, ModelError> {
        let Decoder { session, memory, model, config } = decoder;
        let (prefix, entering, running) = (Vec::new(), VecDeque::new(), Vec::new());
        let mut engine =
            Self { session, memory, model, config, metrics, prefix, entering, running };
        engine.compute_prefix()?;
        engine.show_slots();
        Ok(engine)
    }

    /// Answers one prompt alone, from start to end.
    ///
    /// # Errors
    /// When the prompt does not fit, the model fails, or other sequences are running.
    pub fn generate(
        &mut self,
        request: impl Into<DecodeRequest>,
    ) -> Result<Generation, ModelError> {
        if self.occupied() > 0 {
            return Err(ModelError("other sequences are running".into()));
        }
        for (_, joined) in self.join(vec![(SequenceId(0), request.into())]) {
            joined?;
        }
        loop {
            for (_, outcome) in self.step()? {
                match outcome {
                    StepOutcome::Running | StepOutcome::Opened(_) => {}
                    StepOutcome::Finished(generation) => return Ok(generation),
                    StepOutcome::Failed(error) => return Err(error),
                }
            }
        }
    }

    fn occupied(&self) -> usize {
        self.entering.len() + self.running.len()
    }

    fn compute_prefix(&mut self) -> Result<(), ModelError> {
        let Some(text) = &self.config.instruction_prefix else { return Ok(()) };
        let encoded = self.model.encoder.encode(text);
        let tokens = encoded.map_err(|error| ModelError(error.to_string()))?.ids;
        let row = self.config.max_batch_size;
        let mut done = 0;
        while done < tokens.len() {
            let end = piece_end(done, tokens.len(), self.config.prefill_chunk.get());
            let piece = &tokens[done..end];
            self.memory.extend(&mut self.session, row, piece, done).map_err(failure)?;
            done = end;
        }
        self.prefix = tokens;
        Ok(())
    }

    fn entrant(&self, id: SequenceId, request: DecodeRequest) -> Result<Entrant, ModelError> {
        let DecodeRequest { prompt, extent, sampling } = request;
        let limit = self.model.limits.prompt;
        let prompt_tokens = prompt.ids.len();
        if prompt_tokens == 0 || prompt_tokens > limit {
            let error = format!("the prompt has {prompt_tokens} tokens, not 1 to {limit}");
            return Err(ModelError(error));
        }
        sampling.check().map_err(ModelError)?;
        let mut tokens = prompt.ids;
        if let Some(grammar) = &self.model.grammar {
            tokens.extend(&grammar.prefix);
        }
        let cached = self.shared(&tokens);
        Ok(Entrant { id, tokens, prompt_tokens, done: 0, cached, extent, sampling })
    }

    /// How many leading tokens of a prompt are in the prefix's row; a last piece is left.
    fn shared(&self, tokens: &[u32]) -> usize {
        let pairs = self.prefix.iter().zip(tokens);
        let same = pairs.take_while(|(cached, token)| cached == token).count();
        same.min(tokens.len().saturating_sub(PIECE_MIN))
    }

    /// Computes one piece of the first prompt. Answers the logits behind it when it was the last.
    fn prefill(&mut self) -> Result<Option<Vec<f32>>, ModelError> {
        let Some(entrant) = self.entering.front_mut() else { return Ok(None) };
        let row = self.config.max_batch_size - 1;
        if entrant.done == 0 && entrant.cached > 0 {
            let prefix_row = self.config.max_batch_size;
            self.memory.copy(prefix_row, row, entrant.cached).map_err(failure)?;
            self.metrics.cached.inc_by(entrant.cached as u64);
            entrant.done = entrant.cached;
        }
        let done = entrant.done;
        let end = piece_end(done, entrant.tokens.len(), self.config.prefill_chunk.get());
        let started = Instant::now();
        let piece = &entrant.tokens[done..end];
        let logits = self.memory.extend(&mut self.session, row, piece, done).map_err(failure)?;
        self.metrics.called(Call::Prefill, started.elapsed());
        self.metrics.prompt.inc_by((end - done) as u64);
        entrant.done = end;
        Ok((end == entrant.tokens.len()).then_some(logits))
    }

    /// Computes a piece of a prompt, and makes its sequence run when it was the last.
    fn enter(&mut self, outcomes: &mut Outcomes) {
        let logits = match self.prefill() {
            Ok(None) => return,
            Ok(Some(logits)) => Ok(logits),
            Err(error) => Err(error),
        };
        let Some(entrant) = self.entering.pop_front() else { return };
        let id = entrant.id;
        let seated = logits.and_then(|logits| self.seat(entrant, &logits, outcomes));
        if let Err(error) = seated {
            outcomes.push((id, StepOutcome::Failed(error)));
        }
    }

    fn seat(
        &mut self,
        entrant: Entrant,
        logits: &[f32],
        outcomes: &mut Outcomes,
    ) -> Result<(), ModelError> {
        let sequence = Sequence::start(&self.model, entrant, logits);
        outcomes.push((sequence.id, StepOutcome::Opened(sequence.opening())));
        if sequence.end.is_none() {
            let from = self.config.max_batch_size - 1;
            self.memory.copy(from, self.running.len(), sequence.length).map_err(failure)?;
        }
        self.running.push(sequence);
        Ok(())
    }

    /// Removes the sequences that have ended and answers them.
    fn retire(&mut self, outcomes: &mut Outcomes) -> Result<(), ModelError> {
        let mut row = 0;
        while let Some(sequence) = self.running.get_mut(row) {
            let Some(end) = sequence.end.take() else {
                row += 1;
                continue;
            };
            let outcome = match end.and_then(|finish| sequence.generation(&self.model, finish)) {
                Ok(generation) => StepOutcome::Finished(generation),
                Err(error) => StepOutcome::Failed(error),
            };
            outcomes.push((sequence.id, outcome));
            self.metrics.generated.inc_by(sequence.sampled as u64);
            self.metrics.forced.inc_by(sequence.forced as u64);
            self.leave(row)?;
        }
        Ok(())
    }

    /// Takes the sequence out of its row, and gives the row to the last one.
    fn leave(&mut self, row: usize) -> Result<(), ModelError> {
        self.running.swap_remove(row);
        match self.running.get(row) {
            // One that has ended too is not computed any more.
            Some(moved) if moved.end.is_none() => {
                let from = self.running.len();
                self.memory.copy(from, row, moved.length).map_err(failure)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Feeds each long run of forced tokens at once, and what they force in turn.
    fn feed_forced(&mut self) -> Result<(), ModelError> {
        for (row, sequence) in self.running.iter_mut().enumerate() {
            while sequence.end.is_none() && sequence.feed.len() >= self.config.forced_run.get() {
                let started = Instant::now();
                let tokens: Vec<u32> = sequence.feed.drain(..).collect();
                let logits = self
                    .memory
                    .extend(&mut self.session, row, &tokens, sequence.length)
                    .map_err(failure)?;
                self.metrics.called(Call::Forced, started.elapsed());
                sequence.length += tokens.len();
                sequence.advance(&self.model, &logits);
            }
        }
        Ok(())
    }

    /// Feeds every sequence its next token.
    fn decode(&mut self) -> Result<(), ModelError> {
        if self.running.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let next = |sequence: &mut Sequence| {
            let token = sequence.feed.pop_front();
            token.ok_or_else(|| ModelError("a running sequence has no next token".into()))
        };
        let lengths: Vec<usize> = self.running.iter().map(|sequence| sequence.length).collect();
        let tokens = self.running.iter_mut().map(next).collect::<Result<Vec<u32>, _>>()?;
        let logits = self.memory.step(&mut self.session, &tokens, &lengths).map_err(failure)?;
        self.metrics.called(Call::Decode, started.elapsed());
        let rows = logits.chunks_exact(self.model.layout.vocabulary);
        for (sequence, logits) in self.running.iter_mut().zip(rows) {
            sequence.length += 1;
            if sequence.feed.is_empty() {
                sequence.advance(&self.model, logits);
            }
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<Outcomes, ModelError> {
        let mut outcomes = Vec::new();
        self.enter(&mut outcomes);
        self.feed_forced()?;
        self.retire(&mut outcomes)?;
        self.decode()?;
        self.retire(&mut outcomes)?;
        let entering = self.entering.iter().map(|entrant| entrant.id);
        let still = self.running.iter().map(|sequence| sequence.id).chain(entering);
        outcomes.extend(still.map(|id| (id, StepOutcome::Running)));
        Ok(outcomes)
    }

    fn show_slots(&self) {
        let all = self.config.max_batch_size;
        self.metrics.show_slots(all, self.entering.len(), self.running.len());
    }
}

impl SequenceModel for DecoderEngine {
    type Prompt = DecodeRequest;
    type First = Opening;
    type Output = Generation;

    /// A prompt that waits here could not be overtaken by a more urgent one: there is no more
    /// than one.
    fn capacity(&self) -> usize {
        let free = self.config.max_batch_size - self.occupied();
        match self.config.admission {
            Admission::Static if self.occupied() > 0 => 0,
            Admission::Static => free,
            Admission::Continuous if self.entering.is_empty() => free.min(1),
            Admission::Continuous => 0,
        }
    }

    fn join(
        &mut self,
        prompts: Vec<(SequenceId, DecodeRequest)>,
    ) -> Vec<(SequenceId, Result<(), ModelError>)> {
        let mut answers = Vec::with_capacity(prompts.len());
        let room = self.capacity();
        for (index, (id, request)) in prompts.into_iter().enumerate() {
            let entrant = if index < room {
                self.entrant(id, request)
            } else {
                Err(ModelError("every slot of the decoder is taken".into()))
            };
            answers.push((id, entrant.map(|entrant| self.entering.push_back(entrant))));
        }
        self.show_slots();
        answers
    }

    fn step(&mut self) -> Result<Outcomes, ModelError> {
        let outcomes = self.advance();
        if outcomes.is_err() {
            self.entering.clear();
            self.running.clear();
        }
        self.show_slots();
        outcomes
    }

    fn cancel(&mut self, id: SequenceId) {
        self.entering.retain(|entrant| entrant.id != id);
        if let Some(row) = self.running.iter().position(|sequence| sequence.id == id)
            && let Err(error) = self.leave(row)
        {
            // Whoever was to move has lost its past.
            tracing::error!(%error, "a sequence cannot be moved");
            if let Some(moved) = self.running.get_mut(row) {
                moved.end = Some(Err(error));
            }
        }
        self.show_slots();
    }
}

/// The fewest tokens of a piece, where a prompt has so many. One token alone is computed by
/// another kernel, whose sums round otherwise; with two or more it makes no difference to the
/// bit where a prompt is cut, nor whether its prefix was cached.
const PIECE_MIN: usize = 2;

/// Where the piece from `done` on ends, of at most `chunk` tokens or [`PIECE_MIN`].
fn piece_end(done: usize, all: usize, chunk: usize) -> usize {
    let end = all.min(done + chunk.max(PIECE_MIN));
    // What is left must be a piece too.
    if all - end > 0 && all - end < PIECE_MIN && end - done > PIECE_MIN {
        all - PIECE_MIN
    } else if all - end < PIECE_MIN {
        all
    } else {
        end
    }
}

fn failure(error: ort::Error) -> ModelError {
    ModelError(error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_cover_a_prompt_and_none_is_a_single_token(all in 1usize..300, chunk in 1usize..64) {
            let (mut done, mut pieces) = (0, Vec::new());
            while done < all {
                let end = piece_end(done, all, chunk);
                prop_assert!(end > done && end <= all);
                pieces.push(end - done);
                done = end;
            }
            prop_assert!(all == 1 || pieces.iter().all(|piece| *piece >= PIECE_MIN), "{pieces:?}");
            prop_assert!(pieces.iter().all(|piece| *piece <= chunk.max(PIECE_MIN) + 1), "{pieces:?}");
        }
    }
}
