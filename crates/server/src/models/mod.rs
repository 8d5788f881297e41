//! Introduces the ONNX models to the cascade: loads both packages, starts their threads, and
//! implements the cascade's seams on top of the batching handles.

mod analysis;
mod cpu_priority;
mod offline;
mod remote;
mod screening_tier;

use std::{path::Path, sync::Arc};

use anyhow::Context;
use batching::{BatchError, BatchPool, BatchingMetrics, SequenceMetrics, SequenceWorker};
use domain::PackageRef;
use onnx::{Runtime, RuntimeConfig};
use package::{Package, Template};
use prometheus::Registry;
use screening::{AnalysisModel, Renderer, ScreeningModel, TierError};

use self::remote::Probing;
use crate::settings::{EngineKind, Settings, locate};

pub(crate) use analysis::{grammar, margin};
pub(crate) use offline::{OfflineClassifier, offline_screener};
pub(crate) use remote::dialects;

/// Both tiers, running.
pub struct Models {
    /// Tier 1.
    pub screening: Arc<dyn ScreeningModel>,
    /// Tier 2, unless it is switched off.
    pub analysis: Option<Arc<dyn AnalysisModel>>,
    /// The templates of both packages.
    pub renderer: Renderer,
    threads: Threads,
}

/// The threads behind both tiers.
struct Threads {
    screening: BatchPool,
    analysis: Option<AnalysisThreads>,
}

/// What runs behind tier 2.
enum AnalysisThreads {
    Embedded(SequenceWorker),
    Remote(Probing),
}

/// What a bare export, which has no template of its own, is fed with: the shipped one.
const DEFAULT_INPUT: &str = include_str!("../../../../models/screening/input.j2");
const DEFAULT_PROMPT: &str = include_str!("../../../../models/analysis/prompt.j2");

impl Models {
    /// Loads the packages that the settings name, checks their golden vectors, warms them up
    /// and starts their threads.
    ///
    /// # Errors
    /// When ONNX Runtime or a package cannot be used; the error names the file.
    pub fn load(settings: &Settings, registry: &Registry) -> anyhow::Result<Self> {
        let library = settings.runtime.library.as_deref().map(locate);
        let runtime = Runtime::load(&RuntimeConfig { library })?;
        let batching = BatchingMetrics::register(registry)?;
        // All series are there whichever engine is chosen.
        let decoder_metrics = onnx::DecoderMetrics::register(registry)?;
        let engine_metrics = engine_client::Metrics::register(registry)?;

        let package = open(&settings.screening.package)?;
        let input = template(&package, "input.j2", DEFAULT_INPUT)?;
        let tier = batching.dynamic("screening");
        let (screening, pool) =
            screening_tier::start(&runtime, &package, &settings.screening, tier)
                .with_context(|| format!("tier 1 package {}", package.dir().display()))?;

        let tier = batching.sequences("analysis");
        let parts = AnalysisParts { runtime: &runtime, tier, decoder_metrics, engine_metrics };
        let started = settings.analysis.enabled.then(|| parts.start(settings)).transpose()?;
        let (mut analysis, mut threads, mut prompt) = (None, None, None);
        if let Some((model, thread, template)) = started {
            (analysis, threads, prompt) = (Some(model), Some(thread), Some(template));
        }
        Ok(Self {
            screening: Arc::new(screening),
            analysis,
            renderer: Renderer::new(input, prompt),
            threads: Threads { screening: pool, analysis: threads },
        })
    }

    /// Finishes what was admitted and joins the threads. Blocks.
    pub fn shutdown(self) {
        match self.threads.analysis {
            Some(AnalysisThreads::Embedded(worker)) => worker.shutdown(),
            Some(AnalysisThreads::Remote(probing)) => probing.stop(),
            None => {}
        }
        self.threads.screening.shutdown();
    }
}

/// What tier 2 is started with.
struct AnalysisParts<'a> {
    runtime: &'a Runtime,
    tier: SequenceMetrics,
    decoder_metrics: onnx::DecoderMetrics,
    engine_metrics: engine_client::Metrics,
}

type StartedAnalysis = (Arc<dyn AnalysisModel>, AnalysisThreads, Template);

impl AnalysisParts<'_> {
    fn start(self, settings: &Settings) -> anyhow::Result<StartedAnalysis> {
        let package = open(&settings.analysis.package)?;
        let prompt = template(&package, "prompt.j2", DEFAULT_PROMPT)?;
        let place = || format!("tier 2 package {}", package.dir().display());
        let (model, threads) = match settings.analysis.engine {
            EngineKind::Embedded => {
                let Self { runtime, tier, decoder_metrics, .. } = self;
                let load = || {
                    analysis::start(runtime, &package, &settings.analysis, tier, decoder_metrics)
                };
                let priority = settings.analysis.cpu_priority;
                let started = cpu_priority::with_priority(priority, load);
                let (model, worker) = started.with_context(place)?;
                (Arc::new(model) as Arc<dyn AnalysisModel>, AnalysisThreads::Embedded(worker))
            }
            EngineKind::OpenAi => {
                let started = remote::start(&package, &settings.engine, self.engine_metrics);
                let (model, probing) = started.with_context(|| settings.engine.url.clone())?;
                (Arc::new(model) as Arc<dyn AnalysisModel>, AnalysisThreads::Remote(probing))
            }
        };
        Ok((model, threads, prompt))
    }
}

fn open(dir: &Path) -> anyhow::Result<Package> {
    Ok(Package::open(&locate(dir))?)
}

/// The package's template; for a bare export the named file beside it, or the shipped one.
fn template(package: &Package, file: &str, default: &str) -> anyhow::Result<Template> {
    if let Some(template) = package.template()? {
        return Ok(template);
    }
    let beside = package.dir().join(file);
    if beside.is_file() {
        return Ok(Template::read(&beside)?);
    }
    Ok(Template::compile(default)?)
}

fn reference(package: &Package) -> PackageRef {
    PackageRef {
        name: package.name().to_owned(),
        version: package.version().to_owned(),
        sha256: package.sha256().to_owned(),
    }
}

fn tier_error(error: BatchError) -> TierError {
    match error {
        BatchError::Overloaded { retry_after } => TierError::Overloaded { retry_after },
        BatchError::DeadlineExceeded => TierError::Deadline,
        BatchError::Model(error) => TierError::Failed(error.to_string()),
        BatchError::Stopped => TierError::Stopped,
    }
}

/// How many cores this process may use: the affinity mask, and the cgroup's quota where there is
/// one.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A setting of zero means as many as there are cores.
fn or_cores(setting: usize) -> usize {
    if setting == 0 { cores() } else { setting }
}
