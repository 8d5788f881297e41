//! `GET /metrics`.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use prometheus::{Encoder, TEXT_FORMAT, TextEncoder};

use crate::{api_error::ApiError, state::AppState};

/// Everything counted, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    responses((status = 200, description = "Prometheus text", body = String, content_type = "text/plain"))
)]
pub(crate) async fn metrics(State(state): State<AppState>) -> Result<Response, ApiError> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&state.registry.gather(), &mut text).map_err(|error| {
        tracing::error!(%error, "metrics cannot be encoded");
        ApiError::Internal
    })?;
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response())
}
