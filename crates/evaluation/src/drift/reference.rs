//! What the score and the features looked like when the model was calibrated.

use serde::{Deserialize, Serialize};

use crate::error::EvaluationError;

/// How many bins a reference has at most, the bin of missing values aside.
pub const REFERENCE_BINS: usize = 10;
/// The most features and bins that a document may have.
const FEATURES_MAX: usize = 64;
const BINS_MAX: usize = 100;
const FORMAT: u32 = 1;

/// A histogram with a bin of its own for missing values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binned {
    /// The feature.
    pub name: String,
    /// Where bins meet, strictly rising: bin `i` holds `edges[i - 1] <= value < edges[i]`.
    pub edges: Vec<f64>,
    /// How many values in each bin: one more than edges.
    pub counts: Vec<u64>,
    /// How many transactions had no such value.
    pub missing: u64,
}

impl Binned {
    /// The bin of a value; behind the last one for a missing value or one that is no number.
    #[must_use]
    pub fn bin(&self, value: Option<f64>) -> usize {
        match value {
            Some(value) if !value.is_nan() => self.edges.partition_point(|edge| *edge <= value),
            _ => self.counts.len(),
        }
    }

    /// All counts, the missing values last.
    #[must_use]
    pub fn all_counts(&self) -> Vec<u64> {
        self.counts.iter().copied().chain([self.missing]).collect()
    }

    /// Bins of equal mass, as far as equal values allow. Edges lie midway between values, so that
    /// reading them back with a rounding error moves no value to another bin.
    fn of(name: String, values: &mut [f64], missing: u64, bins: usize) -> Self {
        values.sort_by(f64::total_cmp);
        let edges = edges(values, bins);
        let mut binned = Self { name, counts: vec![0; edges.len() + 1], edges, missing };
        for value in values.iter() {
            let bin = binned.bin(Some(*value));
            binned.counts[bin] += 1;
        }
        binned
    }

    fn check(&self) -> Result<(), String> {
        let rising = self.edges.windows(2).all(|pair| pair[0] < pair[1]);
        if !rising || !self.edges.iter().all(|edge| edge.is_finite()) {
            return Err(format!("{}: edges must be finite and strictly rising", self.name));
        }
        if self.counts.len() != self.edges.len() + 1 || self.counts.len() > BINS_MAX {
            return Err(format!("{}: one more count than edges, at most {BINS_MAX}", self.name));
        }
        Ok(())
    }
}

/// A bin ends with the value that fills its share, or before one that fills a share alone; a last bin of less than half a share joins the
/// one before, unless it is all that is left beside one value.
fn edges(rising: &[f64], bins: usize) -> Vec<f64> {
    let share = rising.len() as f64 / bins as f64;
    let (mut edges, mut filled, mut before) = (Vec::new(), 0, None);
    for run in rising.chunk_by(|a, b| a == b) {
        let value = run[0];
        let heavy = run.len() as f64 >= share;
        let apart = heavy && (edges.is_empty() || filled as f64 >= share / 2.0);
        if let Some(before) = before
            && (apart || filled as f64 >= share)
        {
            edges.push(f64::midpoint(before, value));
            filled = 0;
        }
        filled += run.len();
        before = Some(value);
    }
    if edges.len() > 1 && (filled as f64) < share / 2.0 {
        edges.pop();
    }
    if let (true, Some(only)) = (edges.is_empty(), before) {
        edges.push(only + only.abs().max(1.0) * 1e-6);
    }
    edges
}

/// What the score and the features looked like. The content of a package's `reference.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Document", into = "Document")]
pub struct Reference {
    /// The calibrated score.
    pub score: Binned,
    /// Each feature.
    pub features: Vec<Binned>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    score: Binned,
    features: Vec<Binned>,
}

impl TryFrom<Document> for Reference {
    type Error = String;

    fn try_from(document: Document) -> Result<Self, String> {
        let Document { format, score, features } = document;
        if format != FORMAT {
            return Err(format!("format {format} is not known; this build reads format {FORMAT}"));
        }
        if features.len() > FEATURES_MAX {
            return Err(format!("at most {FEATURES_MAX} features"));
        }
        score.check()?;
        for (n, feature) in features.iter().enumerate() {
            feature.check()?;
            if features[..n].iter().any(|other| other.name == feature.name) {
                return Err(format!("{} is there twice", feature.name));
            }
        }
        Ok(Self { score, features })
    }
}

impl From<Reference> for Document {
    fn from(Reference { score, features }: Reference) -> Self {
        Self { format: FORMAT, score, features }
    }
}

impl Reference {
    /// How many transactions it was made from.
    #[must_use]
    pub fn observations(&self) -> u64 {
        self.score.all_counts().iter().sum()
    }
}

/// Gathers values for a [`Reference`]. Holds all of them until it is built.
#[derive(Debug, Clone)]
pub struct ReferenceBuilder {
    score: Vec<f64>,
    features: Vec<(String, Vec<f64>, u64)>,
}

impl ReferenceBuilder {
    /// For features of these names, in this order.
    #[must_use]
    pub fn new(names: &[&str]) -> Self {
        let feature = |name: &&str| ((*name).to_owned(), Vec::new(), 0);
        Self { score: Vec::new(), features: names.iter().map(feature).collect() }
    }

    /// Takes one transaction: its calibrated score, and the features in the order of the names. A
    /// value that is absent or no finite number counts as missing.
    pub fn add(&mut self, score: f64, values: impl IntoIterator<Item = Option<f64>>) {
        self.score.push(score);
        let mut values = values.into_iter();
        for (_, seen, missing) in &mut self.features {
            match values.next().flatten().filter(|value| value.is_finite()) {
                Some(value) => seen.push(value),
                None => *missing += 1,
            }
        }
    }

    /// Bins everything by equal mass.
    ///
    /// # Errors
    /// When there was no transaction, or a score was no finite number.
    pub fn build(mut self) -> Result<Reference, EvaluationError> {
        if self.score.is_empty() {
            return Err(EvaluationError::Empty);
        }
        if let Some(index) = self.score.iter().position(|score| !score.is_finite()) {
            return Err(EvaluationError::NotFinite { index, value: self.score[index] });
        }
        let score = Binned::of("score".to_owned(), &mut self.score, 0, REFERENCE_BINS);
        let bin = |(name, mut values, missing): (String, Vec<f64>, u64)| {
            Binned::of(name, &mut values, missing, REFERENCE_BINS)
        };
        Ok(Reference { score, features: self.features.into_iter().map(bin).collect() })
    }
}
