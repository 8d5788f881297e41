//! A decoder that answers prompts with JSON of a given schema, several at a time.

mod cache;
mod encoder;
mod engine;
mod grammar;
mod lanes;
mod layout;
mod metrics;
mod sequence;

use std::path::Path;
use std::sync::Arc;

use batching::ModelError;
use ort::session::Session;
use package::Package;

pub use self::encoder::{DecoderEncoder, EncodedPrompt};
pub use self::engine::DecoderEngine;
use self::grammar::Grammar;
pub use self::grammar::{ChoiceProbe, GrammarSpec};
use self::lanes::Lanes;
use self::layout::{GenaiConfig, Layout};
pub use self::metrics::DecoderMetrics;
pub use self::sequence::{Finish, Generation};
use crate::error::LoadError;
use crate::files;
use crate::runtime::Runtime;
use crate::session::{SessionConfig, SessionFactory};
use crate::tokenizer::SafeTokenizer;

const MAX_NEW_TOKENS_DEFAULT: usize = 256;

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
    /// Feed a run of forced tokens at once when one sequence runs alone. A little faster; but
    /// matrix products of another height round otherwise (INT8 and INT4 graphs do), so that the
    /// wording of an answer, never its verdict, depends on what else ran. Off by default.
    pub fast_forward: bool,
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
            fast_forward: false,
        }
    }
}

/// A loaded decoder, ready to become an engine.
pub struct Decoder {
    session: Session,
    /// The slab in which prompts are prefilled.
    entry: Lanes,
    model: Model,
    config: DecoderConfig,
}

/// What the engine reads and never changes.
struct Model {
    layout: Layout,
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
    /// Loads a package or a bare model-builder folder. Without a grammar the decoder writes
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
        let path = package.dir().join("genai_config.json");
        let genai = GenaiConfig::read(&path)?;
        let graph = graph(package, &genai)?;
        let layout = genai.layout(&path)?;
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
        layout.check(&session, &graph)?;
        // A graph whose cache has symbolic sizes tells only when it runs that they do not fit.
        let entry = Lanes::new(&session, &layout, 1, limits.slot)
            .and_then(|mut entry| entry.extend(&mut session, &[0], 0).map(|_| entry))
            .map_err(|error| LoadError::WarmUp { path: graph, reason: error.to_string() })?;
        let encoder = DecoderEncoder::new(Arc::new(tokenizer), limits.prompt);
        Ok(Self { session, entry, model: Model { layout, encoder, grammar, limits }, config })
    }

    /// The encoder for this decoder's prompts.
    #[must_use]
    pub fn encoder(&self) -> DecoderEncoder {
        self.model.encoder.clone()
    }

    /// Computes the instruction prefix and answers the engine.
    ///
    /// # Errors
    /// When the instruction prefix is no prompt that fits, or does not run.
    pub fn into_engine(self, metrics: DecoderMetrics) -> Result<DecoderEngine, ModelError> {
        DecoderEngine::new(self, metrics)
    }
}

fn graph(package: &Package, genai: &GenaiConfig) -> Result<std::path::PathBuf, LoadError> {
    let named = package.manifest().and_then(|manifest| manifest.decoder.as_ref()?.graph.clone());
    files::existing(package.dir().join(named.as_deref().unwrap_or(genai.graph_name())))
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
