//! `POST /v1/screen`.

use std::fmt::Write as _;

use axum::{
    Extension,
    extract::State,
    http::{HeaderName, HeaderValue},
    response::Response,
};
use domain::Decision;
use screening::Screened;

use super::{json_text, parse_context};
use crate::{
    api_error::{ApiError, Problem},
    json_body::JsonBody,
    openapi::ScreenRequest,
    request_context::RequestContext,
    screening_request::ScreeningRequest,
    state::AppState,
};

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Decide one transaction.
#[utoipa::path(
    post,
    path = "/v1/screen",
    tag = "screening",
    request_body = ScreenRequest,
    responses(
        (status = 200, description = "The decision, already recorded unless `dry_run`", body = Decision),
        (status = 400, description = "Malformed JSON", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Body too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Invalid, each violation with its pointer", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Overloaded; see Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Not ready, draining, or the ledger cannot be used; see Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "The deadline passed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn screen(
    State(state): State<AppState>,
    Extension(context): Extension<RequestContext>,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let request = ScreeningRequest::parse(&body, &parse_context())?;
    let screened = request.screen(&state, context.arrived).await?;
    let timing = server_timing(&screened);
    let mut response = json_text(screened.response);
    if let Ok(value) = HeaderValue::from_str(&timing) {
        response.headers_mut().insert(SERVER_TIMING, value);
    }
    Ok(response)
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
