//! What a decoder's folder says about it, checked against the graph.

use std::path::Path;

use ort::session::Session;
use ort::value::{Outlet, TensorElementType};

use crate::error::LoadError;
use crate::session::{dimensions, element_type};

pub(super) const IDS: &str = "input_ids";
pub(super) const POSITIONS: &str = "position_ids";
pub(super) const MASK: &str = "attention_mask";
pub(super) const LOGITS: &str = "logits";

/// The names of one layer's cache tensors in the graph.
#[derive(Debug, Clone)]
pub(super) struct CacheNames {
    pub(super) past: String,
    pub(super) present: String,
}

/// How the graph's attention takes the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Model-builder graphs: `GroupQueryAttention` appends in place and is told each row's length
    /// by the mask.
    Grouped,
    /// Optimum's `text-generation-with-past`: past and new are concatenated.
    Concatenating,
}

/// Everything about the decoder that does not change while it runs.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) kind: Kind,
    /// Whether the graph takes positions.
    pub(super) positions: bool,
    /// Width of the logits; at least the tokenizer's vocabulary.
    pub(super) vocabulary: usize,
    /// The longest sequence the positions allow, in tokens.
    pub(super) context_length: usize,
    pub(super) heads: usize,
    pub(super) head_size: usize,
    /// Two per layer: key, then value.
    pub(super) caches: Vec<CacheNames>,
    pub(super) end_ids: Vec<u32>,
    /// Every id that text must never become.
    pub(super) control_ids: Vec<u32>,
}

/// The usual names of the caches of so many layers.
pub(super) fn cache_names(layers: usize) -> Vec<CacheNames> {
    (0..layers).flat_map(layer_names).collect()
}

fn layer_names(layer: usize) -> [CacheNames; 2] {
    ["key", "value"].map(|part| CacheNames {
        past: format!("past_key_values.{layer}.{part}"),
        present: format!("present.{layer}.{part}"),
    })
}

impl Layout {
    /// Graphs without positions of their own take them from the mask.
    pub(super) fn detect(&mut self, session: &Session, builder: bool) {
        let inputs = session.inputs();
        self.positions = inputs.iter().any(|outlet| outlet.name() == POSITIONS);
        self.kind = if builder && !self.positions { Kind::Grouped } else { Kind::Concatenating };
    }

    /// The graph must take and give exactly what the engine will bind.
    pub(super) fn check(&self, session: &Session, path: &Path) -> Result<(), LoadError> {
        for outlet in session.inputs() {
            let name = outlet.name();
            let own = name == IDS || name == MASK || (name == POSITIONS && self.positions);
            if !own && !self.caches.iter().any(|cache| cache.past == name) {
                return Err(LoadError::UnknownInput { path: path.into(), input: name.to_owned() });
            }
        }
        let cache = TensorElementType::Float32;
        let (inputs, outputs) = (session.inputs(), session.outputs());
        expect(inputs, IDS, TensorElementType::Int64, path)?;
        expect(inputs, MASK, TensorElementType::Int64, path)?;
        if self.positions {
            expect(inputs, POSITIONS, TensorElementType::Int64, path)?;
        }
        for names in &self.caches {
            self.check_cache(expect(inputs, &names.past, cache, path)?, path)?;
            expect(outputs, &names.present, cache, path)?;
        }
        let logits = expect(outputs, LOGITS, TensorElementType::Float32, path)?;
        match dimensions(logits).last() {
            Some(&width) if width < 0 || usize::try_from(width) == Ok(self.vocabulary) => Ok(()),
            width => Err(LoadError::invalid(
                path,
                format!("logits are {width:?} wide; vocab_size is {}", self.vocabulary),
            )),
        }
    }

    fn check_cache(&self, outlet: &Outlet, path: &Path) -> Result<(), LoadError> {
        let agrees =
            |declared: i64, size: usize| declared < 0 || usize::try_from(declared) == Ok(size);
        match dimensions(outlet).as_slice() {
            [_, heads, _, size] if agrees(*heads, self.heads) && agrees(*size, self.head_size) => {
                Ok(())
            }
            shape => Err(LoadError::invalid(
                path,
                format!(
                    "`{}` is {shape:?}; the configuration has {} heads of {}",
                    outlet.name(),
                    self.heads,
                    self.head_size
                ),
            )),
        }
    }
}

fn expect<'a>(
    outlets: &'a [Outlet],
    name: &str,
    element: TensorElementType,
    path: &Path,
) -> Result<&'a Outlet, LoadError> {
    let outlet = outlets.iter().find(|outlet| outlet.name() == name).ok_or_else(|| {
        LoadError::invalid(
            path,
            format!(
                "the graph has no `{name}`; is it a model-builder export, or one of optimum's \
                 `text-generation-with-past`?"
            ),
        )
    })?;
    if element_type(outlet) == Some(element) {
        return Ok(outlet);
    }
    Err(LoadError::invalid(
        path,
        format!("`{name}` is not of {element}; export for the CPU, in fp32, int8 or int4"),
    ))
}
