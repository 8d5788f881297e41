//! Reads one bounded JSON body.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::{api_error::ApiError, state::AppState, strict_json};

/// A client that has begun to send too much is heard out up to here: answering at once would
/// reset its connection before it could read the answer.
const DISCARD_BYTES_MAX: usize = 16 << 20;

/// A JSON document of bounded size.
pub(crate) struct JsonBody(pub(crate) Value);

impl FromRequest<AppState> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let is_json = |essence: &str| essence == "application/json" || essence.ends_with("+json");
        require_type(request.headers(), is_json, "application/json")?;
        let limit = state.http.body_limit_bytes;
        let bytes = read(request, limit, state.body_timeout()).await?;
        let value = strict_json::parse(&bytes)
            .map_err(|detail| ApiError::Malformed(format!("the body {detail}")))?;
        Ok(Self(value))
    }
}

/// Refuses bodies of another type, charset or encoding.
pub(crate) fn require_type(
    headers: &HeaderMap,
    accepts: impl Fn(&str) -> bool,
    expected: &str,
) -> Result<(), ApiError> {
    let unsupported = || {
        let detail = format!("send a body of content-type {expected}, in UTF-8 and not compressed");
        ApiError::UnsupportedMediaType(detail)
    };
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(unsupported)?
        .to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    if !parts.next().is_some_and(accepts) {
        return Err(unsupported());
    }
    let charset = parts.find_map(|parameter| parameter.strip_prefix("charset="));
    let encoding = headers.get(header::CONTENT_ENCODING);
    let is_utf8 = charset.is_none_or(|charset| charset.trim_matches('"') == "utf-8");
    if is_utf8 && encoding.is_none_or(|encoding| encoding == "identity") {
        Ok(())
    } else {
        Err(unsupported())
    }
}

async fn read(request: Request, limit: usize, timeout: Duration) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::TooLarge(format!("the body is larger than {limit} bytes"));
    let announced = content_length(request.headers());
    let waits = request.headers().contains_key(header::EXPECT);
    if waits && announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut body = request.into_body();
    let mut read = Vec::new();
    let mut total = 0_usize;
    while let Some(chunk) = next_chunk(&mut body, timeout).await? {
        total = total.saturating_add(chunk.len());
        if total > DISCARD_BYTES_MAX.max(limit) {
            break;
        }
        if total <= limit {
            read.extend_from_slice(&chunk);
        } else {
            read = Vec::new();
        }
    }
    if total > limit { Err(too_large()) } else { Ok(read.into()) }
}

/// The next bytes of a body; `None` at its end.
pub(crate) async fn next_chunk(
    body: &mut Body,
    timeout: Duration,
) -> Result<Option<Bytes>, ApiError> {
    loop {
        let frame = tokio::time::timeout(timeout, body.frame()).await;
        let Some(frame) = frame.map_err(|_| ApiError::SlowBody)? else { return Ok(None) };
        let frame = frame.map_err(|_| ApiError::Malformed("the body broke off".into()))?;
        // Trailers carry nothing that is read here.
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
