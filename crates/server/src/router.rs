//! Which path leads where, and through what.

use axum::{
    Router, middleware,
    response::{IntoResponse, Response},
};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::{
    OpenApi,
    openapi::{
        self,
        path::{Operation, PathItem},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

use crate::{
    api_error::ApiError,
    http_metrics::HttpMetrics,
    middleware::{admit, observe},
    openapi::Frame,
    routes::{
        attribution, decisions, deliveries, events, health, labels, metrics, models, policy,
        quality, screen, screen_batch, shadow,
    },
    state::AppState,
};

/// Every route, with all that is around it.
pub(crate) fn router(state: &AppState) -> Router {
    let v1 = OpenApiRouter::new()
        .routes(routes!(screen::screen))
        .routes(routes!(screen_batch::screen_batch))
        .routes(routes!(decisions::decision))
        .routes(routes!(decisions::decisions))
        .routes(routes!(labels::label_decision))
        .routes(routes!(labels::label_transaction))
        .routes(routes!(events::events))
        .routes(routes!(policy::policy, policy::put_policy))
        .routes(routes!(policy::policies))
        .routes(routes!(policy::policy_version))
        .routes(routes!(attribution::attribution))
        .routes(routes!(shadow::shadow))
        .routes(routes!(quality::quality))
        .routes(routes!(quality::drift))
        .routes(routes!(deliveries::deliveries))
        .routes(routes!(deliveries::revive))
        .routes(routes!(models::models))
        .route_layer(middleware::from_fn_with_state(state.clone(), admit));
    // Not admitted: they must answer when nothing else does.
    let operations = OpenApiRouter::new()
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics));
    let (router, document) =
        OpenApiRouter::with_openapi(Frame::openapi()).merge(v1).merge(operations).split_for_parts();
    create_series(&state.metrics, &document);
    router
        .merge(documentation(document))
        .fallback(|| async { ApiError::UnknownRoute })
        .method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed })
        .layer(CatchPanicLayer::custom(|_| -> Response { ApiError::Internal.into_response() }))
        .layer(middleware::from_fn_with_state(state.clone(), observe))
        .with_state(state.clone())
}

/// `/openapi.json`, and `/docs` to read it in.
fn documentation(document: openapi::OpenApi) -> Router<AppState> {
    SwaggerUi::new("/docs").url("/openapi.json", document).into()
}

/// Every series that documented routes can produce.
fn create_series(metrics: &HttpMetrics, document: &openapi::OpenApi) {
    for (route, item) in &document.paths.paths {
        for (method, operation) in operations(item) {
            for status in operation.responses.responses.keys() {
                metrics.create_route(route, method, status);
            }
        }
    }
    metrics.create_route("/openapi.json", "GET", "200");
}

fn operations(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    let get = item.get.as_ref().map(|operation| ("GET", operation));
    let post = item.post.as_ref().map(|operation| ("POST", operation));
    let put = item.put.as_ref().map(|operation| ("PUT", operation));
    get.into_iter().chain(post).chain(put)
}
