//! A client for any engine with OpenAI's API: vLLM, SGLang, llama.cpp's `llama-server`,
//! llama-cpp-python, Ollama, OpenAI itself.
//!
//! It asks one kind of question: write a JSON report of a given schema whose first property is a
//! verdict, one of a few words. The answer comes in two moments: the verdict with the
//! log-probabilities of all its words as soon as its tokens have arrived, and the rest later.
//! What stands in the prompt and the report is the caller's business.
//!
//! Everything is bounded: requests under way and waiting, bytes read, time, repeats. No engine is
//! trusted: every report is checked against its schema here, whatever the engine promises.
//!
//! # What counts as a failure
//! The circuit breaker counts what says that the engine is unwell: no connection, a broken one,
//! 5xx, 401, 403, 404, answers that are no reports, and deadlines that passed although the engine
//! had [`BreakerConfig::patience`]. It does not count 429 (busy is not broken), refused input
//! (400, 413, 422), or callers that leave. Every attempt counts, repeats included.

mod body;
mod breaker;
mod client;
mod config;
mod dialect;
mod error;
mod form;
mod metrics;
mod probe;
mod redact;
mod reply;
mod retry;
mod shared;
mod transport;
mod verdict;
mod wire;

pub use breaker::BreakerConfig;
pub use client::{Answer, Client, Deadlines, Rest, Written};
pub use config::{ApiKey, Config, Endpoint};
pub use dialect::Dialect;
pub use error::{ClientError, ConfigError, FormError};
pub use form::{Form, Request};
pub use metrics::Metrics;
pub use probe::{Capabilities, LogProbKind};
pub use verdict::{Choice, LogProbs};
pub use wire::Usage;
