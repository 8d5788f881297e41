//! `GET|PUT /v1/policy`, `GET /v1/policies` and `GET /v1/policies/{sha256}`.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
};
use domain::{PolicyRef, Violation, Violations};
use ledger::{PageRequest, StoredPolicy};
use policy::PolicyError;

use super::{decisions::limit, query::Parameters};
use crate::{
    api_error::{ApiError, Problem},
    openapi::{PolicyInForce, PolicyPage, PolicyVersion},
    policy_sync::{DOCUMENT_BYTES_MAX, SyncError},
    state::AppState,
};

/// The policy in force.
#[utoipa::path(
    get,
    path = "/v1/policy",
    tag = "operations",
    responses((status = 200, description = "The document with its version and hash, and what its budget does", body = PolicyInForce))
)]
pub(crate) async fn policy(State(state): State<AppState>) -> Json<PolicyInForce> {
    Json(in_force(&state))
}

fn in_force(state: &AppState) -> PolicyInForce {
    let desk = state.screener.policies();
    let policy = desk.current();
    PolicyInForce {
        policy: policy.reference().clone(),
        document: policy.document().to_owned(),
        budget: desk.budget(),
    }
}

/// Bring another policy into force.
///
/// The body is the TOML document. It is checked, recorded with its author, and in force for the next
/// transaction; other instances on the same ledger follow within a second or two. `If-Match` with the
/// hash of the policy that the change was made from refuses to overwrite somebody else's.
#[utoipa::path(
    put,
    path = "/v1/policy",
    tag = "operations",
    params(
        ("Authorization" = String, Header, description = "`Bearer` and the key of an author that the settings name"),
        ("If-Match" = Option<String>, Header, description = "SHA-256 of the policy that the change was made from"),
    ),
    request_body(content = String, content_type = "application/toml"),
    responses(
        (status = 200, description = "It is in force", body = PolicyInForce),
        (status = 400, description = "Not UTF-8", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No key", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "No author has this key", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Another policy is in force than `If-Match` says, or the version names another document", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Document too large", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not a policy; each error with line and column", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be used; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn put_policy(
    State(state): State<AppState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<PolicyInForce>), ApiError> {
    let author = state.authors.identify(&headers)?;
    if body.len() > DOCUMENT_BYTES_MAX {
        let detail = format!("a policy has at most {DOCUMENT_BYTES_MAX} bytes");
        return Err(ApiError::TooLarge(detail));
    }
    let document = std::str::from_utf8(&body)
        .map_err(|_| ApiError::Malformed("the document is not UTF-8".into()))?;
    if let Some(expected) = headers.get(header::IF_MATCH) {
        let expected = expected.to_str().unwrap_or_default().trim_matches('"');
        if expected != state.screener.policies().current().reference().sha256 {
            return Err(ApiError::Conflict {
                detail: "another policy is in force than the one If-Match names".into(),
                retry_after: None,
            });
        }
    }
    state.policy_sync.put(&author, document).await.map_err(not_in_force)?;
    Ok((StatusCode::OK, Json(in_force(&state))))
}

fn not_in_force(error: SyncError) -> ApiError {
    match error {
        SyncError::Policy(error) => ApiError::Invalid(violations(&error)),
        SyncError::VersionTaken(_) => {
            ApiError::Conflict { detail: error.to_string(), retry_after: None }
        }
        SyncError::Ledger(error) => error.into(),
        SyncError::File { .. } => ApiError::Internal,
    }
}

/// Each problem at its place in the document.
fn violations(error: &PolicyError) -> Violations {
    let at = |problem: &policy::Problem| Violation {
        pointer: format!("/{}:{}", problem.line, problem.column),
        detail: problem.detail.clone(),
    };
    Violations(error.problems.iter().map(at).collect())
}

/// Every policy that was ever in force, oldest first.
#[utoipa::path(
    get,
    path = "/v1/policies",
    tag = "operations",
    params(
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<u16>, Query, description = "How many, 1 to 1000; 100 unless told", minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "A page", body = PolicyPage),
        (status = 400, description = "Invalid parameters", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be used; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn policies(
    State(state): State<AppState>,
    mut parameters: Parameters,
) -> Result<Json<PolicyPage>, ApiError> {
    let cursor = parameters.optional("cursor");
    let limit = parameters.optional_with("limit", limit).unwrap_or(100);
    parameters.close()?;
    let page = state.ledger.policies(PageRequest { cursor, limit }).await?;
    let policies = page.items.into_iter().map(|stored| version(stored, false)).collect();
    Ok(Json(PolicyPage { policies, next_cursor: page.next.map(|cursor| cursor.to_string()) }))
}

/// One policy, by the hash that decisions name.
#[utoipa::path(
    get,
    path = "/v1/policies/{sha256}",
    tag = "operations",
    params(("sha256" = String, Path, description = "SHA-256 of the document, hexadecimal")),
    responses(
        (status = 200, description = "The policy with its document", body = PolicyVersion),
        (status = 404, description = "No such policy", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be used; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn policy_version(
    State(state): State<AppState>,
    Path(sha256): Path<String>,
) -> Result<Json<PolicyVersion>, ApiError> {
    let stored = state.ledger.policy(&sha256).await?;
    let unknown = || ApiError::NotFound("no policy of this hash was ever in force".into());
    stored.map(|stored| Json(version(stored, true))).ok_or_else(unknown)
}

fn version(stored: StoredPolicy, whole: bool) -> PolicyVersion {
    let PolicyRef { version, sha256 } = stored.reference;
    PolicyVersion {
        version,
        sha256,
        author: stored.author,
        recorded_at: stored.recorded_at,
        document: whole.then_some(stored.document),
    }
}
