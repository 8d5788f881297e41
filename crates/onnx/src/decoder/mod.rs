//! A decoder that answers prompts with JSON of a given schema, several at a time.

mod bare;
mod encoder;
mod engine;
mod folder;
mod grammar;
mod grown;
mod layout;
mod memory;
mod metrics;
mod sampler;
mod sequence;
mod slab;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use batching::ModelError;
use ort::session::Session;
use package::Package;

pub use self::bare::BareDecoder;
pub use self::encoder::{DecodeRequest, DecoderEncoder, EncodedPrompt, Extent};
pub use self::engine::DecoderEngine;
use self::folder::Folder;
use self::grammar::Grammar;
pub use self::grammar::{ChoiceProbe, GrammarSpec};
use self::layout::Layout;
use self::memory::Memory;
pub use self::metrics::DecoderMetrics;
pub use self::sampler::Sampling;
pub use self::sequence::{Finish, Generation, Opening};
use crate::error::LoadError;
use crate::runtime::Runtime;
use crate::session::{SessionConfig, SessionFactory};
use crate::tokenizer::SafeTokenizer;

const MAX_NEW_TOKENS_DEFAULT: usize = 256;
const PREFILL_CHUNK: NonZeroUsize = NonZeroUsize::new(256).unwrap();
const FORCED_RUN: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// When prompts may join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Admission {
    /// Whenever a slot is free; one at a time while others run, so that a prefill delays the
    /// running sequences by no more than itself.
    #[default]
    Continuous,
    /// Only when nothing runs, up to a full batch.
    Static,
}

/// How a decoder is loaded and run.
#[derive(Debug, Clone)]
pub struct DecoderConfig {
    /// Settings of the session.
    pub session: SessionConfig,
    /// Sequences that run at once.
    pub max_batch_size: usize,
    /// Longest prompt in tokens; never above what the package says.
    pub max_prompt_tokens: Option<usize>,
    /// Longest answer in tokens, without its forced prefix; never above what the package says.
    pub max_new_tokens: Option<usize>,
    /// When prompts may join.
    pub admission: Admission,
    /// What most prompts start with: computed once and copied.
    pub instruction_prefix: Option<String>,
    /// The most tokens of a prompt that are computed between two steps of the running sequences.
    pub prefill_chunk: NonZeroUsize,
    /// The shortest run of tokens to be fed at once, the chosen token and those that the schema
    /// forces behind it; shorter runs are fed one token a step, with the other sequences. It
    /// depends on the sequence alone and never on the company, so that an answer does not either.
    pub forced_run: NonZeroUsize,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self {
            session: SessionConfig::default(),
            max_batch_size: 8,
            max_prompt_tokens: None,
            max_new_tokens: None,
            admission: Admission::default(),
            instruction_prefix: None,
            prefill_chunk: PREFILL_CHUNK,
            forced_run: FORCED_RUN,
        }
    }
}

/// A loaded decoder, ready to become an engine.
pub struct Decoder {
    session: Session,
    memory: Memory,
    model: Model,
    config: DecoderConfig,
}

/// What the engine reads and never changes.
struct Model {
    layout: Arc<Layout>,
    encoder: DecoderEncoder,
    grammar: Option<Grammar>,
    limits: Limits,
}

/// Bounds in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limits {
    prompt: usize,
    answer: usize,
    /// Of one slot: prompt, forced prefix and answer.
    slot: usize,
}

impl Decoder {
    /// Loads a package, or a bare folder of the model builder or of optimum. Without a grammar the decoder writes
    /// freely and answers no choice.
    ///
    /// # Errors
    /// When a file is missing, damaged or does not fit the others, the error names it; also when
    /// the schema does not compile or its choices do not start with tokens of their own.
    pub fn load(
        runtime: &Runtime,
        package: &Package,
        grammar: Option<&GrammarSpec>,
        config: DecoderConfig,
    ) -> Result<Self, LoadError> {
        let Folder { path, graph, mut layout, builder } = Folder::read(package)?;
        let tokenizer_path = package.dir().join("tokenizer.json");
        let tokenizer = SafeTokenizer::load(&tokenizer_path, &layout.control_ids)?;
        tokenizer.check_vocabulary(&tokenizer_path, layout.vocabulary)?;
        check_template(&tokenizer, &layout, &tokenizer_path)?;
        let grammar = grammar
            .map(|spec| Grammar::compile(&tokenizer, &layout, spec))
            .transpose()
            .map_err(|reason| LoadError::invalid(&tokenizer_path, reason))?;
        let forced = grammar.as_ref().map_or(0, |grammar| grammar.prefix.len());
        let limits = limits(package, &config, layout.context_length, forced)
            .map_err(|reason| LoadError::invalid(&path, reason))?;
        let mut session = SessionFactory::new(runtime, &graph, &config.session)
            .open(config.session.intra_threads)?;
        layout.detect(&session, builder);
        layout.check(&session, &graph)?;
        let layout = Arc::new(layout);
        // One row more than sequences run, for the instruction prefix.
        let rows = config.max_batch_size + usize::from(config.instruction_prefix.is_some());
        let memory = Memory::new(&layout, rows, limits.slot)
            // A graph whose cache has symbolic sizes tells only when it runs that they do not fit.
            .and_then(|mut memory| memory.extend(&mut session, 0, &[0], 0).map(|_| memory))
            .map_err(|error| LoadError::WarmUp { path: graph, reason: error.to_string() })?;
        let encoder = DecoderEncoder::new(Arc::new(tokenizer), limits.prompt);
        Ok(Self { session, memory, model: Model { layout, encoder, grammar, limits }, config })
    }

    /// The encoder for this decoder's prompts.
    #[must_use]
    pub fn encoder(&self) -> DecoderEncoder {
        self.model.encoder.clone()
    }

    /// The graph alone, to be driven by hand.
    #[must_use]
    pub fn into_bare(self) -> BareDecoder {
        BareDecoder::new(self)
    }

    /// Computes the instruction prefix and answers the engine.
    ///
    /// # Errors
    /// When the instruction prefix is no prompt that fits, or does not run.
    pub fn into_engine(self, metrics: DecoderMetrics) -> Result<DecoderEngine, ModelError> {
        DecoderEngine::new(self, metrics)
    }
}

/// A tokenizer that ends every text by itself would end the prompt before the answer.
fn check_template(
    tokenizer: &SafeTokenizer,
    layout: &Layout,
    path: &Path,
) -> Result<(), LoadError> {
    let encoding = tokenizer.encode("a").map_err(|error| LoadError::invalid(path, error))?;
    match encoding.get_ids().last() {
        Some(last) if layout.end_ids.contains(last) => Err(LoadError::invalid(
            path,
            "its post-processor ends every text with the end-of-sequence token",
        )),
        Some(_) | None => Ok(()),
    }
}

fn limits(
    package: &Package,
    config: &DecoderConfig,
    context: usize,
    forced: usize,
) -> Result<Limits, String> {
    if config.max_batch_size == 0 {
        return Err("max_batch_size must be at least 1".into());
    }
    let manifest = package.manifest().and_then(|manifest| manifest.decoder.as_ref());
    let lowest = |bounds: [Option<usize>; 2]| bounds.into_iter().flatten().min();
    let answer = lowest([manifest.map(|decoder| decoder.max_new_tokens), config.max_new_tokens])
        .unwrap_or(MAX_NEW_TOKENS_DEFAULT.min(context / 2));
    let prompt =
        lowest([manifest.map(|decoder| decoder.max_prompt_tokens), config.max_prompt_tokens])
            .unwrap_or(context.saturating_sub(answer + forced));
    let slot = prompt + forced + answer;
    if prompt == 0 || answer == 0 || slot > context {
        return Err(format!(
            "prompt ({prompt}), forced prefix ({forced}) and answer ({answer}) tokens must each \
             have room in the context of {context}"
        ));
    }
    Ok(Limits { prompt, answer, slot })
}
