//! `GET /v1/quality` and `GET /v1/drift`.

use axum::{Json, extract::State};
use domain::Violations;
use evaluation::{DriftReading, Quality};
use jiff::{SignedDuration, Timestamp};
use ledger::OutcomeFilter;
use serde::Serialize;

use super::{decisions::instant, query::Parameters};
use crate::{
    api_error::{ApiError, Problem},
    openapi::{DriftReport, QualityReport},
    quality::QualityError,
    state::AppState,
};

#[derive(Serialize)]
pub(crate) struct QualityAnswer {
    since: Timestamp,
    until: Timestamp,
    #[serde(flatten)]
    quality: Quality,
    assumptions: [&'static str; 4],
}

const ASSUMPTIONS: [&str; 4] = [
    "a decision counts once 90 % of labels have usually come, or after 60 days while there are few labels",
    "flagged decisions without a label are left out of the precision",
    "audited decisions without a label were legitimate",
    "recall needs an audit sample (policy, [audit]): each audited fraud stands for 1/share frauds",
];

/// Precision and recall of live decisions, as far as labels tell.
#[utoipa::path(
    get,
    path = "/v1/quality",
    tag = "operations",
    params(
        ("since" = Option<String>, Query, description = "Decisions made at or after this RFC 3339 time; 90 days ago unless told"),
        ("until" = Option<String>, Query, description = "Decisions made before this RFC 3339 time; now unless told"),
    ),
    responses(
        (status = 200, description = "Estimates with their intervals and assumptions", body = QualityReport),
        (status = 400, description = "Invalid parameters, or too long a period", body = Problem, content_type = "application/problem+json"),
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
    let since = since.unwrap_or_else(|| days_before(now, state.quality_days));
    let quality = state.quality.estimate(OutcomeFilter { since, until }, now).await;
    let quality = quality.map_err(|error| match error {
        QualityError::Ledger(error) => error.into(),
        QualityError::TooMany(_) => {
            let mut violations = Violations::default();
            violations.add("/query/since", error.to_string());
            ApiError::BadParameters(violations)
        }
        QualityError::Estimate(detail) => {
            tracing::error!(detail, "quality cannot be estimated");
            ApiError::Internal
        }
    })?;
    Ok(Json(QualityAnswer { since, until, quality, assumptions: ASSUMPTIONS }))
}

/// So many days earlier.
pub(crate) fn days_before(now: Timestamp, days: u32) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(i64::from(days) * 24)).unwrap_or(Timestamp::MIN)
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
