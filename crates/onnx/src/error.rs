//! What can go wrong with a model folder and with what it is asked.

use std::path::PathBuf;

/// Why a model could not be loaded. Every message names the file at fault.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file that the layout needs is not there.
    #[error("{} is missing", path.display())]
    MissingFile {
        /// The file, or the list of names that would do.
        path: PathBuf,
    },
    /// A file is there and cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// ONNX Runtime refused the graph.
    #[error("{}: ONNX Runtime cannot load it: {reason}", path.display())]
    Graph {
        /// The graph.
        path: PathBuf,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// The graph wants an input that nothing here can give.
    #[error("{}: unknown graph input `{input}`", path.display())]
    UnknownInput {
        /// The graph.
        path: PathBuf,
        /// The input's name.
        input: String,
    },
    /// The first run failed.
    #[error("{}: the first run failed: {reason}", path.display())]
    WarmUp {
        /// The graph.
        path: PathBuf,
        /// What ONNX Runtime said.
        reason: String,
    },
}

impl LoadError {
    pub(crate) fn invalid(path: impl Into<PathBuf>, reason: impl std::fmt::Display) -> Self {
        Self::Invalid { path: path.into(), reason: reason.to_string() }
    }
}

/// Why a text could not be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The tokenizer failed.
    #[error("the tokenizer failed: {0}")]
    Tokenizer(String),
    /// The prompt leaves no room for an answer.
    #[error("the prompt has {tokens} tokens; at most {limit} fit")]
    TooLong {
        /// The prompt's tokens.
        tokens: usize,
        /// The most that fit.
        limit: usize,
    },
    /// The text would have become a control token, such as the end of the sequence.
    #[error("the text encodes to the control token {0}")]
    ControlToken(u32),
}
