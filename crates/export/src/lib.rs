//! What leaves the ledger in bulk, and what comes back from annotators.
//!
//! - [`DecisionWriter`]: decisions as NDJSON or Parquet, for whoever computes.
//! - [`TrainingWriter`]: labelled transactions as the sample files have them, for retraining and
//!   calibration.
//! - [`label_studio`]: tasks for annotators, and their labels back.
//!
//! Nothing here opens a file or a ledger: rows come in, bytes go to a [`Write`](std::io::Write).
//! Memory is bounded by one row group, one task, or the window of [`TrainingWriter`], however much
//! is written. Only the import holds as much as there are annotated transactions.

mod columns;
mod decisions;
mod error;
mod json;
pub mod label_studio;
mod labels;
mod parquet_file;
mod row;
mod training;

pub use decisions::{DecisionWriter, Format};
pub use error::ExportError;
pub use labels::standing;
pub use row::DecisionRow;
pub use training::{TrainingLine, TrainingSummary, TrainingWriter};
