//! What a model-builder folder says about its decoder, checked against the graph.

use std::path::Path;

use ort::session::Session;
use ort::value::{Outlet, TensorElementType};
use serde::Deserialize;

use crate::error::LoadError;
use crate::files;
use crate::session::{dimensions, element_type};

pub(super) const IDS: &str = "input_ids";
pub(super) const MASK: &str = "attention_mask";
pub(super) const LOGITS: &str = "logits";

/// The parts of `genai_config.json` in use; it has many more.
#[derive(Debug, Deserialize)]
pub(super) struct GenaiConfig {
    model: GenaiModel,
}

#[derive(Debug, Deserialize)]
struct GenaiModel {
    context_length: usize,
    decoder: GenaiDecoder,
    eos_token_id: OneOrMany,
    #[serde(default)]
    bos_token_id: Option<u32>,
    #[serde(default)]
    pad_token_id: Option<u32>,
    vocab_size: usize,
}

#[derive(Debug, Deserialize)]
struct GenaiDecoder {
    filename: String,
    head_size: usize,
    num_hidden_layers: usize,
    num_key_value_heads: usize,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

/// The names of one layer's cache tensors in the graph.
#[derive(Debug, Clone)]
pub(super) struct CacheNames {
    pub(super) past: String,
    pub(super) present: String,
}

/// Everything about the decoder that does not change while it runs.
#[derive(Debug, Clone)]
pub(super) struct Layout {
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

impl GenaiConfig {
    pub(super) fn read(path: &Path) -> Result<Self, LoadError> {
        files::read_json(path)
    }

    pub(super) fn graph_name(&self) -> &str {
        &self.model.decoder.filename
    }

    pub(super) fn layout(&self, path: &Path) -> Result<Layout, LoadError> {
        let GenaiModel { context_length, decoder, vocab_size, .. } = &self.model;
        let sizes = [*context_length, decoder.head_size, decoder.num_key_value_heads, *vocab_size];
        if sizes.contains(&0) || decoder.num_hidden_layers == 0 {
            return Err(LoadError::invalid(path, "a size of the model is zero"));
        }
        let end_ids = match &self.model.eos_token_id {
            OneOrMany::One(id) => vec![*id],
            OneOrMany::Many(ids) => ids.clone(),
        };
        let fits = |id: &u32| (*id as usize) < *vocab_size;
        if end_ids.is_empty() || !end_ids.iter().all(fits) {
            return Err(LoadError::invalid(path, "eos_token_id is empty or beyond vocab_size"));
        }
        let mut control_ids = end_ids.clone();
        control_ids.extend(self.model.bos_token_id);
        control_ids.extend(self.model.pad_token_id);
        let caches = (0..decoder.num_hidden_layers).flat_map(cache_names).collect();
        Ok(Layout {
            vocabulary: *vocab_size,
            context_length: *context_length,
            heads: decoder.num_key_value_heads,
            head_size: decoder.head_size,
            caches,
            end_ids,
            control_ids,
        })
    }
}

fn cache_names(layer: usize) -> [CacheNames; 2] {
    ["key", "value"].map(|part| CacheNames {
        past: format!("past_key_values.{layer}.{part}"),
        present: format!("present.{layer}.{part}"),
    })
}

impl Layout {
    /// The graph must take and give exactly what the engine will bind.
    pub(super) fn check(&self, session: &Session, path: &Path) -> Result<(), LoadError> {
        for outlet in session.inputs() {
            let name = outlet.name();
            if name != IDS && name != MASK && !self.caches.iter().any(|cache| cache.past == name) {
                return Err(LoadError::UnknownInput { path: path.into(), input: name.to_owned() });
            }
        }
        let cache = TensorElementType::Float32;
        let (inputs, outputs) = (session.inputs(), session.outputs());
        expect(inputs, IDS, TensorElementType::Int64, path)?;
        expect(inputs, MASK, TensorElementType::Int64, path)?;
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
                    "`{}` is {shape:?}; genai_config.json has {} heads of {}",
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
            format!("the graph has no `{name}`; is it a model-builder export?"),
        )
    })?;
    if element_type(outlet) == Some(element) {
        return Ok(outlet);
    }
    Err(LoadError::invalid(
        path,
        format!("`{name}` is not of {element}; export with -p fp32, int8 or int4 for cpu"),
    ))
}
