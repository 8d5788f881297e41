//! Reads the files of a model folder; every error names the file.

use std::path::{Path, PathBuf};

use package::Package;
use serde_json::Value;

use crate::error::LoadError;

const GRAPHS: [&str; 4] =
    ["onnx/model_quantized.onnx", "model_quantized.onnx", "onnx/model.onnx", "model.onnx"];
const REFERENCE_GRAPHS: [&str; 4] =
    ["model_fp32.onnx", "onnx/model_fp32.onnx", "onnx/model.onnx", "model.onnx"];

/// The graph to serve: the one the manifest names, else the quantized one, else the plain one.
pub(crate) fn graph(package: &Package) -> Result<PathBuf, LoadError> {
    if let Some(named) = named_graph(package) {
        return existing(package.dir().join(named));
    }
    package
        .find(&GRAPHS)
        .ok_or_else(|| LoadError::MissingFile { path: package.dir().join("model.onnx") })
}

/// The full-precision graph beside the one served, if there is one.
pub(crate) fn reference_graph(package: &Package, served: &Path) -> Option<PathBuf> {
    let present = REFERENCE_GRAPHS.iter().map(|name| package.dir().join(name));
    present.filter(|path| path.is_file()).find(|path| path != served)
}

fn named_graph(package: &Package) -> Option<&str> {
    let manifest = package.manifest()?;
    let classifier = manifest.classifier.as_ref().and_then(|part| part.graph.as_deref());
    classifier.or_else(|| manifest.decoder.as_ref().and_then(|part| part.graph.as_deref()))
}

/// `path`, if it is a file.
pub(crate) fn existing(path: PathBuf) -> Result<PathBuf, LoadError> {
    if path.is_file() { Ok(path) } else { Err(LoadError::MissingFile { path }) }
}

pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, LoadError> {
    let path = existing(path.to_path_buf())?;
    let bytes = std::fs::read(&path)
        .map_err(|source| LoadError::Unreadable { path: path.clone(), source })?;
    serde_json::from_slice(&bytes).map_err(|error| LoadError::invalid(path, error))
}

/// The labels of `config.json` in the order of their ids.
pub(crate) fn labels(config: &Value, path: &Path) -> Result<Vec<String>, LoadError> {
    let invalid = |reason: &str| LoadError::invalid(path, reason);
    let Some(map) = config["id2label"].as_object() else {
        return default_labels(config)
            .ok_or_else(|| invalid("id2label is missing, and this is no sequence classifier"));
    };
    let mut labels: Vec<Option<String>> = vec![None; map.len()];
    for (id, label) in map {
        let slot = id.parse::<usize>().ok().and_then(|id| labels.get_mut(id));
        let (Some(slot), Some(label)) = (slot, label.as_str()) else {
            return Err(invalid("id2label must number its labels from 0 without a gap"));
        };
        *slot = Some(label.to_owned());
    }
    let labels: Option<Vec<String>> = labels.into_iter().collect();
    match labels {
        Some(labels) if labels.len() >= 2 => Ok(labels),
        Some(_) | None => Err(invalid("id2label must have at least two labels")),
    }
}

/// Exporters leave `id2label` out when it is the default of two unnamed labels.
fn default_labels(config: &Value) -> Option<Vec<String>> {
    let architectures = config["architectures"].as_array()?;
    let classifies = architectures
        .iter()
        .filter_map(Value::as_str)
        .any(|name| name.ends_with("ForSequenceClassification"));
    classifies.then(|| vec!["LABEL_0".into(), "LABEL_1".into()])
}
