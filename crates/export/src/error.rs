//! What can go wrong.

use std::io;

/// Why something could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The output or input failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A stored text that should be JSON is none.
    #[error("{what} of decision {decision} is not JSON: {detail}")]
    NotJson {
        /// Which of its texts.
        what: &'static str,
        /// The decision.
        decision: String,
        /// What is wrong.
        detail: String,
    },
    /// The Parquet writer refused.
    #[error("Parquet: {0}")]
    Parquet(String),
    /// A file that should be a Label Studio export is none.
    #[error("not a Label Studio export: {0}")]
    NotAnExport(String),
}

impl From<parquet::errors::ParquetError> for ExportError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        // A broken pipe must stay one, so that it can be told from a defect.
        if let parquet::errors::ParquetError::External(source) = error {
            return match source.downcast::<io::Error>() {
                Ok(error) => Self::Io(*error),
                Err(other) => Self::Parquet(other.to_string()),
            };
        }
        Self::Parquet(error.to_string())
    }
}

/// A JSON error while writing: either the output failed, or a value cannot be written.
impl From<serde_json::Error> for ExportError {
    fn from(error: serde_json::Error) -> Self {
        Self::Io(error.into())
    }
}
