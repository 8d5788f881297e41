//! Our own engine, in this process.

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use batching::{BatchingMetrics, SequenceConfig, SequenceHandle, SequenceWorker, Started};
use onnx::{
    BareDecoder, ChoiceProbe, DecodeRequest, Decoder, DecoderConfig, DecoderEngine, DecoderMetrics,
    EncodedPrompt, Generation, GrammarSpec, Opening, Runtime, SessionConfig,
};
use package::{DecoderGolden, Package, read_golden};
use prometheus::Registry;
use screening::{REPORT_PREFIX, report_schema, verdict_words};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

use super::closed::{Measured, Tokens, Window, closed_loop};

/// How a decoder is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Sequences at once.
    pub slots: usize,
    /// Tokens of a prompt at most.
    pub read: usize,
    /// Tokens of an answer at most.
    pub written: usize,
    /// Whether answers follow the schema of reports.
    pub schema: bool,
    /// What every prompt starts with.
    pub prefix: Option<String>,
    /// The shortest run of forced tokens that is fed at once.
    pub forced_run: Option<usize>,
}

/// The grammar of reports.
#[must_use]
pub fn grammar() -> GrammarSpec {
    let choices = verdict_words().into_iter().map(str::to_owned).collect();
    GrammarSpec {
        schema_json: report_schema().to_string(),
        choice: ChoiceProbe { prefix: REPORT_PREFIX.to_owned(), choices },
    }
}

/// Loads a decoder with as many threads as there are cores.
///
/// # Errors
/// When it does not load.
pub fn load(runtime: &Runtime, dir: &Path, options: &Options) -> anyhow::Result<Decoder> {
    let package = Package::open(dir).with_context(|| dir.display().to_string())?;
    let intra_threads = std::thread::available_parallelism()?.get();
    let mut config = DecoderConfig {
        // As tier 2 is served.
        session: SessionConfig { intra_threads, spinning: true, ..SessionConfig::default() },
        max_batch_size: options.slots,
        max_prompt_tokens: Some(options.read),
        max_new_tokens: Some(options.written),
        instruction_prefix: options.prefix.clone(),
        ..DecoderConfig::default()
    };
    if let Some(run) = options.forced_run.and_then(NonZeroUsize::new) {
        config.forced_run = run;
    }
    let grammar = options.schema.then(grammar);
    Ok(Decoder::load(runtime, &package, grammar.as_ref(), config)?)
}

/// An engine on the caller's thread.
///
/// # Errors
/// When it does not load.
pub fn engine(runtime: &Runtime, dir: &Path, options: &Options) -> anyhow::Result<DecoderEngine> {
    let metrics = DecoderMetrics::register(&Registry::new())?;
    Ok(load(runtime, dir, options)?.into_engine(metrics)?)
}

/// The graph alone.
///
/// # Errors
/// When it does not load.
pub fn bare(runtime: &Runtime, dir: &Path, options: &Options) -> anyhow::Result<BareDecoder> {
    Ok(load(runtime, dir, options)?.into_bare())
}

/// A sequence under way.
pub type Busy = Started<DecodeRequest, Opening, Generation>;

/// An engine behind its scheduler, on its own thread, as it serves.
pub struct Served {
    handle: SequenceHandle<DecodeRequest, Opening, Generation>,
    _worker: SequenceWorker,
}

/// Long enough that only a hanging engine meets it.
const PATIENCE: Duration = Duration::from_secs(120);

impl Options {
    /// Sequences of 250 tokens in and 80 out, free of any schema.
    #[must_use]
    pub fn plain(slots: usize) -> Self {
        let (read, written) = (256, 80);
        Self { slots, read, written, schema: false, prefix: None, forced_run: None }
    }
}

impl Served {
    /// Starts it.
    ///
    /// # Errors
    /// When it does not load.
    pub fn start(runtime: &Runtime, dir: &Path, options: &Options) -> anyhow::Result<Self> {
        let metrics = BatchingMetrics::register(&Registry::new())?.sequences("analysis");
        let start = || -> anyhow::Result<_> {
            let thread = thread_native_id();
            let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
            set_thread_priority_and_policy(thread, ThreadPriority::Min, idle)
                .map_err(|error| anyhow!("{error}"))?;
            let engine = engine(runtime, dir, options)?;
            Ok(SequenceWorker::spawn(engine, &SequenceConfig::default(), metrics)?)
        };
        // Threads inherit the priority, as they do where tier 2 is served.
        let started = std::thread::scope(|scope| scope.spawn(start).join());
        let (handle, worker) = started.map_err(|_| anyhow!("a thread panicked"))??;
        Ok(Self { handle, _worker: worker })
    }

    /// Answers a second while `window.callers` ask at once, each prompt in turn.
    ///
    /// # Errors
    /// When an answer fails.
    pub async fn reports(
        &self,
        prompts: &Arc<[EncodedPrompt]>,
        window: Window,
    ) -> anyhow::Result<Measured> {
        let (handle, prompts) = (self.handle.clone(), Arc::clone(prompts));
        closed_loop(window, move |number| {
            let (handle, prompt) = (handle.clone(), prompts[number % prompts.len()].clone());
            async move {
                let answer = handle.generate(prompt.into(), Instant::now() + PATIENCE).await?;
                let Generation { opening, generated_tokens, .. } = answer.output;
                Ok(Tokens {
                    read: (opening.prompt_tokens - opening.cached_tokens) as u64,
                    cached: opening.cached_tokens as u64,
                    written: generated_tokens as u64,
                })
            }
        })
        .await
    }

    /// The whole answer to each prompt, one after the other.
    ///
    /// # Errors
    /// When an answer fails.
    pub async fn answers(&self, prompts: &[EncodedPrompt]) -> anyhow::Result<Vec<Generation>> {
        let mut answers = Vec::with_capacity(prompts.len());
        for prompt in prompts {
            let by = Instant::now() + PATIENCE;
            answers.push(self.handle.generate(prompt.clone().into(), by).await?.output);
        }
        Ok(answers)
    }

    /// A sequence that goes on until it is dropped.
    ///
    /// # Errors
    /// When it does not begin.
    pub async fn busy(&self, prompt: EncodedPrompt) -> anyhow::Result<Busy> {
        Ok(self.handle.start(prompt.into(), Instant::now() + PATIENCE).await?)
    }

    /// How long a prompt waits between admission and joining, when it comes at any moment.
    ///
    /// # Errors
    /// When an answer fails.
    pub async fn wait_to_join(&self, prompt: EncodedPrompt) -> anyhow::Result<Duration> {
        let started = self.handle.start(prompt.into(), Instant::now() + PATIENCE).await?;
        Ok(started.opened.queue)
    }
}

/// The shipped decoder's golden prompts as text.
///
/// # Errors
/// When they cannot be read.
pub fn golden_texts() -> anyhow::Result<Vec<String>> {
    let golden: Vec<DecoderGolden> = read_golden(Path::new("models/analysis/golden.jsonl"))?;
    Ok(golden.into_iter().map(|line| line.prompt).collect())
}
