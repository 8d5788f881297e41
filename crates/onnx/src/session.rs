//! Opens ONNX sessions with the settings that every model here shares.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::ep::{self, ExecutionProviderDispatch};
use ort::session::Session;
use ort::session::builder::{AutoDevicePolicy, GraphOptimizationLevel, PrepackedWeights};
use ort::value::{Outlet, TensorElementType, ValueType};

use crate::error::LoadError;
use crate::runtime::Runtime;
use crate::weights::{self, Parts};

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

/// What computes a graph. Both this crate (cargo features `openvino`, `cuda`) and the ONNX Runtime
/// library that is loaded must have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExecutionProvider {
    /// ONNX Runtime's own kernels.
    #[default]
    Cpu,
    /// Intel's OpenVINO, on the CPU.
    OpenVino,
    /// NVIDIA's CUDA, on the first device.
    Cuda,
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
    /// Whether threads stay awake for a moment between two operators. Faster where a session has
    /// several threads, and whoever else wants the core pays.
    pub spinning: bool,
    /// What computes. Anything but the CPU keeps weights of its own for each session.
    pub provider: ExecutionProvider,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            intra_threads: 1,
            optimization: GraphOptimization::All,
            arena: true,
            spinning: false,
            provider: ExecutionProvider::Cpu,
        }
    }
}

/// Opens sessions on one model file.
pub(crate) struct SessionFactory {
    runtime: Runtime,
    model: PathBuf,
    optimization: GraphOptimization,
    arena: bool,
    spinning: bool,
    provider: ExecutionProvider,
    prepacked: PrepackedWeights,
    parts: Parts,
}

impl SessionFactory {
    pub(crate) fn new(runtime: &Runtime, model: &Path, config: &SessionConfig) -> Self {
        Self {
            runtime: runtime.clone(),
            model: model.to_path_buf(),
            optimization: config.optimization,
            arena: config.arena,
            spinning: config.spinning,
            provider: config.provider,
            prepacked: PrepackedWeights::new(),
            parts: Parts::default(),
        }
    }

    /// Makes all sessions of this factory share one copy of the weights.
    pub(crate) fn sharing_weights(mut self) -> Result<Self, LoadError> {
        if self.provider != ExecutionProvider::Cpu {
            return Ok(self);
        }
        self.parts = weights::read(&self.model).map_err(|error| LoadError::Graph {
            path: self.model.clone(),
            reason: error.to_string(),
        })?;
        Ok(self)
    }

    pub(crate) fn model(&self) -> &Path {
        &self.model
    }

    pub(crate) fn open(&self, intra_threads: usize) -> Result<Session, LoadError> {
        let failed = |reason| LoadError::Graph { path: self.model.clone(), reason };
        let chosen = self.provider.dispatch(intra_threads).map_err(failed)?;
        self.try_open(intra_threads, chosen).map_err(|error| failed(error.to_string()))
    }

    fn try_open(
        &self,
        intra_threads: usize,
        chosen: Option<ExecutionProviderDispatch>,
    ) -> ort::Result<Session> {
        let cpu = ep::CPU::default().with_arena_allocator(self.arena).build();
        let mut builder = Session::builder(self.runtime.environment())?
            // The binding's own default prefers other devices, so that a score would depend on
            // which machine it was computed on.
            .with_auto_device(AutoDevicePolicy::PreferCPU)?
            .with_execution_providers(chosen.into_iter().chain([cpu]).collect::<Vec<_>>())?
            .with_intra_threads(intra_threads.max(1))?
            .with_inter_threads(1)?
            .with_intra_op_spinning(self.spinning)?
            .with_inter_op_spinning(false)?
            .with_memory_pattern(false)?
            .with_deterministic_compute(true)?
            .with_optimization_level(self.optimization.into())?
            .with_prepacked_weights(&self.prepacked)?;
        for weight in &self.parts.weights {
            builder = builder.with_initializer(&weight.name, Arc::clone(&weight.value))?;
        }
        let Some(graph) = &self.parts.graph else {
            return builder.commit_from_file(&self.model);
        };
        for weight in &self.parts.weights {
            // The first time was for sharing what is packed; this is for whoever reads constants
            // while the graph is optimized.
            builder = builder.with_external_initializer(&weight.name, Arc::clone(&weight.value))?;
        }
        builder.commit_from_memory(graph)
    }
}

impl ExecutionProvider {
    /// What ONNX Runtime is asked for beside the CPU. A provider that the library does not have is
    /// an error: falling back in silence would be slow, and score otherwise.
    fn dispatch(self, intra_threads: usize) -> Result<Option<ExecutionProviderDispatch>, String> {
        let dispatch = match self {
            Self::Cpu => return Ok(None),
            Self::OpenVino => openvino(intra_threads),
            Self::Cuda => cuda(),
        };
        let name = self.feature();
        let missing = || format!("this program was built without the feature `{name}`");
        dispatch.map(|chosen| Some(chosen.error_on_failure())).ok_or_else(missing)
    }

    fn feature(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::OpenVino => "openvino",
            Self::Cuda => "cuda",
        }
    }
}

#[cfg(feature = "openvino")]
fn openvino(intra_threads: usize) -> Option<ExecutionProviderDispatch> {
    let provider = ep::OpenVINO::default().with_device_type("CPU").with_num_threads(intra_threads);
    Some(provider.build())
}

#[cfg(not(feature = "openvino"))]
fn openvino(_intra_threads: usize) -> Option<ExecutionProviderDispatch> {
    None
}

#[cfg(feature = "cuda")]
fn cuda() -> Option<ExecutionProviderDispatch> {
    Some(ep::CUDA::default().build())
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Option<ExecutionProviderDispatch> {
    None
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
