//! Labelled transactions from files: what `weir screen` and `weir render` read.
//!
//! Labels reach the velocity store when they became known, in event time, as they would in
//! production: a transaction never sees a truth that came later.

mod case;
mod labels;
mod reader;

pub(crate) use case::Case;
pub(crate) use labels::LabelQueue;
pub(crate) use reader::{CaseReader, LineError};
