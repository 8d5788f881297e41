//! A package of tier 1 that is tried on live traffic: one session, which gives way to everybody.

use std::sync::Arc;

use anyhow::Context;
use batching::{BatchPool, BatchingMetrics};
use onnx::Runtime;
use screening::{Renderer, ShadowScreening};

use super::{DEFAULT_INPUT, cpu_priority, open, screening_tier, template};
use crate::settings::{CpuPriority, Screening, Settings};

/// Loads the package to be tried, if the settings name one.
pub(super) fn start(
    runtime: &Runtime,
    settings: &Settings,
    metrics: &BatchingMetrics,
) -> anyhow::Result<Option<(ShadowScreening, BatchPool)>> {
    // Registers its series, also where nothing is tried.
    let tier = metrics.dynamic("shadow");
    let Some(dir) = &settings.shadow.screening else { return Ok(None) };
    let package = open(dir)?;
    let input = template(&package, "input.j2", DEFAULT_INPUT)?;
    let modest = Screening {
        package: dir.clone(),
        workers: 1,
        wide_threads: 1,
        max_queue_depth: settings.shadow.max_in_flight,
        ..settings.screening.clone()
    };
    let load = || screening_tier::start(runtime, &package, &modest, tier);
    let (model, pool) = cpu_priority::with_priority(CpuPriority::Idle, load)
        .with_context(|| format!("shadow package {}", package.dir().display()))?;
    let shadow = ShadowScreening { model: Arc::new(model), renderer: Renderer::new(input, None) };
    Ok(Some((shadow, pool)))
}
