//! What callers are told when something went wrong (RFC 9457). The only file that knows
//! status codes of failures.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{Violation, Violations, redact_card_numbers};
use ledger::LedgerError;
use screening::ScreenError;
use serde::Serialize;
use utoipa::ToSchema;

/// The media type of problems.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Everything a request can fail with.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// The body is not the JSON expected at all.
    Malformed(String),
    /// Path or query parameters are wrong.
    BadParameters(Violations),
    /// Nothing of this name.
    NotFound(String),
    /// What it was is erased, and stays so.
    Gone(String),
    /// It contradicts what is there or under way.
    Conflict { detail: String, retry_after: Option<Duration> },
    /// Nobody says who asks.
    Unauthorized(&'static str),
    /// Who asks may not.
    Forbidden(&'static str),
    /// No such route.
    UnknownRoute,
    /// The route has other methods.
    MethodNotAllowed,
    /// The client stopped sending.
    SlowBody,
    /// The body or a line is too large.
    TooLarge(String),
    /// The body's type or encoding is another.
    UnsupportedMediaType(String),
    /// JSON, but not what it should say.
    Invalid(Violations),
    /// Too much at once.
    Overloaded { detail: &'static str, retry_after: Duration },
    /// A fault of ours; details are in the log only.
    Internal,
    /// Not now.
    Unavailable { detail: String, retry_after: Duration },
    /// The deadline came first.
    Deadline,
}

/// A problem as answered.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Names the kind of problem; described in the documentation.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid-request")]
    kind: &'static str,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong this time.
    detail: String,
    /// The request's identifier, as in `x-request-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// Each thing that is wrong, with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<Violation>,
    /// The line of an NDJSON body, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// When to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
}

/// A problem that still has to be written into its response, once the request's identifier
/// is at hand.
#[derive(Debug, Clone)]
struct Pending(Problem);

impl ApiError {
    pub(crate) fn problem(self) -> Problem {
        let (status, kind, title) = self.kind();
        let (detail, errors, retry_after) = match self {
            Self::Malformed(detail)
            | Self::NotFound(detail)
            | Self::Gone(detail)
            | Self::TooLarge(detail)
            | Self::UnsupportedMediaType(detail) => (detail, Vec::new(), None),
            Self::BadParameters(violations) | Self::Invalid(violations) => {
                (summary(&violations), violations.0, None)
            }
            Self::Conflict { detail, retry_after } => (detail, Vec::new(), retry_after),
            Self::Unauthorized(detail) | Self::Forbidden(detail) => {
                (detail.into(), Vec::new(), None)
            }
            Self::UnknownRoute => ("see /docs for what there is".into(), Vec::new(), None),
            Self::MethodNotAllowed => {
                ("the Allow header lists the methods of this route".into(), Vec::new(), None)
            }
            Self::SlowBody => ("the body did not arrive in time".into(), Vec::new(), None),
            Self::Overloaded { detail, retry_after } => {
                (detail.into(), Vec::new(), Some(retry_after))
            }
            Self::Internal => {
                ("the request failed by a fault of the service".into(), Vec::new(), None)
            }
            Self::Unavailable { detail, retry_after } => (detail, Vec::new(), Some(retry_after)),
            Self::Deadline => {
                ("the deadline passed before there was a decision".into(), Vec::new(), None)
            }
        };
        let retry_after_seconds = retry_after.map(whole_seconds);
        Problem {
            kind,
            title,
            status: status.as_u16(),
            detail,
            instance: None,
            errors,
            line: None,
            retry_after_seconds,
        }
    }

    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed(_) => {
                (StatusCode::BAD_REQUEST, "/problems/malformed-body", "Malformed body")
            }
            Self::BadParameters(_) => {
                (StatusCode::BAD_REQUEST, "/problems/invalid-parameters", "Invalid parameters")
            }
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "/problems/not-found", "Not found"),
            Self::Gone(_) => (StatusCode::GONE, "/problems/erased", "Erased"),
            Self::Conflict { .. } => (StatusCode::CONFLICT, "/problems/conflict", "Conflict"),
            Self::Unauthorized(_) => {
                (StatusCode::UNAUTHORIZED, "/problems/unauthorized", "Unauthorized")
            }
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "/problems/forbidden", "Forbidden"),
            Self::UnknownRoute => {
                (StatusCode::NOT_FOUND, "/problems/unknown-route", "No such route")
            }
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "/problems/method-not-allowed",
                "Method not allowed",
            ),
            Self::SlowBody => (StatusCode::REQUEST_TIMEOUT, "/problems/slow-body", "Body too slow"),
            Self::TooLarge(_) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "/problems/too-large", "Too large")
            }
            Self::UnsupportedMediaType(_) => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "/problems/unsupported-media-type",
                "Unsupported media type",
            ),
            Self::Invalid(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "/problems/invalid-request", "Invalid request")
            }
            Self::Overloaded { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "/problems/overloaded", "Overloaded")
            }
            Self::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "/problems/internal", "Internal error")
            }
            Self::Unavailable { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "/problems/unavailable", "Unavailable")
            }
            Self::Deadline => {
                (StatusCode::GATEWAY_TIMEOUT, "/problems/deadline", "Deadline passed")
            }
        }
    }
}

impl Problem {
    /// The problem as a line of NDJSON.
    pub(crate) fn into_line(mut self, line: u64) -> String {
        self.line = Some(line);
        to_json(&self)
    }

    /// What is wrong in words, with its places.
    pub(crate) fn into_parts(self) -> (String, Vec<Violation>) {
        (self.detail, self.errors)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, _, _) = self.kind();
        let problem = self.problem();
        let mut response = status.into_response();
        if let Some(seconds) = problem.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response.extensions_mut().insert(Pending(problem));
        response
    }
}

/// Writes the body of a pending problem, now that the request's identifier is known.
pub(crate) fn write_problem(mut response: Response, request_id: &str) -> Response {
    let Some(Pending(mut problem)) = response.extensions_mut().remove::<Pending>() else {
        return response;
    };
    problem.instance = Some(request_id.to_owned());
    set_problem_type(response.headers_mut());
    *response.body_mut() = Body::from(to_json(&problem));
    response
}

fn set_problem_type(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    headers.remove(header::CONTENT_LENGTH);
}

fn to_json(problem: &Problem) -> String {
    // Strings, numbers and a list of strings: nothing that serde_json could refuse.
    serde_json::to_string(problem).unwrap_or_default()
}

fn summary(violations: &Violations) -> String {
    match violations.0.as_slice() {
        [only] => format!("{} {}", only.pointer, only.detail),
        several => format!("{} things are wrong; see errors", several.len()),
    }
}

/// Rounded up, because a caller who returns a moment too early is refused again.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

impl From<Violations> for ApiError {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}

/// How long to stay away from a ledger that fails.
const LEDGER_RETRY: Duration = Duration::from_secs(1);

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        if let LedgerError::KeyTaken(_) = error {
            return Self::Conflict {
                detail: "this idempotency key was used by another request meanwhile".into(),
                retry_after: Some(LEDGER_RETRY),
            };
        }
        let source = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(%error, source, "ledger failed");
        let retry_after = match error {
            LedgerError::Overloaded { retry_after } => retry_after,
            LedgerError::Unavailable { .. }
            | LedgerError::KeyTaken(_)
            | LedgerError::Refused { .. }
            | LedgerError::Erased(_)
            | LedgerError::DuplicateDecision(_)
            | LedgerError::Corrupt { .. }
            | LedgerError::Closed => LEDGER_RETRY,
        };
        Self::Unavailable { detail: "the ledger cannot be used at the moment".into(), retry_after }
    }
}

impl From<ScreenError> for ApiError {
    fn from(error: ScreenError) -> Self {
        match error {
            ScreenError::Overloaded { retry_after } => {
                Self::Overloaded { detail: "tier 1 has too much to do", retry_after }
            }
            ScreenError::Deadline => Self::Deadline,
            ScreenError::Stopped => Self::Unavailable {
                detail: "the service is shutting down".into(),
                retry_after: Duration::from_secs(1),
            },
            ScreenError::Ledger(error) => error.into(),
            ScreenError::Incomplete(id) => Self::Conflict {
                detail: format!("the record of decision {id} does not hold what this needs"),
                retry_after: None,
            },
            ScreenError::Screening(_) | ScreenError::Render(_) | ScreenError::Serialise(_) => {
                // A model's complaint may quote what it was fed.
                let text = error.to_string();
                tracing::error!(error = %redact_card_numbers(&text), "screening failed");
                Self::Internal
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        for (milliseconds, seconds) in [(0, 0), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(milliseconds)), seconds);
        }
    }
}
