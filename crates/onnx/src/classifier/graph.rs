//! What a classifier's graph declares, checked against what can be fed.

use std::path::Path;

use ort::session::Session;
use ort::value::TensorElementType;
use package::Calibration;

use crate::error::LoadError;
use crate::session::{dimensions, element_type};

/// An input that this crate knows how to fill, `[batch, tokens]` of 64-bit integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Ids,
    Mask,
    TypeIds,
}

impl Input {
    fn named(name: &str) -> Option<Self> {
        match name {
            "input_ids" => Some(Self::Ids),
            "attention_mask" => Some(Self::Mask),
            "token_type_ids" => Some(Self::TypeIds),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ids => "input_ids",
            Self::Mask => "attention_mask",
            Self::TypeIds => "token_type_ids",
        }
    }
}

pub(super) const LOGITS: &str = "logits";

/// How to fill the inputs and read the output.
#[derive(Debug)]
pub(super) struct InputPlan {
    pub(super) inputs: Vec<Input>,
    pub(super) pad_id: i64,
    pub(super) labels: usize,
    pub(super) fraud: usize,
    pub(super) calibration: Calibration,
}

/// The inputs that the graph declares, in its order.
pub(super) fn plan(session: &Session, path: &Path, labels: usize) -> Result<Vec<Input>, LoadError> {
    let mut inputs = Vec::new();
    for outlet in session.inputs() {
        let Some(input) = Input::named(outlet.name()) else {
            let input = outlet.name().to_owned();
            return Err(LoadError::UnknownInput { path: path.into(), input });
        };
        if element_type(outlet) != Some(TensorElementType::Int64) {
            let reason = format!("the graph input `{}` is not of 64-bit integers", outlet.name());
            return Err(LoadError::invalid(path, reason));
        }
        inputs.push(input);
    }
    for needed in [Input::Ids, Input::Mask] {
        if !inputs.contains(&needed) {
            let reason = format!("the graph has no input `{}`", needed.name());
            return Err(LoadError::invalid(path, reason));
        }
    }
    check_output(session, path, labels)?;
    Ok(inputs)
}

fn check_output(session: &Session, path: &Path, labels: usize) -> Result<(), LoadError> {
    let Some(logits) = session.outputs().iter().find(|outlet| outlet.name() == LOGITS) else {
        return Err(LoadError::invalid(path, "the graph has no output `logits`"));
    };
    if element_type(logits) != Some(TensorElementType::Float32) {
        return Err(LoadError::invalid(path, "the graph output `logits` is not of 32-bit floats"));
    }
    match dimensions(logits).as_slice() {
        [_, width] if *width < 0 || usize::try_from(*width) == Ok(labels) => Ok(()),
        shape => Err(LoadError::invalid(
            path,
            format!("the graph output `logits` is {shape:?}; config.json has {labels} labels"),
        )),
    }
}
