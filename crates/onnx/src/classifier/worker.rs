//! One session on one thread.

use std::borrow::Cow;
use std::sync::Arc;

use batching::{BatchModel, ModelError};
use ort::session::{Session, SessionInputValue};
use ort::value::Tensor;

use super::graph::{Input, InputPlan, LOGITS};
use crate::logits::margin;
use crate::tokenizer::EncodedText;

/// The most tokens that one run computes, padding included; a larger batch takes several runs. From
/// about 500 tokens on a text in a larger run is no cheaper, while its activations stay allocated
/// in every worker: 9 MB for 512 tokens of the shipped model, 19 MB for 1024.
const RUN_TOKENS_MAX: usize = 512;

/// What the classifier says about one text.
#[derive(Debug, Clone, PartialEq)]
pub struct Classification {
    /// The calibrated probability of fraud, 0 to 1.
    pub probability: f64,
    /// The log-odds of fraud before calibration: `z_fraud - ln(sum(exp(z_other)))`.
    pub margin: f64,
    /// One logit per label.
    pub logits: Vec<f32>,
}

/// One classifier session. Owned by one thread.
pub struct ClassifierWorker {
    session: Session,
    plan: Arc<InputPlan>,
}

impl ClassifierWorker {
    pub(super) fn new(session: Session, plan: Arc<InputPlan>) -> Self {
        Self { session, plan }
    }

    /// Runs every combination of lengths (tokens) and batch sizes once, so that the first
    /// request does not pay for ONNX Runtime's first allocations.
    ///
    /// # Errors
    /// When a run fails.
    pub fn warm_up(&mut self, lengths: &[usize], batch_sizes: &[usize]) -> Result<(), ModelError> {
        for &length in lengths {
            let ids = vec![0; length.max(1)];
            let text = EncodedText { type_ids: ids.clone(), ids, truncated: false };
            for &size in batch_sizes {
                self.run(&vec![&text; size.max(1)])?;
            }
        }
        Ok(())
    }

    /// Fills one input `[texts, longest]`, padded behind each text.
    fn fill(&self, input: Input, texts: &[&EncodedText], longest: usize) -> Vec<i64> {
        let mut values = Vec::with_capacity(texts.len() * longest);
        for text in texts {
            let end = values.len() + longest;
            match input {
                Input::Ids => values.extend(text.ids.iter().map(|id| i64::from(*id))),
                Input::Mask => values.extend(text.ids.iter().map(|_| 1)),
                Input::TypeIds => values.extend(text.type_ids.iter().map(|id| i64::from(*id))),
            }
            values.resize(end, if input == Input::Ids { self.plan.pad_id } else { 0 });
        }
        values
    }

    fn logits(&mut self, texts: &[&EncodedText]) -> ort::Result<Vec<f32>> {
        let longest = texts.iter().map(|text| text.ids.len()).max().unwrap_or(0);
        let mut feeds: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::new();
        for &input in &self.plan.inputs {
            let values = self.fill(input, texts, longest);
            let tensor = Tensor::from_array(([texts.len(), longest], values))?;
            feeds.push((input.name().into(), tensor.into()));
        }
        let outputs = self.session.run(feeds)?;
        let (_, logits) = outputs[LOGITS].try_extract_tensor::<f32>()?;
        Ok(logits.to_vec())
    }

    fn classify(&self, logits: &[f32]) -> Result<Classification, ModelError> {
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(ModelError("the classifier answered a logit that is no number".into()));
        }
        let margin = margin(logits, self.plan.fraud);
        let probability = self.plan.calibration.probability(margin);
        Ok(Classification { probability, margin, logits: logits.to_vec() })
    }
}

impl BatchModel for ClassifierWorker {
    type Input = EncodedText;
    type Output = Classification;

    fn length(input: &EncodedText) -> usize {
        input.ids.len()
    }

    fn run(&mut self, inputs: &[&EncodedText]) -> Result<Vec<Classification>, ModelError> {
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        if inputs.iter().any(|text| text.ids.is_empty() || text.ids.len() != text.type_ids.len()) {
            return Err(ModelError("an encoded text is empty or lopsided".into()));
        }
        let longest = inputs.iter().map(|text| text.ids.len()).max().unwrap_or(1);
        let mut logits = Vec::with_capacity(inputs.len() * self.plan.labels);
        for part in inputs.chunks((RUN_TOKENS_MAX / longest).max(1)) {
            logits.extend(self.logits(part).map_err(|error| ModelError(error.to_string()))?);
        }
        if logits.len() != inputs.len() * self.plan.labels {
            return Err(ModelError(format!(
                "the classifier answered {} logits for {} texts of {} labels",
                logits.len(),
                inputs.len(),
                self.plan.labels
            )));
        }
        logits.chunks_exact(self.plan.labels).map(|row| self.classify(row)).collect()
    }
}
