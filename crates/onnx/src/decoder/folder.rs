//! What a decoder's folder says about it: `genai_config.json` of the model builder, or
//! `config.json` of Hugging Face.

use std::path::{Path, PathBuf};

use package::Package;
use serde::Deserialize;

use super::layout::{Kind, Layout, cache_names};
use crate::error::LoadError;
use crate::files;

/// A folder that has been read; its graph has not been opened.
pub(super) struct Folder {
    /// The file that the layout is from.
    pub(super) path: PathBuf,
    pub(super) graph: PathBuf,
    pub(super) layout: Layout,
    /// Whether it is the model builder's.
    pub(super) builder: bool,
}

const GRAPHS: [&str; 4] =
    ["model.onnx", "onnx/model.onnx", "decoder_model.onnx", "onnx/decoder_model.onnx"];

impl Folder {
    pub(super) fn read(package: &Package) -> Result<Self, LoadError> {
        let genai = package.dir().join("genai_config.json");
        let builder = genai.is_file();
        let path = if builder { genai } else { package.dir().join("config.json") };
        let (config, named) = if builder {
            let GenaiConfig { model } = files::read_json(&path)?;
            let graph = Some(model.decoder.filename.clone());
            (model.into(), graph)
        } else if path.is_file() {
            (files::read_json::<HfConfig>(&path)?.into(), None)
        } else {
            let path = package.dir().join("genai_config.json");
            return Err(LoadError::MissingFile { path });
        };
        let manifest = package.manifest().and_then(|manifest| manifest.decoder.as_ref());
        let named = manifest.and_then(|decoder| decoder.graph.clone()).or(named);
        let graph = match named {
            Some(name) => files::existing(package.dir().join(name))?,
            None => package
                .find(&GRAPHS)
                .ok_or_else(|| LoadError::MissingFile { path: package.dir().join("model.onnx") })?,
        };
        let layout = layout(config, &path)?;
        Ok(Self { path, graph, layout, builder })
    }
}

/// The sizes and tokens that either file states.
struct Config {
    vocabulary: usize,
    context_length: usize,
    layers: usize,
    heads: usize,
    head_size: usize,
    end_ids: Vec<u32>,
    other_control_ids: Vec<u32>,
}

/// The parts of `genai_config.json` in use; it has many more.
#[derive(Debug, Deserialize)]
struct GenaiConfig {
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

/// The parts of a Hugging Face `config.json` in use.
#[derive(Debug, Deserialize)]
struct HfConfig {
    vocab_size: usize,
    max_position_embeddings: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    hidden_size: usize,
    #[serde(default)]
    num_key_value_heads: Option<usize>,
    #[serde(default)]
    head_dim: Option<usize>,
    eos_token_id: OneOrMany,
    #[serde(default)]
    bos_token_id: Option<u32>,
    #[serde(default)]
    pad_token_id: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

impl From<OneOrMany> for Vec<u32> {
    fn from(ids: OneOrMany) -> Self {
        match ids {
            OneOrMany::One(id) => vec![id],
            OneOrMany::Many(ids) => ids,
        }
    }
}

impl From<GenaiModel> for Config {
    fn from(model: GenaiModel) -> Self {
        Self {
            vocabulary: model.vocab_size,
            context_length: model.context_length,
            layers: model.decoder.num_hidden_layers,
            heads: model.decoder.num_key_value_heads,
            head_size: model.decoder.head_size,
            end_ids: model.eos_token_id.into(),
            other_control_ids: model.bos_token_id.into_iter().chain(model.pad_token_id).collect(),
        }
    }
}

impl From<HfConfig> for Config {
    fn from(config: HfConfig) -> Self {
        let heads = config.num_attention_heads;
        Self {
            vocabulary: config.vocab_size,
            context_length: config.max_position_embeddings,
            layers: config.num_hidden_layers,
            heads: config.num_key_value_heads.unwrap_or(heads),
            head_size: config.head_dim.unwrap_or(config.hidden_size / heads.max(1)),
            end_ids: config.eos_token_id.into(),
            other_control_ids: config.bos_token_id.into_iter().chain(config.pad_token_id).collect(),
        }
    }
}

fn layout(config: Config, path: &Path) -> Result<Layout, LoadError> {
    let Config { vocabulary, context_length, layers, heads, head_size, end_ids, .. } = config;
    if [vocabulary, context_length, layers, heads, head_size].contains(&0) {
        return Err(LoadError::invalid(path, "a size of the model is zero"));
    }
    let fits = |id: &u32| (*id as usize) < vocabulary;
    if end_ids.is_empty() || !end_ids.iter().all(fits) {
        return Err(LoadError::invalid(path, "eos_token_id is empty or beyond vocab_size"));
    }
    let control_ids = end_ids.iter().copied().chain(config.other_control_ids).collect();
    Ok(Layout {
        kind: Kind::Concatenating,
        positions: false,
        vocabulary,
        context_length,
        heads,
        head_size,
        caches: cache_names(layers),
        end_ids,
        control_ids,
    })
}
