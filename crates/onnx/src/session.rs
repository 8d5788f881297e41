//! Opens ONNX sessions with the settings that every model here shares.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::ep;
use ort::session::Session;
use ort::session::builder::{AutoDevicePolicy, GraphOptimizationLevel, PrepackedWeights};
use ort::value::{Outlet, TensorElementType, ValueType};

use crate::error::LoadError;
use crate::runtime::Runtime;
use crate::weights::{self, Weight};

/// How far ONNX Runtime may rewrite a graph when it loads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GraphOptimization {
    /// The graph as it was exported.
    Disabled,
    /// Rewrites that keep the results to the bit.
    Basic,
    /// Fusions too.
    Extended,
    /// Fusions and layout changes: the fastest, and what scores are calibrated with.
    #[default]
    All,
}

impl From<GraphOptimization> for GraphOptimizationLevel {
    fn from(level: GraphOptimization) -> Self {
        match level {
            GraphOptimization::Disabled => Self::Disable,
            GraphOptimization::Basic => Self::Level1,
            GraphOptimization::Extended => Self::Level2,
            GraphOptimization::All => Self::All,
        }
    }
}

/// Settings of one session.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Threads that one operator may use.
    pub intra_threads: usize,
    /// How far the graph may be rewritten.
    pub optimization: GraphOptimization,
    /// Whether activations come from ONNX Runtime's arena, which is faster and never shrinks.
    pub arena: bool,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self { intra_threads: 1, optimization: GraphOptimization::All, arena: true }
    }
}

/// Opens sessions on one model file.
pub(crate) struct SessionFactory {
    runtime: Runtime,
    model: PathBuf,
    optimization: GraphOptimization,
    arena: bool,
    prepacked: PrepackedWeights,
    weights: Vec<Weight>,
}

impl SessionFactory {
    pub(crate) fn new(runtime: &Runtime, model: &Path, config: &SessionConfig) -> Self {
        Self {
            runtime: runtime.clone(),
            model: model.to_path_buf(),
            optimization: config.optimization,
            arena: config.arena,
            prepacked: PrepackedWeights::new(),
            weights: Vec::new(),
        }
    }

    /// Makes all sessions of this factory share one copy of the weights.
    pub(crate) fn sharing_weights(mut self) -> Result<Self, LoadError> {
        self.weights = weights::read(&self.model).map_err(|error| LoadError::Graph {
            path: self.model.clone(),
            reason: error.to_string(),
        })?;
        Ok(self)
    }

    pub(crate) fn model(&self) -> &Path {
        &self.model
    }

    pub(crate) fn open(&self, intra_threads: usize) -> Result<Session, LoadError> {
        self.try_open(intra_threads).map_err(|error| LoadError::Graph {
            path: self.model.clone(),
            reason: error.to_string(),
        })
    }

    fn try_open(&self, intra_threads: usize) -> ort::Result<Session> {
        let cpu = ep::CPU::default().with_arena_allocator(self.arena).build();
        let mut builder = Session::builder(self.runtime.environment())?
            // The binding's own default prefers other devices, so that a score would depend on
            // which machine it was computed on.
            .with_auto_device(AutoDevicePolicy::PreferCPU)?
            .with_execution_providers([cpu])?
            .with_intra_threads(intra_threads.max(1))?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            .with_memory_pattern(false)?
            .with_deterministic_compute(true)?
            .with_optimization_level(self.optimization.into())?
            .with_prepacked_weights(&self.prepacked)?;
        for weight in &self.weights {
            builder = builder.with_initializer(&weight.name, Arc::clone(&weight.value))?;
        }
        builder.commit_from_file(&self.model)
    }
}

/// The element type of a graph's input or output, if it is a tensor.
pub(crate) fn element_type(outlet: &Outlet) -> Option<TensorElementType> {
    outlet.dtype().tensor_type()
}

/// The declared dimensions of a tensor; -1 where symbolic.
pub(crate) fn dimensions(outlet: &Outlet) -> Vec<i64> {
    match outlet.dtype() {
        ValueType::Tensor { shape, .. } => shape.to_vec(),
        ValueType::Sequence(_) | ValueType::Map { .. } | ValueType::Optional(_) => Vec::new(),
    }
}
