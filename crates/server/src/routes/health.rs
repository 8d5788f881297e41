//! `GET /livez` and `GET /readyz`.

use std::time::Duration;

use axum::{Json, extract::State};

use crate::{
    api_error::{ApiError, Problem},
    openapi::Health,
    state::AppState,
};

/// A ledger that takes longer than this to answer is not healthy.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether the process runs at all.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "operations",
    responses((status = 200, description = "It does", body = Health))
)]
pub(crate) async fn livez() -> Json<Health> {
    Json(Health { status: "alive" })
}

/// Whether requests should be sent here.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operations",
    responses(
        (status = 200, description = "They should", body = Health),
        (status = 503, description = "Warming, draining, or the ledger fails", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn readyz(State(state): State<AppState>) -> Result<Json<Health>, ApiError> {
    if let Some(reason) = state.readiness.reason() {
        return Err(not_ready(reason));
    }
    match tokio::time::timeout(LEDGER_TIMEOUT, state.ledger.check()).await {
        Ok(checked) => checked?,
        Err(_) => return Err(not_ready("the ledger does not answer")),
    }
    Ok(Json(Health { status: "ready" }))
}

fn not_ready(reason: &str) -> ApiError {
    ApiError::Unavailable { detail: reason.to_owned(), retry_after: Duration::from_secs(1) }
}
