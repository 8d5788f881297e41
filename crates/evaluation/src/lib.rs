//! What labelled scores say: calibration, reliability, costs, bounds, drift and live quality.
//!
//! Pure mathematics over scores and booleans. Nothing here reads a file, a clock or a random
//! number; state machines take `now` as an argument.
//!
//! Invariants:
//! * Input is checked once, at [`Sample::new`]: finite scores, both classes.
//! * A promise that the labels cannot carry is refused with the number of labels it would take
//!   ([`EvaluationError::TooFewFrauds`]); it is never weakened in silence.
//! * Every estimate from a sample comes with an interval, and every formula names its source.

mod costs;
mod curve;
mod drift;
mod error;
mod intervals;
mod isotonic;
mod missed;
mod platt;
mod quality;
mod ranking;
mod reliability;
mod sample;

pub use costs::{AmountBand, Costs, bayes_cost};
pub use curve::{CurvePoint, Spending, escalation_curve, thin};
pub use drift::{
    Binned, Drift, DriftBand, DriftConfig, DriftReading, REFERENCE_BINS, Reference,
    ReferenceBuilder, Shift, psi,
};
pub use error::EvaluationError;
pub use intervals::{Interval, clopper_pearson, clopper_pearson_upper, weighted_poisson, wilson};
pub use isotonic::Isotonic;
pub use missed::{
    MissedBound, Promise, confident_threshold, conformal_threshold, conformal_threshold_by_group,
    frauds_needed_confident, frauds_needed_conformal, missed_below,
};
pub use platt::Platt;
pub use quality::{
    DelayQuantiles, LabelSeen, Maturity, Quality, QualityConfig, Rate, Unlabelled, Watched,
    delay_quantiles, quality,
};
pub use ranking::{auc, average_precision};
pub use reliability::{
    Bin, Proper, brier, calibration_error, log_loss, log_loss_difference, proper, reliability,
};
pub use sample::{Labelled, Sample};
