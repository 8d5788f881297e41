//! Why an estimate or a promise is refused.

use crate::missed::Promise;

/// Input from which the answer cannot be had.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// A score that is NaN or infinite.
    #[error("score {index} is {value}, which is no number to work with")]
    NotFinite {
        /// Its place in the input, from 0.
        index: usize,
        /// The score.
        value: f64,
    },
    /// No labelled scores at all.
    #[error("there are no labels")]
    Empty,
    /// Labels of one class alone: nothing tells fraud from the rest.
    #[error(
        "all labels are of one class ({frauds} fraud, {legitimate} legitimate); both are needed"
    )]
    OneClass {
        /// Labels that say fraud.
        frauds: usize,
        /// Labels that say legitimate.
        legitimate: usize,
    },
    /// Too few labelled frauds, or groups of them, to promise this.
    #[error("{frauds} labelled {} cannot carry the promise of {promise}: {needed} are needed", promise.unit())]
    TooFewFrauds {
        /// Labelled frauds there are, or groups.
        frauds: usize,
        /// The fewest that would do.
        needed: usize,
        /// What was to be promised.
        promise: Promise,
    },
    /// Higher scores do not mean more fraud, so that a rising calibration would be wrong.
    #[error("fraud does not become more likely as the score rises (fitted slope {slope:.4})")]
    NotRising {
        /// The fitted slope; 0 where an isotonic fit is flat.
        slope: f64,
    },
    /// A parameter outside its range.
    #[error("{name} = {value} must be {range}")]
    OutOfRange {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: f64,
        /// The range in words.
        range: &'static str,
    },
}

/// Checks that a parameter lies strictly between 0 and 1.
pub(crate) fn inside_unit(name: &'static str, value: f64) -> Result<(), EvaluationError> {
    if value > 0.0 && value < 1.0 {
        Ok(())
    } else {
        Err(EvaluationError::OutOfRange { name, value, range: "between 0 and 1, ends excluded" })
    }
}
