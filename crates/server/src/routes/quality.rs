//! `GET /v1/quality` and `GET /v1/drift`.

use std::time::Duration;

use axum::{Json, extract::State};
use domain::Violations;
use evaluation::DriftReading;
use jiff::Timestamp;
use serde::Serialize;

use super::{decisions::instant, query::Parameters};
use crate::{
    api_error::{ApiError, Problem},
    openapi::{DriftReport, QualityReport},
    quality::{Estimate, QualityError},
    state::AppState,
};

/// When to ask again while somebody else does.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Serialize)]
pub(crate) struct QualityAnswer {
    since: Timestamp,
    until: Timestamp,
    #[serde(flatten)]
    estimate: Estimate,
    assumptions: [String; 8],
}

/// What the estimates rest on, in words.
fn assumptions(maturity_days: u32) -> [String; 8] {
    let matures = format!(
        "a decision counts once it is so old that 90 % of labels have usually come, of flagged and \
         of cleared decisions alike; at {maturity_days} days while either have fewer than 50 labels"
    );
    let rest = [
        "a decision is flagged when it was not approved; one that the audit drew is not, whatever \
         came of it",
        "flagged decisions without a label are left out of the precision, as if they were like the \
         labelled ones; precision_bounds does without this",
        "recall needs an audit sample (policy, [audit]): each audited fraud stands for 1 / share \
         frauds that tier 1 cleared",
        "audited decisions without a label were legitimate: somebody looked at all of them",
        "of what a rule, tier 2 or the fallback approved, reported frauds are all there are; recall \
         is too high by the unreported ones",
        "a transaction that was decided more than once counts as often",
        "the interval of recall holds what the draw leaves open, not how next month's fraud may \
         differ",
    ];
    std::array::from_fn(|n| match n.checked_sub(1) {
        None => matures.clone(),
        Some(n) => rest[n].to_owned(),
    })
}

/// Precision and recall of live decisions, as far as labels tell.
#[utoipa::path(
    get,
    path = "/v1/quality",
    tag = "operations",
    params(
        ("since" = Option<String>, Query, description = "Decisions made at or after this RFC 3339 time; quality.window_days ago unless told"),
        ("until" = Option<String>, Query, description = "Decisions made before this RFC 3339 time; now unless told"),
    ),
    responses(
        (status = 200, description = "Estimates with their intervals and assumptions", body = QualityReport),
        (status = 400, description = "Invalid parameters, or too long a period", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Another estimate is under way, or too many requests; see Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be used; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn quality(
    State(state): State<AppState>,
    mut parameters: Parameters,
) -> Result<Json<QualityAnswer>, ApiError> {
    let now = Timestamp::now();
    let since = parameters.optional_with("since", instant);
    let until = parameters.optional_with("until", instant).unwrap_or(now);
    parameters.close()?;
    let since = since.unwrap_or_else(|| state.quality.since(now));
    if since >= until {
        return Err(bad_period("must be before until"));
    }
    let estimate = state.quality.estimate(since, until, now).await;
    let estimate = estimate.map_err(|error| match error {
        QualityError::Ledger(error) => error.into(),
        QualityError::TooMany(_) => bad_period(&error.to_string()),
        QualityError::Busy => ApiError::Overloaded {
            detail: "another estimate of quality is under way",
            retry_after: RETRY_AFTER,
        },
        QualityError::Estimate(detail) => {
            tracing::error!(detail, "quality cannot be estimated");
            ApiError::Internal
        }
    })?;
    let assumptions = assumptions(state.quality.maturity_days());
    Ok(Json(QualityAnswer { since, until, estimate, assumptions }))
}

fn bad_period(detail: &str) -> ApiError {
    let mut violations = Violations::default();
    violations.add("/query/since", detail);
    ApiError::BadParameters(violations)
}

#[derive(Serialize)]
pub(crate) struct DriftAnswer {
    /// Whether the package has a reference to compare with.
    reference: bool,
    readings: Vec<DriftReading>,
}

/// Whether live traffic still looks like what tier 1's package was made for.
#[utoipa::path(
    get,
    path = "/v1/drift",
    tag = "operations",
    responses((status = 200, description = "The score and each main feature", body = DriftReport))
)]
pub(crate) async fn drift(State(state): State<AppState>) -> Json<DriftAnswer> {
    let readings = state.drift.readings(Timestamp::now());
    Json(DriftAnswer { reference: readings.is_some(), readings: readings.unwrap_or_default() })
}
