//! What happens around every request, and around those under `/v1`.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::Instant;
use tracing::Instrument;

use crate::{
    api_error::{ApiError, write_problem},
    guarded_body::guard,
    http_metrics::{CALLER_LEFT, HttpMetrics, UNMATCHED},
    request_context::RequestContext,
    state::AppState,
};

/// Identifies, traces, measures and logs a request, and writes its problem if it ends in one.
pub(crate) async fn observe(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let context = RequestContext::new(request.headers(), Instant::now());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| UNMATCHED.to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!(
        "request",
        request_id = context.request_id,
        trace_id = context.trace.trace_id,
        span_id = context.trace.span_id,
        route,
    );
    let mut running = Running::new(&state, route, request.method().clone(), context.arrived);
    request.extensions_mut().insert(context.clone());
    let response = next.run(request).instrument(span.clone()).await;
    let mut response = write_problem(response, &context.request_id);
    context.write(response.headers_mut());
    running.status = response.status().as_u16();
    span.in_scope(|| running.log());
    guard(response, running)
}

/// A request until its last byte is sent or its caller has left.
struct Running {
    metrics: Arc<HttpMetrics>,
    route: String,
    method: Method,
    arrived: Instant,
    status: u16,
}

impl Running {
    fn new(state: &AppState, route: String, method: Method, arrived: Instant) -> Self {
        let metrics = Arc::clone(&state.metrics);
        metrics.started();
        Self { metrics, route, method, arrived, status: CALLER_LEFT }
    }

    fn log(&self) {
        let took_ms = self.arrived.elapsed().as_secs_f64() * 1e3;
        if self.status >= 500 {
            tracing::warn!(status = self.status, took_ms, "answered");
        } else {
            tracing::debug!(status = self.status, took_ms, "answered");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.metrics.ended(&self.route, &self.method, self.status, self.arrived.elapsed());
    }
}

/// How long a caller should stay away from a service that is not ready.
const NOT_READY_RETRY: Duration = Duration::from_secs(1);

/// Turns requests away while the service is not ready, or has too many of them.
pub(crate) async fn admit(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if let Some(reason) = state.readiness.refusal() {
        let detail = reason.to_owned();
        return ApiError::Unavailable { detail, retry_after: NOT_READY_RETRY }.into_response();
    }
    match Arc::clone(&state.slots).try_acquire_owned() {
        Ok(permit) => guard(next.run(request).await, permit),
        Err(_) => ApiError::Overloaded {
            detail: "too many requests at once",
            retry_after: Duration::from_secs(1),
        }
        .into_response(),
    }
}
