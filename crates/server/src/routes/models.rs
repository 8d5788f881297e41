//! `GET /v1/models`.

use axum::{Json, extract::State};

use crate::{openapi::Models, state::AppState};

/// The model packages of both tiers.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "operations",
    responses((status = 200, description = "The packages in use", body = Models))
)]
pub(crate) async fn models(State(state): State<AppState>) -> Json<Models> {
    Json(Models {
        screening: state.screening_package.clone(),
        analysis: state.analysis_package.clone(),
    })
}
