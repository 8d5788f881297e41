//! Whether what is seen today looks like what the model was fitted on.

mod psi;
mod reference;
mod window;

pub use psi::{DriftBand, Shift, psi};
pub use reference::{Binned, REFERENCE_BINS, Reference, ReferenceBuilder};
pub use window::{Drift, DriftConfig, DriftReading};
