//! `package.toml`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What kind of model a package holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A sequence classifier: text in, one logit per label out.
    Classifier,
    /// An autoregressive decoder: prompt in, text out.
    Decoder,
}

/// The whole of `package.toml`. Unknown keys are refused outside the free-form tables.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format's version: 1.
    pub format: u32,
    /// What kind of model this is.
    pub kind: Kind,
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: String,
    /// SPDX licence expression.
    #[serde(default)]
    pub license: Option<String>,
    /// Present when `kind = "classifier"`.
    #[serde(default)]
    pub classifier: Option<ClassifierManifest>,
    /// Present when `kind = "decoder"`.
    #[serde(default)]
    pub decoder: Option<DecoderManifest>,
    /// Turns a margin into a probability.
    #[serde(default)]
    pub calibration: Calibration,
    /// Inputs with known results, checked at load.
    #[serde(default)]
    pub golden: Option<GoldenManifest>,
    /// SHA-256, hexadecimal, of each file by its path inside the package.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// What it was trained on and how: free form.
    #[serde(default)]
    pub training: toml::Table,
    /// What was measured: free form.
    #[serde(default)]
    pub metrics: toml::Table,
}

/// How a classifier is fed and read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierManifest {
    /// The label, among `id2label` of `config.json`, that means fraud.
    pub fraud_label: String,
    /// Longer inputs are truncated to this many tokens, special tokens included.
    pub max_tokens: usize,
    /// The template that turns a transaction and its facts into text.
    pub input_template: String,
    /// The graph's file, when it is not one of the usual names.
    #[serde(default)]
    pub graph: Option<String>,
}

/// How a decoder is fed and read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderManifest {
    /// The template that turns a case into a prompt.
    pub prompt_template: String,
    /// Longer prompts are an error.
    pub max_prompt_tokens: usize,
    /// Generation ends after this many tokens.
    pub max_new_tokens: usize,
    /// The graph's file, when it is not one of the usual names.
    #[serde(default)]
    pub graph: Option<String>,
}

/// Turns a margin (log-odds of fraud) into a calibrated probability.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase", deny_unknown_fields)]
pub enum Calibration {
    /// `p = 1 / (1 + exp(-margin))`: the softmax as it is.
    #[default]
    Identity,
    /// `p = 1 / (1 + exp(-(a * margin + b)))` (Platt, 1999).
    Platt {
        /// Slope.
        a: f64,
        /// Intercept.
        b: f64,
    },
    /// A rising table, linear between its knots and level outside them (isotonic regression).
    Isotonic {
        /// Margins, strictly rising; at most [`Calibration::KNOTS_MAX`].
        margins: Vec<f64>,
        /// The probability at each margin, never falling.
        probabilities: Vec<f64>,
    },
}

impl Calibration {
    /// The longest table, in knots.
    pub const KNOTS_MAX: usize = 1024;

    /// The calibrated probability of fraud, 0 to 1, for a margin in log-odds. Never falls as the
    /// margin rises, given a rising table or `a > 0`.
    ///
    /// The margin of a classifier is `z_fraud - ln(sum(exp(z_other)))`.
    #[must_use]
    pub fn probability(&self, margin: f64) -> f64 {
        match self {
            Self::Identity => logistic(margin),
            Self::Platt { a, b } => logistic(a * margin + b),
            Self::Isotonic { margins, probabilities } => {
                interpolate(margins, probabilities, margin)
            }
        }
    }

    /// What is wrong with it, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::Identity => Ok(()),
            Self::Platt { a, b } if a.is_finite() && b.is_finite() => Ok(()),
            Self::Platt { .. } => Err("[calibration] a and b must be finite".into()),
            Self::Isotonic { margins, probabilities } => {
                let rising = |pair: &[f64]| pair[0] < pair[1];
                let level = |pair: &[f64]| pair[0] <= pair[1];
                let sized = margins.len() == probabilities.len()
                    && (1..=Self::KNOTS_MAX).contains(&margins.len());
                if !sized {
                    return Err(format!(
                        "[calibration] needs as many margins as probabilities, 1 to {}",
                        Self::KNOTS_MAX
                    ));
                }
                if !margins.iter().all(|m| m.is_finite()) || !margins.windows(2).all(rising) {
                    return Err("[calibration] margins must be finite and rise strictly".into());
                }
                let shares = probabilities.iter().all(|p| (0.0..=1.0).contains(p));
                if !shares || !probabilities.windows(2).all(level) {
                    let detail =
                        "[calibration] probabilities must lie between 0 and 1, never falling";
                    return Err(detail.into());
                }
                Ok(())
            }
        }
    }
}

fn logistic(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// Linear between knots, level outside. NaN for an empty table, which no opened package has.
fn interpolate(margins: &[f64], probabilities: &[f64], margin: f64) -> f64 {
    let above = margins.partition_point(|knot| *knot <= margin).min(probabilities.len());
    let upper = probabilities.get(above).or(probabilities.last()).copied().unwrap_or(f64::NAN);
    let Some(below) = above.checked_sub(1) else { return upper };
    let (Some(x1), x0, lower) = (margins.get(above), margins[below], probabilities[below]) else {
        return upper;
    };
    (lower + (upper - lower) * ((margin - x0) / (x1 - x0))).clamp(lower, upper.max(lower))
}

/// Where the golden vectors are and how near a result must come.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenManifest {
    /// The file inside the package.
    pub file: String,
    /// The largest difference in probability that passes.
    pub tolerance: f64,
}
