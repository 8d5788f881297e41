//! `GET /v1/decisions` and `GET /v1/decisions/{id}`.

use std::time::Duration;

use axum::{
    extract::{FromRequestParts, Path, State},
    http::request::Parts,
    response::Response,
};
use domain::{Decision, DecisionId, Outcome, Violations};
use jiff::Timestamp;
use ledger::{DecisionFilter, PAGE_LIMIT_MAX, StoredDecision};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{json_text, query::Parameters};
use crate::{
    api_error::{ApiError, Problem},
    openapi::DecisionPage,
    state::{AppState, Shared},
};

/// The longest that a caller may wait for a decision to become final.
const WAIT_MS_MAX: u64 = 30_000;
/// How often the ledger is looked at while a caller waits; another instance may complete it.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// One decision, as it stands.
///
/// With `wait_ms`, a decision of which an analysis or a report is still owed is answered when that
/// has come, or when the time is over.
#[utoipa::path(
    get,
    path = "/v1/decisions/{id}",
    tag = "decisions",
    params(
        ("id" = String, Path, description = "The decision's UUID"),
        ("wait_ms" = Option<u32>, Query, description = "How long to wait for what is still owed, in milliseconds", minimum = 0, maximum = 30000),
    ),
    responses(
        (status = 200, description = "The decision", body = Decision),
        (status = 400, description = "Not a UUID", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such decision", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "Its content was erased", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many callers wait; see Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be used; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn decision(
    State(state): State<AppState>,
    DecisionPath(id): DecisionPath,
    mut parameters: Parameters,
) -> Result<Response, ApiError> {
    let wait = parameters.optional_with("wait_ms", wait).unwrap_or_default();
    parameters.close()?;
    let mut stored = state.ledger.decision(id).await?.ok_or_else(no_such_decision)?;
    if stored.promised.is_some() && !wait.is_zero() {
        stored = settled(&state, id, stored, wait).await?;
    }
    stored.content.map(|content| json_text(content.response)).ok_or_else(erased)
}

fn wait(text: &str) -> Result<Duration, String> {
    let wait = text.parse().ok().filter(|wait| *wait <= WAIT_MS_MAX);
    wait.map(Duration::from_millis)
        .ok_or_else(|| format!("must be a whole number from 0 to {WAIT_MS_MAX}"))
}

/// The decision once nothing is owed any more, or as it stands when the wait is over.
async fn settled(
    state: &Shared,
    id: DecisionId,
    mut stored: StoredDecision,
    wait: Duration,
) -> Result<StoredDecision, ApiError> {
    let _place = state.waiting.try_acquire().map_err(|_| ApiError::Overloaded {
        detail: "too many callers wait for decisions",
        retry_after: Duration::from_secs(1),
    })?;
    let until = Instant::now() + wait;
    let mut news = state.screener.completions();
    while stored.promised.is_some() && Instant::now() < until {
        let heard = async {
            // A listener that fell behind may have missed this very one.
            while matches!(news.recv().await, Ok(other) if other != id) {}
        };
        let next_look = until.min(Instant::now() + LOOK_AGAIN);
        tokio::select! {
            _ = timeout_at(next_look, heard) => {}
            () = state.readiness.stopping().cancelled() => break,
        }
        stored = state.ledger.decision(id).await?.ok_or_else(no_such_decision)?;
    }
    Ok(stored)
}

/// Decisions in the order of recording, oldest first.
#[utoipa::path(
    get,
    path = "/v1/decisions",
    tag = "decisions",
    params(
        ("outcome" = Option<Outcome>, Query, description = "Only this outcome"),
        ("since" = Option<String>, Query, description = "Only decisions made at or after this RFC 3339 time"),
        ("until" = Option<String>, Query, description = "Only decisions made before this RFC 3339 time"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<u16>, Query, description = "How many, 1 to 1000; 100 unless told", minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "A page", body = DecisionPage),
        (status = 400, description = "Invalid parameters", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be used; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn decisions(
    State(state): State<AppState>,
    mut parameters: Parameters,
) -> Result<Response, ApiError> {
    let defaults = DecisionFilter::default();
    let filter = DecisionFilter {
        outcome: parameters.optional("outcome"),
        since: parameters.optional_with("since", instant),
        until: parameters.optional_with("until", instant),
        cursor: parameters.optional("cursor"),
        limit: parameters.optional_with("limit", limit).unwrap_or(defaults.limit),
        ..defaults
    };
    parameters.close()?;
    let page = state.ledger.decisions(filter).await?;
    // Stored answers are JSON already and stay as they were answered.
    let items: Vec<_> =
        page.items.iter().filter_map(|s| Some(s.content.as_ref()?.response.as_str())).collect();
    let next = page.next.map_or_else(|| "null".to_owned(), |cursor| format!("\"{cursor}\""));
    Ok(json_text(format!("{{\"decisions\":[{}],\"next_cursor\":{next}}}", items.join(","))))
}

pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "must be an RFC 3339 time".to_owned())
}

pub(super) fn limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=PAGE_LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| format!("must be a whole number from 1 to {PAGE_LIMIT_MAX}"))
}

/// The decision that a path names.
pub(crate) struct DecisionPath(pub(crate) DecisionId);

impl FromRequestParts<AppState> for DecisionPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        // A segment that is no UTF-8 is no identifier either.
        let path = Path::<String>::from_request_parts(parts, state).await.ok();
        path.and_then(|Path(text)| Uuid::try_parse(&text).ok())
            .map(|id| Self(DecisionId(id)))
            .ok_or_else(|| {
                let mut violations = Violations::default();
                violations.add("/path/id", "must be a decision's UUID");
                ApiError::BadParameters(violations)
            })
    }
}

pub(super) fn erased() -> ApiError {
    ApiError::Gone(
        "the content of this decision was erased; that it was taken is still known".into(),
    )
}

pub(super) fn no_such_decision() -> ApiError {
    ApiError::NotFound("no decision of this id is recorded".into())
}
