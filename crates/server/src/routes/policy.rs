//! `GET /v1/policy`.

use axum::{Json, extract::State};

use crate::{openapi::PolicyInForce, state::AppState};

/// The policy in force.
#[utoipa::path(
    get,
    path = "/v1/policy",
    tag = "operations",
    responses((status = 200, description = "The document with its version and hash", body = PolicyInForce))
)]
pub(crate) async fn policy(State(state): State<AppState>) -> Json<PolicyInForce> {
    let policy = state.screener.policy();
    Json(PolicyInForce {
        policy: policy.reference().clone(),
        document: state.policy_document.clone(),
    })
}
