//! `POST /v1/decisions/{id}/attribution`: why tier 1 gave its score.

use axum::{Extension, extract::State, response::Response};
use domain::DecisionId;
use screening::{Attribution, read_record};
use serde::Serialize;

use super::{
    decisions::{DecisionPath, erased, no_such_decision},
    json_text,
};
use crate::{
    api_error::{ApiError, Problem},
    openapi::AttributionReport,
    request_context::RequestContext,
    state::AppState,
};

#[derive(Serialize)]
struct Answer {
    decision_id: DecisionId,
    #[serde(flatten)]
    attribution: Attribution,
}

/// Take tier 1's score of a decision apart.
///
/// The model in use scores the recorded facts once more without each part that is there: fields of
/// the transaction, and groups of velocity facts. All of them go to tier 1 together, behind the
/// payments that wait. The answer is added to the record.
#[utoipa::path(
    post,
    path = "/v1/decisions/{id}/attribution",
    tag = "decisions",
    params(("id" = String, Path, description = "The decision's UUID")),
    responses(
        (status = 200, description = "The parts, the strongest first", body = AttributionReport),
        (status = 400, description = "Not a UUID", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such decision", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "Its content was erased", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Overloaded; see Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be used; see Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "The deadline passed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn attribution(
    State(state): State<AppState>,
    Extension(context): Extension<RequestContext>,
    DecisionPath(id): DecisionPath,
) -> Result<Response, ApiError> {
    let stored = state.ledger.decision(id).await?.ok_or_else(no_such_decision)?;
    let record = read_record(&stored).map_err(|_| ApiError::Internal)?.ok_or_else(erased)?;
    let deadline = context.arrived + state.default_deadline();
    let attribution = state.screener.attribute(id, &record.facts, deadline).await?;
    let answer = Answer { decision_id: id, attribution };
    serde_json::to_string(&answer).map(json_text).map_err(|_| ApiError::Internal)
}
