//! Golden vectors: inputs with known results.

use std::{fs, path::Path};

use serde::{Deserialize, de::DeserializeOwned};

/// One line of a classifier's golden file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ClassifierGolden {
    /// The rendered text.
    pub text: String,
    /// Its tokens, special tokens included.
    pub input_ids: Vec<u32>,
    /// One logit per label.
    pub logits: Vec<f32>,
    /// The calibrated probability of fraud.
    pub probability: f64,
}

/// One line of a decoder's golden file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DecoderGolden {
    /// The rendered prompt.
    pub prompt: String,
    /// The greedy verdict.
    pub verdict: String,
    /// The log-odds of fraud.
    pub margin: f64,
    /// The calibrated probability of fraud.
    #[serde(default)]
    pub probability: Option<f64>,
}

/// A golden file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {detail}")]
pub struct GoldenError {
    path: String,
    detail: String,
}

/// Reads a golden file, one JSON object a line.
///
/// # Errors
/// When it cannot be read, a line does not parse, or it is empty.
pub fn read_golden<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, GoldenError> {
    let failed = |detail: String| GoldenError { path: path.display().to_string(), detail };
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let golden: Vec<T> = lines
        .map(|(n, line)| {
            serde_json::from_str(line).map_err(|error| failed(format!("line {}: {error}", n + 1)))
        })
        .collect::<Result<_, _>>()?;
    if golden.is_empty() {
        return Err(failed("holds no golden vector".into()));
    }
    Ok(golden)
}
