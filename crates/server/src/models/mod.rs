//! Introduces the models to the cascade: loads both packages, starts their threads, or the search
//! for a remote engine, and implements the cascade's seams on top of them.

mod acquaintance;
mod analysis;
mod cpu_priority;
mod offline;
mod remote;
mod screening_tier;
mod shadow;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use batching::{BatchError, BatchPool, BatchingMetrics, SequenceWorker};
use domain::PackageRef;
use onnx::{Runtime, RuntimeConfig};
use package::{Package, Template};
use policy::Policy;
use prometheus::Registry;
use screening::{AnalysisModel, Renderer, ScreeningModel, Shadow, ShadowScreening, TierError};

use self::acquaintance::Introduction;
use crate::settings::{AnalysisEngine, Settings, locate};

pub(crate) use analysis::{grammar, margin};
pub(crate) use offline::{
    OfflineClassifier, offline_screener, offline_screening, offline_with_ledger,
};

/// Both tiers, running.
pub struct Models {
    /// Tier 1.
    pub screening: Arc<dyn ScreeningModel>,
    /// Tier 2, unless it is switched off.
    pub analysis: Option<Arc<dyn AnalysisModel>>,
    /// The templates of both packages.
    pub renderer: Renderer,
    /// The text of tier 1's drift reference, where its package has one.
    pub reference: Option<String>,
    /// A package of tier 1 that is only tried.
    shadow: Option<ShadowScreening>,
    threads: Threads,
}

/// The threads behind both tiers.
struct Threads {
    screening: BatchPool,
    analysis: Option<Engine>,
    shadow: Option<BatchPool>,
}

/// What stands behind tier 2.
enum Engine {
    /// A thread of this process.
    Embedded(SequenceWorker),
    /// A server somewhere.
    Remote(Introduction),
}

/// What a bare export, which has no template of its own, is fed with: the shipped one.
const DEFAULT_INPUT: &str = include_str!("../../../../models/screening/input.j2");
const DEFAULT_PROMPT: &str = include_str!("../../../../models/analysis/prompt.j2");

impl Models {
    /// Loads the packages that the settings name, checks their golden vectors, warms them up
    /// and starts their threads. With a remote engine to be called within a Tokio runtime, which
    /// then looks for that engine; whether it is up makes no difference here.
    ///
    /// # Errors
    /// When ONNX Runtime or a package cannot be used; the error names the file.
    pub fn load(settings: &Settings, registry: &Registry) -> anyhow::Result<Self> {
        let library = settings.runtime.library.as_deref().map(locate);
        let runtime = Runtime::load(&RuntimeConfig { library })?;
        let metrics = Metrics {
            batching: BatchingMetrics::register(registry)?,
            decoder: onnx::DecoderMetrics::register(registry)?,
            engine: engine_client::Metrics::register(registry)?,
        };

        let package = open(&settings.screening.package)?;
        let input = template(&package, "input.j2", DEFAULT_INPUT)?;
        let drift_reference = package.reference()?;
        let tier = metrics.batching.dynamic("screening");
        let (screening, pool) =
            screening_tier::start(&runtime, &package, &settings.screening, tier)
                .with_context(|| format!("tier 1 package {}", package.dir().display()))?;

        let (shadow, shadow_pool) = shadow::start(&runtime, settings, &metrics.batching)?.unzip();

        let (mut analysis, mut engine, mut prompt) = (None, None, None);
        // Registers its series, also where nothing is batched here.
        let _ = metrics.batching.sequences("analysis");
        if settings.analysis.enabled {
            let package = open(&settings.analysis.package)?;
            prompt = Some(template(&package, "prompt.j2", DEFAULT_PROMPT)?);
            let (model, behind) = start_analysis(&runtime, &package, settings, metrics)
                .with_context(|| format!("tier 2 package {}", package.dir().display()))?;
            (analysis, engine) = (Some(model), Some(behind));
        }
        Ok(Self {
            screening: Arc::new(screening),
            analysis,
            renderer: Renderer::new(input, prompt),
            reference: drift_reference,
            shadow,
            threads: Threads { screening: pool, analysis: engine, shadow: shadow_pool },
        })
    }

    /// What the settings want tried beside the live policy and packages.
    ///
    /// # Errors
    /// When the policy to be tried cannot be read, or is none.
    pub fn shadow(&self, settings: &Settings) -> anyhow::Result<Option<Shadow>> {
        let tried = &settings.shadow;
        let policy = match &tried.policy {
            None => None,
            Some(file) => {
                let path = locate(file);
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("{}", path.display()))?;
                let policy = Policy::parse(&text)
                    .with_context(|| format!("shadow policy {}", path.display()))?;
                Some(Arc::new(policy))
            }
        };
        Ok(Shadow::new(policy, self.shadow.clone(), tried.max_in_flight))
    }

    /// Waits until a remote engine has answered its first probe, or has failed to, as long as
    /// `patience`. Not at all for the embedded one.
    pub async fn introduced(&self, patience: Duration) {
        if let Some(Engine::Remote(introduction)) = &self.threads.analysis {
            introduction.attempted(patience).await;
        }
    }

    /// Finishes what was admitted and joins the threads. Blocks.
    pub fn shutdown(self) {
        if let Some(Engine::Embedded(worker)) = self.threads.analysis {
            worker.shutdown();
        }
        if let Some(pool) = self.threads.shadow {
            pool.shutdown();
        }
        self.threads.screening.shutdown();
    }
}

/// Every engine's metrics, so that all series exist whichever engine is chosen.
struct Metrics {
    batching: BatchingMetrics,
    decoder: onnx::DecoderMetrics,
    engine: engine_client::Metrics,
}

fn start_analysis(
    runtime: &Runtime,
    package: &Package,
    settings: &Settings,
    metrics: Metrics,
) -> anyhow::Result<(Arc<dyn AnalysisModel>, Engine)> {
    Ok(match settings.analysis.engine {
        AnalysisEngine::Embedded => {
            let tier = metrics.batching.sequences("analysis");
            let load =
                || analysis::start(runtime, package, &settings.analysis, tier, metrics.decoder);
            let priority = settings.analysis.cpu_priority;
            let (model, worker) = cpu_priority::with_priority(priority, load)?;
            (Arc::new(model), Engine::Embedded(worker))
        }
        AnalysisEngine::OpenAi => {
            let (model, introduction) = remote::start(package, &settings.engine, metrics.engine)?;
            (Arc::new(model), Engine::Remote(introduction))
        }
    })
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
