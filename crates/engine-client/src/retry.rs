//! What to do after a failed attempt: a plain function of what happened and what time is left.

use std::time::{Duration, SystemTime};

use crate::{breaker::Outcome, config::Config, error::ClientError, metrics::RetryReason};

/// How one attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection.
    Connect(String),
    /// The connection broke before the verdict.
    Reset(String),
    /// An HTTP status other than success.
    Status { code: u16, retry_after: Option<Duration>, message: String },
    /// The deadline passed while the engine worked for this long.
    TimedOut { after: Duration },
    /// An answer that is no report.
    Malformed(String),
    /// The engine reported an error in place of the answer, status 200.
    Complaint(String),
    /// The breaker is open.
    BreakerOpen(Duration),
}

impl Failure {
    /// What the breaker learns from it. `patience` as in
    /// [`BreakerConfig`](crate::BreakerConfig::patience).
    pub(crate) fn outcome(&self, patience: Duration) -> Outcome {
        match self {
            Self::Status { code: 400 | 413 | 422 | 429, .. } | Self::BreakerOpen(_) => {
                Outcome::Ignored
            }
            Self::TimedOut { after } if *after < patience => Outcome::Ignored,
            Self::Connect(_)
            | Self::Reset(_)
            | Self::Status { .. }
            | Self::TimedOut { .. }
            | Self::Malformed(_)
            | Self::Complaint(_) => Outcome::Failure,
        }
    }

    /// Why it may be tried again; `None` when it may not.
    fn reason(&self) -> Option<RetryReason> {
        match self {
            Self::Connect(_) => Some(RetryReason::Connect),
            Self::Reset(_) => Some(RetryReason::Reset),
            Self::Status { code: 429, .. } => Some(RetryReason::Overloaded),
            Self::Status { code: 500 | 502 | 503 | 504, .. } => Some(RetryReason::ServerError),
            Self::Status { .. }
            | Self::TimedOut { .. }
            | Self::Malformed(_)
            | Self::Complaint(_)
            | Self::BreakerOpen(_) => None,
        }
    }

    /// The engine's own wish.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { code: 429 | 503, retry_after, .. } => *retry_after,
            Self::Status { .. }
            | Self::Connect(_)
            | Self::Reset(_)
            | Self::TimedOut { .. }
            | Self::Malformed(_)
            | Self::Complaint(_)
            | Self::BreakerOpen(_) => None,
        }
    }

    /// What the caller is told. `overloaded` is the wait when the engine names none.
    pub(crate) fn error(self, overloaded: Duration) -> ClientError {
        match self {
            Self::Connect(detail) | Self::Reset(detail) | Self::Complaint(detail) => {
                ClientError::Failed(detail)
            }
            Self::Status { code: 429, retry_after, .. } => {
                ClientError::Overloaded { retry_after: retry_after.unwrap_or(overloaded) }
            }
            Self::Status { code: 503, retry_after: Some(retry_after), .. } => {
                ClientError::Overloaded { retry_after }
            }
            Self::Status { code: code @ (400 | 413 | 422), message, .. } => {
                ClientError::Input(format!("{code} {message}").trim_end().into())
            }
            Self::Status { code, message, .. } => {
                ClientError::Failed(format!("{code} {message}").trim_end().into())
            }
            Self::TimedOut { .. } => ClientError::Deadline,
            Self::Malformed(detail) => ClientError::Malformed(detail),
            Self::BreakerOpen(retry_after) => ClientError::Unavailable { retry_after },
        }
    }
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait, then try again.
    Retry { after: Duration, reason: RetryReason },
    /// Tell the caller.
    Give(ClientError),
}

/// Decides after the `tried`-th attempt, with `left` until the deadline. `random` in 0..1 spreads
/// the waits over 0..=min(base·2^(tried−1), max) ("full jitter"), so that callers that failed
/// together do not come back together. A time that the engine asks for is waited out in full, and
/// jitter comes on top; where that does not fit the deadline there is no point in waiting.
pub(crate) fn next(
    failure: Failure,
    tried: u32,
    left: Duration,
    config: &Config,
    random: f64,
) -> Next {
    let give = |failure: Failure| Next::Give(failure.error(config.overload_retry_after));
    let Some(reason) = failure.reason() else { return give(failure) };
    if tried >= config.attempts {
        return give(failure);
    }
    let factor = 2_u32.saturating_pow(tried.saturating_sub(1));
    let ceiling = config.backoff_base.saturating_mul(factor).min(config.backoff_max);
    let wished = failure.retry_after().unwrap_or_default();
    let after = wished.saturating_add(ceiling.mul_f64(random.clamp(0.0, 1.0)));
    if after >= left {
        return give(failure);
    }
    Next::Retry { after, reason }
}

/// Reads `Retry-After`: seconds, or an HTTP date.
pub(crate) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = header.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(header.trim()).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
