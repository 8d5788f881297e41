//! `POST /v1/screen/batch`: NDJSON in, NDJSON out, in the same order, as it comes.

use std::{convert::Infallible, panic::AssertUnwindSafe, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt, stream};
use tokio::time::Instant;

use super::parse_context;
use crate::{
    api_error::{ApiError, Problem},
    ndjson::{Line, Lines, NDJSON},
    screening_request::ScreeningRequest,
    state::AppState,
    strict_json,
};

/// Decide a stream of transactions.
///
/// Each line is a transaction or `{"transaction": ..., "deadline_ms"?, "dry_run"?}`; the
/// members `label`, `label_at`, `typology` and `scenario` of labelled samples are ignored. Each
/// line is answered in order by a line: a decision, or a problem with the line's number. Read
/// the answer while sending: the service holds a bounded number of lines.
#[utoipa::path(
    post,
    path = "/v1/screen/batch",
    tag = "screening",
    request_body(content = String, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "One line for each line", body = String, content_type = "application/x-ndjson"),
        (status = 415, description = "Not NDJSON", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many requests at once; see Retry-After", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Not ready or draining; see Retry-After", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn screen_batch(State(state): State<AppState>, lines: Lines) -> Response {
    let concurrency = state.http.batch_concurrency;
    // Unordered polling would let lines overtake each other in velocity. `buffered` starts
    // them in order, and a screening counts before it first waits.
    let answers = read_lines(state.clone(), lines)
        .map(move |line| answer(state.clone(), line))
        .buffered(concurrency)
        .map(Ok::<_, Infallible>);
    ([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(answers)).into_response()
}

/// The lines until the body ends or the service stops.
fn read_lines(state: AppState, lines: Lines) -> impl Stream<Item = Line> {
    stream::unfold(Some((lines, 0)), move |reading| {
        let state = state.clone();
        async move {
            let (mut lines, last) = reading?;
            tokio::select! {
                biased;
                () = state.readiness.stopping().cancelled() => {
                    let error = ApiError::Unavailable {
                        detail: "the service is shutting down; send this line and all after it again".into(),
                        retry_after: Duration::from_secs(1),
                    };
                    Some((Line { number: last + 1, content: Err(error) }, None))
                }
                line = lines.next() => {
                    let line = line?;
                    let number = line.number;
                    Some((line, Some((lines, number))))
                }
            }
        }
    })
}

/// A decision or a problem, as a line.
async fn answer(state: AppState, line: Line) -> Bytes {
    let number = line.number;
    // A panic would tear down the connection, and with it the lines beside this one.
    let answered = AssertUnwindSafe(screen_line(state, line)).catch_unwind().await;
    let mut text = answered
        .unwrap_or(Err(ApiError::Internal))
        .unwrap_or_else(|error| error.problem().into_line(number));
    text.push('\n');
    text.into()
}

async fn screen_line(state: AppState, line: Line) -> Result<String, ApiError> {
    let read = Instant::now();
    let value = strict_json::parse(&line.content?)
        .map_err(|detail| ApiError::Malformed(format!("the line {detail}")))?;
    let request = ScreeningRequest::parse_line(&value, &parse_context())?;
    Ok(request.screen(&state, read).await?.response)
}
