//! One module per resource. Handlers parse, call one thing below, and answer.

pub(crate) mod attribution;
pub(crate) mod decisions;
pub(crate) mod deliveries;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod labels;
pub(crate) mod metrics;
pub(crate) mod models;
mod once;
pub(crate) mod policy;
pub(crate) mod quality;
pub(crate) mod query;
pub(crate) mod screen;
pub(crate) mod screen_batch;
pub(crate) mod shadow;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use domain::ParseContext;
use jiff::Timestamp;

/// What parsing needs to know of the world, now.
fn parse_context() -> ParseContext {
    ParseContext { now: Timestamp::now() }
}

/// JSON that is already text.
fn json_text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
