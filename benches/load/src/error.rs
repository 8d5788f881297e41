//! Why a run could not be made, and why a request had no answer.

use std::io;

use hdrhistogram::CreationError;

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The URL cannot be used.
    #[error("the URL {url} cannot be used: {problem}")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A header cannot be sent.
    #[error("the header {0:?} cannot be sent")]
    Header(String),
    /// There is nothing to send.
    #[error("there is no request body to send")]
    NoBodies,
    /// The plan makes no sense.
    #[error("the plan cannot be carried out: {0}")]
    Plan(String),
    /// No connection could be opened before the start.
    #[error("no server can be reached at {address}; is it running?")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the last attempt said.
        source: io::Error,
    },
    /// The idle connections could not be opened.
    #[error("only {opened} of {wanted} idle connections could be opened; see `ulimit -n`")]
    Idle {
        /// How many were opened.
        opened: usize,
        /// How many were wanted.
        wanted: usize,
        /// What the last attempt said.
        source: io::Error,
    },
    /// The operating system gave no timer or no thread.
    #[error("the operating system gave no timer or thread")]
    System(#[from] io::Error),
    /// A histogram could not be made.
    #[error("a histogram could not be made")]
    Histogram(#[from] CreationError),
    /// A thread of the generator panicked.
    #[error("a thread of the generator panicked")]
    Panicked,
}

/// Why a request that was taken up had no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Failure {
    /// No connection could be opened.
    Connect,
    /// The answer was not complete within the timeout.
    Timeout,
    /// The server closed the connection before its answer was complete.
    Closed,
    /// The connection was reset.
    Reset,
    /// The answer was not HTTP/1.1.
    Protocol,
    /// The answer was larger than the generator keeps.
    TooLarge,
    /// Anything else.
    Other,
}

impl Failure {
    /// The name under which [`crate::Measured::errors`] counts it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::TooLarge => "too_large",
            Self::Other => "other",
        }
    }
}

impl From<&hyper::Error> for Failure {
    fn from(error: &hyper::Error) -> Self {
        if error.is_parse() {
            return Self::Protocol;
        }
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            let kind = inner.downcast_ref::<io::Error>().map(io::Error::kind);
            if matches!(kind, Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)) {
                return Self::Reset;
            }
            source = inner.source();
        }
        if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
            return Self::Closed;
        }
        Self::Other
    }
}
