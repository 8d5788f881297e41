//! `POST /v1/screen`.

use std::fmt::Write as _;

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use domain::{Decision, DecisionStatus};
use screening::Screened;

use super::{json_text, once::once, parse_context};
use crate::{
    api_error::{ApiError, Problem},
    idempotency,
    json_body::JsonBody,
    openapi::ScreenRequest,
    request_context::RequestContext,
    screening_request::ScreeningRequest,
    state::AppState,
};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Decide one transaction.
///
/// Tier 2 has until the deadline. When it is not ready by then, or the mode is `async`, the answer
/// is 202 with a provisional decision: its outcome is the policy's fallback, and the analysis that
/// may change it is promised. `GET /v1/decisions/{id}?wait_ms=` waits for it, and a webhook tells of
/// it.
///
/// Under an `Idempotency-Key`, a request that is sent again gets the answer of the first time, to the
/// byte; one that comes while the first is under way waits for it.
#[utoipa::path(
    post,
    path = "/v1/screen",
    tag = "screening",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Names this attempt for 24 hours, however often it is sent"),
    ),
    request_body = ScreenRequest,
    responses(
        (status = 200, description = "The decision, already recorded unless `dry_run`", body = Decision),
        (status = 202, description = "A provisional decision; its analysis is promised", body = Decision),
        (status = 400, description = "Malformed JSON or idempotency key", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A request of this idempotency key is still under way; see Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Body too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Invalid, each violation with its pointer; or the idempotency key came with another body", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Overloaded; see Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Not ready, draining, or the ledger cannot be used; see Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "The deadline passed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn screen(
    State(state): State<AppState>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let key = idempotency::key(&headers, &body)?;
    let request = ScreeningRequest::parse(&body, &parse_context())?.keyed(key);
    if request.key().is_some() {
        return once(state, request, context.arrived).await;
    }
    let screened = request.screen(&state, context.arrived).await?;
    Ok(answer(screened))
}

pub(super) fn answer(screened: Screened) -> Response {
    let timing = server_timing(&screened);
    let status = status(screened.decision.status);
    let mut response = (status, json_text(screened.response)).into_response();
    if let Ok(value) = HeaderValue::from_str(&timing) {
        response.headers_mut().insert(SERVER_TIMING, value);
    }
    response
}

pub(super) fn status(status: DecisionStatus) -> StatusCode {
    match status {
        DecisionStatus::Final => StatusCode::OK,
        DecisionStatus::Provisional => StatusCode::ACCEPTED,
    }
}

/// Milliseconds of each stage, as `Server-Timing` wants them.
fn server_timing(screened: &Screened) -> String {
    let timings = &screened.decision.timings_ms;
    let screening = timings.screening_prepare + timings.screening_queue + timings.screening_run;
    let analysis: Vec<f64> =
        [timings.analysis_prepare, timings.analysis_queue, timings.analysis_run]
            .into_iter()
            .flatten()
            .collect();
    let ledger = screened.ledger.as_secs_f64() * 1e3;
    let stages = [
        ("velocity", Some(timings.velocity)),
        ("screening", Some(screening)),
        ("analysis", (!analysis.is_empty()).then(|| analysis.iter().sum())),
        ("ledger", Some(ledger)),
        ("total", Some(timings.total + ledger)),
    ];
    let mut header = String::with_capacity(96);
    for (name, milliseconds) in stages {
        let Some(milliseconds) = milliseconds else { continue };
        let separator = if header.is_empty() { "" } else { ", " };
        let _ = write!(header, "{separator}{name};dur={milliseconds:.3}");
    }
    header
}
