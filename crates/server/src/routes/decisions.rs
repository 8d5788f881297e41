//! `GET /v1/decisions` and `GET /v1/decisions/{id}`.

use axum::{
    extract::{FromRequestParts, Path, State},
    http::request::Parts,
    response::Response,
};
use domain::{Decision, DecisionId, Outcome, Violations};
use jiff::Timestamp;
use ledger::{DecisionFilter, PAGE_LIMIT_MAX};
use uuid::Uuid;

use super::{json_text, query::Parameters};
use crate::{
    api_error::{ApiError, Problem},
    openapi::DecisionPage,
    state::AppState,
};

/// One decision, as it was answered.
#[utoipa::path(
    get,
    path = "/v1/decisions/{id}",
    tag = "decisions",
    params(("id" = String, Path, description = "The decision's UUID")),
    responses(
        (status = 200, description = "The decision", body = Decision),
        (status = 400, description = "Not a UUID", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such decision", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be used; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn decision(
    State(state): State<AppState>,
    DecisionPath(id): DecisionPath,
) -> Result<Response, ApiError> {
    let stored = state.ledger.decision(id).await?;
    stored.map(|stored| json_text(stored.response)).ok_or_else(no_such_decision)
}

/// Decisions in the order of recording, oldest first.
#[utoipa::path(
    get,
    path = "/v1/decisions",
    tag = "decisions",
    params(
        ("outcome" = Option<Outcome>, Query, description = "Only this outcome"),
        ("since" = Option<String>, Query, description = "Only decisions made at or after this RFC 3339 time"),
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
        since: parameters.optional_with("since", |text| {
            text.parse::<Timestamp>().map_err(|_| "must be an RFC 3339 time".to_owned())
        }),
        cursor: parameters.optional("cursor"),
        limit: parameters.optional_with("limit", limit).unwrap_or(defaults.limit),
    };
    parameters.close()?;
    let page = state.ledger.decisions(filter).await?;
    // Stored answers are JSON already and stay as they were answered.
    let items: Vec<_> = page.items.into_iter().map(|stored| stored.response).collect();
    let next = page.next.map_or_else(|| "null".to_owned(), |cursor| format!("\"{cursor}\""));
    Ok(json_text(format!("{{\"decisions\":[{}],\"next_cursor\":{next}}}", items.join(","))))
}

fn limit(text: &str) -> Result<usize, String> {
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

pub(super) fn no_such_decision() -> ApiError {
    ApiError::NotFound("no decision of this id is recorded".into())
}
